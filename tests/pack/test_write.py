import json
from pathlib import Path

import pytest

from packager.core.errors import DiskFull, NotWritable, PackageExists
from packager.pack import write_package
from runtime.contract.package import read_package
from tests.support.packages import conversion_of, logistic_model, make_package


def test_the_same_model_gives_the_same_digest_anywhere(tmp_path: Path) -> None:
    first = make_package(tmp_path / "one" / "a")
    second = make_package(tmp_path / "two" / "b")

    assert first.digest == second.digest
    assert read_package(second.root).digest == first.digest


def test_another_model_name_or_version_gives_another_digest(tmp_path: Path) -> None:
    digests = {
        make_package(tmp_path / "a").digest,
        make_package(tmp_path / "b", version="2").digest,
        make_package(tmp_path / "c", name="other").digest,
        make_package(tmp_path / "d", logistic_model(seed=1)).digest,
    }

    assert len(digests) == 4


def test_the_digest_does_not_cover_the_evidence(tmp_path: Path) -> None:
    package = make_package(tmp_path / "p")
    path = package.root / "certificate.json"
    noted = package.certificate.model_copy(update={"notes": ("measured again",)}).sealed()
    path.write_bytes(noted.to_bytes())

    assert read_package(package.root).digest == package.digest


def test_what_stands_at_the_path_is_left_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")

    with pytest.raises(PackageExists) as caught:
        make_package(out)

    assert caught.value.code == "E-PACKAGE-EXISTS"
    assert "--out" in caught.value.hint
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_a_path_that_cannot_be_written_is_an_error_with_a_hint(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with conversion_of(logistic_model()) as result, pytest.raises(NotWritable) as caught:
        write_package(result, blocker / "below" / "a-file", name="m", version="1")

    assert caught.value.code == "E-NOT-WRITABLE"
    assert "--out" in caught.value.hint


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("packager.pack.write.shutil.copyfile", full)

    with conversion_of(logistic_model()) as result, pytest.raises(DiskFull) as caught:
        write_package(result, tmp_path / "out" / "p", name="m", version="1")

    assert caught.value.code == "E-DISK-FULL"
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("packager.pack.write.shutil.copyfile", interrupted)

    with conversion_of(logistic_model()) as result, pytest.raises(KeyboardInterrupt):
        write_package(result, tmp_path / "out" / "p", name="m", version="1")

    assert list((tmp_path / "out").iterdir()) == []


def test_manifest_holds_nothing_of_this_machine_or_this_day(tmp_path: Path) -> None:
    package = make_package(tmp_path / "p")

    manifest = json.loads((package.root / "manifest.json").read_text())

    assert str(tmp_path) not in json.dumps(manifest)
    assert not any("time" in key or "date" in key for key in manifest)
