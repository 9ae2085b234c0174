"""Images of a real model, with the real wheels on a base in miniature."""

import json
import os
import struct
import tarfile
from pathlib import Path

import pytest

from packager import build_image
from packager.core.errors import ImageExists, ImageUnfaithful, UsageError, WheelsUnavailable
from packager.core.image import MANIFEST, Descriptor
from packager.documents import ImageDocument
from packager.image.transfer import Layout
from packager.images import generate_context, verify
from tests.image.bases import layout_of
from tests.support.command import dray
from tests.support.image_layers import keep_layers
from tests.support.index import require_index
from tests.support.packages import make_package

BOTH = ("linux/amd64", "linux/arm64")
ELF_MACHINES = {"linux/amd64": 62, "linux/arm64": 183}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("index")]


@pytest.fixture
def index() -> None:
    require_index()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder that the tests of this module share, for the layers."""
    return keep_layers(tmp_path_factory.mktemp("home"))


@pytest.fixture
def shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRAY_HOME", str(home))
    return home


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("package") / "iris").root


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layout_of(tmp_path_factory.mktemp("base") / "layout", platforms=BOTH)


@pytest.fixture
def both(package: Path, base: Path, shared_home: Path, tmp_path: Path) -> ImageDocument:
    assert shared_home
    return build_image(package, base=base, platforms=BOTH, output=tmp_path / "both")


def test_each_platform_has_programs_of_its_own(both: ImageDocument) -> None:
    layout = Layout(Path(both.location or ""))
    assert both.platforms == BOTH
    for platform, layers in both.layers.items():
        wheels = next(layer for layer in layers if layer.name == "wheels")
        with tarfile.open(layout.blob_path(wheels.digest)) as tar:
            found = {member.name for member in tar if member.name.endswith(".so") or ".so." in member.name}
            assert len(found) > 20
            for name in sorted(found):
                head = tar.extractfile(name).read(20)  # type: ignore[union-attr]
                assert head[:4] == b"\x7fELF"
                assert struct.unpack_from("<H", head, 18)[0] == ELF_MACHINES[platform], name


def test_an_image_is_the_same_from_another_folder_umask_time_zone_and_cache(
    package: Path, base: Path, both: ImageDocument, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "another home"))
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    monkeypatch.setenv("LC_ALL", "C")
    before = os.umask(0o077)
    try:
        again = build_image(package, base=base, platforms=BOTH[1:], output=tmp_path / "again")
    finally:
        os.umask(before)
    layout = Layout(Path(both.location or ""))
    arm64 = layout.manifest(layout.top()).document["manifests"][1]
    assert again.digest == arm64["digest"]
    assert again.layers[BOTH[1]] == both.layers[BOTH[1]]


def test_another_model_changes_one_layer(package: Path, base: Path, shared_home: Path, tmp_path: Path) -> None:
    assert shared_home
    other = make_package(tmp_path / "other", version="2").root
    first, second = (build_image(each, base=base, platforms=BOTH[:1], builder="oci") for each in (package, other))
    ours, theirs = (document.layers[BOTH[0]] for document in (first, second))
    assert [layer.name for layer in ours] == ["base", "wheels", "runtime", "model"]
    assert [one == two for one, two in zip(ours, theirs, strict=True)] == [True, True, True, False]
    assert first.digest != second.digest


def test_an_image_tells_what_it_is_and_runs_as_nobody(package: Path, base: Path, shared_home: Path) -> None:
    assert shared_home
    document = build_image(package, base=base, platforms=BOTH[:1], builder="oci", tag="registry.test/team/iris:7")
    layout = Layout(Path(document.location or ""))
    manifest = layout.manifest(layout.top()).document
    config = json.loads(layout.blob_path(manifest["config"]["digest"]).read_bytes())

    assert document.image == f"registry.test/team/iris:7@{document.digest}"
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"] == ["/usr/bin/python3.11", "-P", "-m", "runtime"]
    assert config["config"]["Healthcheck"]["Test"][-1] == "runtime.healthcheck"
    assert "LANG=C.UTF-8" in config["config"]["Env"]
    assert config["config"]["Labels"]["dray.package.digest"] == document.package_digest
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 4
    assert config["created"] == "1970-01-01T00:00:00Z"


def test_what_is_never_imported_is_left_out_and_the_rest_is_compiled(both: ImageDocument) -> None:
    layout = Layout(Path(both.location or ""))
    wheels, runtime = both.layers[BOTH[0]][1:3]
    with tarfile.open(layout.blob_path(wheels.digest)) as tar:
        names = tar.getnames()
        bill = json.load(tar.extractfile("opt/dray/sbom.cdx.json"))  # type: ignore[arg-type]
    assert not [name for name in names if "/tests/" in name or name.endswith((".pyi", ".h"))]
    assert any(name.endswith("fastapi/__pycache__/routing.cpython-311.pyc") for name in names)
    assert {"onnxruntime", "fastapi", "numpy", "azure-iot-device"} <= {
        component["name"] for component in bill["components"]
    }
    assert not {"typer", "rich", "onnx"} & {component["name"] for component in bill["components"]}
    with tarfile.open(layout.blob_path(runtime.digest)) as tar:
        assert {"opt/dray/runtime/__main__.py", "opt/dray/runtime/healthcheck.py"} <= set(tar.getnames())
        assert tar.getmember("var/lib/dray").uid == 65532  # whose volume there can be written
        code = tar.extractfile("opt/dray/runtime/__pycache__/app.cpython-311.pyc").read()  # type: ignore[union-attr]
    assert b"/opt/dray/runtime/app.py" in code
    assert code[4:8] == struct.pack("<I", 1)  # a hash that nobody checks


def test_an_image_without_compiled_modules_is_another_and_says_so(package: Path, base: Path, shared_home: Path) -> None:
    assert shared_home
    document = build_image(package, base=base, platforms=BOTH[:1], builder="oci", compiled=False)
    layout = Layout(Path(document.location or ""))
    manifest = layout.manifest(layout.top()).document
    assert manifest["annotations"]["dray.compiled"] == "false"
    with tarfile.open(layout.blob_path(document.layers[BOTH[0]][1].digest)) as tar:
        assert not [name for name in tar.getnames() if name.endswith(".pyc")]


def test_an_image_that_holds_its_package_is_verified_and_another_is_not(both: ImageDocument, tmp_path: Path) -> None:
    checked = verify(str(both.location))
    assert (checked.package_digest, checked.platforms) == (both.package_digest, BOTH)

    layout = Layout(Path(both.location or ""))
    for descriptor in layout.manifest(layout.top()).document["manifests"]:
        manifest = json.loads(layout.blob_path(descriptor["digest"]).read_bytes())
        path = layout.blob_path(manifest["layers"][-1]["digest"])
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ImageUnfaithful, match="has other bytes"):
        verify(str(both.location))


def test_a_dockerfile_for_elsewhere_only_copies(package: Path, base: Path, shared_home: Path, tmp_path: Path) -> None:
    assert shared_home
    generate_context(package, tmp_path / "context", base=base, platforms=BOTH[1:])
    lines = (tmp_path / "context" / "Dockerfile").read_text().splitlines()
    assert lines[lines.index("ARG BASE") + 1] == "FROM ${BASE}"  # a file cannot be built from
    assert not [line for line in lines if line.startswith(("RUN", "ADD"))]
    assert "$" not in "".join(line for line in lines if not line.startswith(("#", "FROM")))
    assert "COPY --chown=65532:65532 state/ /var/lib/dray/" in lines
    assert (tmp_path / "context" / "model" / "model" / "manifest.json").is_file()
    with pytest.raises(ImageExists):
        generate_context(package, tmp_path / "context", base=base, platforms=BOTH[1:])


def test_a_wheelhouse_without_the_locked_wheels_is_refused(package: Path, base: Path, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    with pytest.raises(WheelsUnavailable, match="cannot be had from the wheelhouse"):
        build_image(package, base=base, platforms=BOTH[:1], builder="oci", wheelhouse=tmp_path / "wheels")


def test_a_push_needs_a_registry(package: Path, base: Path) -> None:
    with pytest.raises(UsageError, match="names no registry"):
        build_image(package, base=base, platforms=BOTH[:1], push=True)


def test_the_project_file_says_where_images_go_and_what_for(
    package: Path, base: Path, shared_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared_home
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dray.yaml").write_text(
        f"image:\n  registry: registry.test/team\n  platforms: [linux/arm64]\n  base: {base}\n"
    )
    document = dray("image", package, "--builder", "oci", "-o", "json").document
    assert document["image"] == f"registry.test/team/iris:1@{document['digest']}"
    assert document["platforms"] == ["linux/arm64"]


def test_every_mistake_says_what_to_do(package: Path, base: Path, tmp_path: Path) -> None:
    platforms = ("--platform", "linux/amd64", "--platform", "linux/arm64")
    asked = {
        ("image",): "E-USAGE",
        ("image", package, "--builder", "podman"): "E-USAGE",
        ("image", package, "--builder", "docker"): "E-IMAGE-ENGINE",
        ("image", package, "--platform", "windows/arm 64"): "E-IMAGE-REFERENCE",
        ("image", package, "--base", tmp_path / "gone.tar"): "E-IMAGE-MISSING",
        ("image", package, "--base", base, "--platform", "linux/s390x", "--builder", "oci"): "E-IMAGE-ARCH",
        ("image", "--verify", tmp_path / "gone.tar"): "E-IMAGE-MISSING",
        ("image", package, "--base", base, "--output", tmp_path / "x.zip"): "E-USAGE",
        ("image", package, "--base", base, "--generate", tmp_path / "x", *platforms): "E-USAGE",
    }
    for arguments, code in asked.items():
        done = dray(*arguments, "-o", "json", env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
        error = done.document["error"]
        assert (error["code"], done.status) == (code, 2 if code == "E-USAGE" else 4), arguments
        assert error["hint"]


def test_an_image_that_claims_another_package_is_refused(
    package: Path, base: Path, shared_home: Path, tmp_path: Path
) -> None:
    assert shared_home
    out = tmp_path / "layout"
    build_image(package, base=base, platforms=BOTH[:1], output=out)
    layout = Layout(out)
    manifest = dict(layout.manifest(layout.top()).document)
    config = json.loads(layout.blob_path(manifest["config"]["digest"]).read_bytes())
    config["config"]["Labels"]["dray.package.digest"] = "sha256:" + "0" * 64
    content = json.dumps(config).encode()
    manifest["config"] = {**manifest["config"], "digest": layout.put(content), "size": len(content)}
    made = json.dumps(manifest).encode()
    layout.name(Descriptor(MANIFEST, layout.put(made), len(made)), "latest")

    with pytest.raises(ImageUnfaithful, match="claims the package sha256:000"):
        verify(str(out))
