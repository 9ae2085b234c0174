"""Images that hold a package and nothing to run it."""

import json
from pathlib import Path

import pytest

from packager.core.image import ImageRef, Platform
from packager.core.progress import SilentProgress
from packager.core.rehearsal import PACKAGE_ONLY_LABEL
from packager.image.contents import image_platforms, package_of_image
from packager.image.outputs import push
from packager.image.package_only import package_only_layout
from packager.image.transfer import Layout
from packager.image.verify import verify_image
from tests.support.cloud import OwnRegistry
from tests.support.packages import make_package
from tests.support.registry_server import RegistryServer

BOTH = (Platform(), Platform("linux", "arm64"))


def test_same_package_makes_the_same_bytes_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, ref = make_package(tmp_path / "one"), ImageRef(None, "iris", "1")
    first = package_only_layout(package, ref, BOTH[:1], tmp_path / "a", cache=tmp_path / "cache")
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    second = package_only_layout(package, ref, BOTH[:1], tmp_path / "b", cache=tmp_path / "another cache")

    assert first.digest == second.digest
    assert first.ref.digest == first.digest


def test_it_says_what_it_is_and_is_for_whom(tmp_path: Path) -> None:
    package = make_package(tmp_path / "one")
    package_only_layout(package, ImageRef(None, "iris", "1"), BOTH[1:], tmp_path / "a", cache=tmp_path / "cache")
    layout = Layout(tmp_path / "a")
    manifest = layout.manifest(layout.top())
    config = json.loads(layout.blob_path(manifest.document["config"]["digest"]).read_bytes())

    assert config["config"]["Labels"][PACKAGE_ONLY_LABEL] == "true"
    assert config["config"]["Labels"]["dray.package.digest"] == package.digest
    assert (config["os"], config["architecture"]) == ("linux", "arm64")
    assert len(manifest.document["layers"]) == len(config["rootfs"]["diff_ids"]) == 1


@pytest.mark.parametrize("platforms", [BOTH[:1], BOTH])
def test_package_comes_back_out_of_a_registry(
    registry: RegistryServer, tmp_path: Path, platforms: tuple[Platform, ...]
) -> None:
    package, ref = make_package(tmp_path / "one"), ImageRef.parse(f"{registry.host}/iris:1")
    built = package_only_layout(package, ref, platforms, tmp_path / "a", cache=tmp_path / "cache")
    push(built, tmp_path / "a", OwnRegistry("nobody"), SilentProgress())

    found, pinned = package_of_image(ref, SilentProgress())
    verified = verify_image(str(ref), tmp_path / "bases", OwnRegistry("nobody"), SilentProgress())

    assert (found.digest, pinned.digest) == (package.digest, built.digest)
    assert image_platforms(ref) == platforms
    assert verified.package == package.digest
