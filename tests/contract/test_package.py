import json
import shutil
from pathlib import Path

import pytest

from runtime.contract.errors import PackageDamaged, PackageInvalid, PackageMissing
from runtime.contract.package import read_package
from tests.support.packages import make_package

CONTENT = ["manifest.json", "model.onnx", "test_data_set_0/input_0.pb", "test_data_set_1/output_1.pb"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("package") / "iris").root


@pytest.fixture
def package(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "copy")


def flip(path: Path, at: int = -20) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_whole_package_is_read(whole: Path) -> None:
    package = read_package(whole)
    assert package.manifest.name == "iris"
    assert [case.name for case in package.test_data_sets()] == ["test_data_set_0", "test_data_set_1"]


@pytest.mark.parametrize("name", CONTENT)
def test_flipped_byte_is_found(package: Path, name: str) -> None:
    flip(package / name)
    with pytest.raises((PackageDamaged, PackageInvalid)) as caught:
        read_package(package)
    assert name in caught.value.message or name == "manifest.json"
    assert caught.value.hint


@pytest.mark.parametrize("name", [*CONTENT, "certificate.json"])
def test_every_file_is_covered_byte_by_byte(package: Path, name: str) -> None:
    size = (package / name).stat().st_size
    for at in {0, size // 3, size // 2, size - 2}:
        whole = (package / name).read_bytes()
        flip(package / name, at)
        with pytest.raises((PackageDamaged, PackageInvalid)):
            read_package(package)
        (package / name).write_bytes(whole)


@pytest.mark.parametrize("name", CONTENT[1:])
def test_absent_file_is_named(package: Path, name: str) -> None:
    (package / name).unlink()
    with pytest.raises(PackageDamaged) as caught:
        read_package(package)
    assert caught.value.code == "E-PACKAGE-DIGEST"
    assert f"absent: {name}" in caught.value.message
    assert "copy it again" in caught.value.hint
    assert caught.value.detail["absent"] == [name]


def test_extra_file_is_named(package: Path) -> None:
    (package / "run.sh").write_text("")
    with pytest.raises(PackageDamaged, match=r"not of the package: run\.sh"):
        read_package(package)


def test_package_without_certificate_is_refused(package: Path) -> None:
    (package / "certificate.json").unlink()
    with pytest.raises(PackageDamaged, match=r"has no certificate\.json"):
        read_package(package)


def test_folder_without_manifest_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageMissing) as caught:
        read_package(tmp_path)
    assert caught.value.code == "E-PACKAGE-MISSING"
    assert "no manifest.json in it" in caught.value.message
    assert "dray package" in caught.value.hint


def test_newer_schema_is_refused(package: Path) -> None:
    document = json.loads((package / "manifest.json").read_bytes())
    (package / "manifest.json").write_text(json.dumps({**document, "schema_version": 2}))
    with pytest.raises(PackageInvalid) as caught:
        read_package(package)
    assert caught.value.code == "E-PACKAGE-INVALID"
    assert "schema_version" in caught.value.message
    assert "newer dray" in caught.value.hint


def test_file_changed_after_reading_is_found_when_used(package: Path) -> None:
    verified = read_package(package)
    flip(package / "model.onnx")
    with pytest.raises(PackageDamaged) as caught:
        verified.read_content("model.onnx")
    assert caught.value.code == "E-PACKAGE-DIGEST"
    assert "changed after the package was read" in caught.value.message
    assert caught.value.detail == {"changed": ["model.onnx"]}


def test_file_lost_after_reading_is_named(package: Path) -> None:
    verified = read_package(package)
    (package / "test_data_set_0/input_0.pb").unlink()
    with pytest.raises(PackageDamaged, match=r"has lost test_data_set_0/input_0\.pb"):
        verified.test_data_sets()
