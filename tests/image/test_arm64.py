"""The runtime for arm64, put together on this machine and run under emulation."""

from pathlib import Path

import pytest

from packager import build_image
from packager.core.http_client import HttpInferenceClient
from packager.core.image import Platform
from packager.smoke import run_smoke
from tests.support.emulation import MACHINES, machines_of, require_emulator, running_emulated, unpack_image
from tests.support.index import require_index
from tests.support.packages import make_package

pytestmark = pytest.mark.slow

ARM64 = Platform("linux", "arm64")
BOTH = ("linux/amd64", "linux/arm64")


@pytest.mark.usefixtures("shared_layers_of_images")
def test_image_for_arm64_answers_as_the_source_under_emulation(base_layout: Path, tmp_path: Path) -> None:
    require_emulator("arm64")
    require_index()
    package = make_package(tmp_path / "package")
    build_image(package.root, base=base_layout, platforms=BOTH, output=tmp_path / "layout")

    config = unpack_image(tmp_path / "layout", ARM64, tmp_path / "root")

    assert machines_of(tmp_path / "root").keys() == {MACHINES["arm64"]}
    emulated = running_emulated(tmp_path / "root", config, "arm64", tmp_path / "log")
    with emulated as server, HttpInferenceClient(server.url) as client:
        assert run_smoke(client, package, timeout_s=60).passed


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_base_holds_one_processors_programs_and_what_a_python_needs(
    base_layout: Path, tmp_path: Path, architecture: str
) -> None:
    config = unpack_image(base_layout, Platform("linux", architecture), tmp_path)

    assert machines_of(tmp_path).keys() == {MACHINES[architecture]}
    assert (config["architecture"], config["config"]["User"]) == (architecture, "65532")
    assert (tmp_path / "lib").readlink() == Path("usr/lib")
    assert (tmp_path / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert "nonroot:x:65532:65532:" in (tmp_path / "etc/passwd").read_text()
    assert list((tmp_path / "usr/lib").glob("python3.*/__pycache__/json*.pyc")) == []
    assert list((tmp_path / "usr/lib").glob("python3.*/json/__pycache__/*.pyc"))
    assert (tmp_path / "etc/ssl/certs/ca-certificates.crt").read_bytes().count(b"BEGIN CERTIFICATE") > 100
