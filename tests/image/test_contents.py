"""The package in an image, read from its registry."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from packager.core.errors import ImageInvalid, ImageUnfaithful
from packager.core.image import ImageRef, Platform
from packager.core.progress import SilentProgress
from packager.image.contents import package_of_image
from packager.image.registry import Registry
from packager.image.transfer import push_layout
from tests.image.test_transfer import layout_of
from tests.support.packages import make_package
from tests.support.registry_server import RegistryServer


def layer(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), mtime=0)


def model_layer(root: Path) -> bytes:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return layer({f"model/{path.relative_to(root)}": path.read_bytes() for path in files})


def pushed(registry: RegistryServer, tmp_path: Path, *layers: bytes) -> ImageRef:
    ref = ImageRef.parse(f"{registry.host}/team/churn:1")
    layout = layout_of(tmp_path / "layout", {Platform(): list(layers), Platform("linux", "arm64"): list(layers)})
    with Registry(registry.host) as client:
        push_layout(layout, ref, client, SilentProgress())
    return ref


def test_package_comes_out_verified_and_the_image_pinned(registry: RegistryServer, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package")
    ref = pushed(registry, tmp_path, layer({"opt/x": b"1"}), model_layer(package.root))

    found, pinned = package_of_image(ref, SilentProgress())

    assert found.digest == package.digest
    assert (pinned.tag, pinned.pinned) == ("1", True)


def test_image_without_a_package_is_refused(registry: RegistryServer, tmp_path: Path) -> None:
    ref = pushed(registry, tmp_path, layer({"opt/x": b"1"}))

    with pytest.raises(ImageUnfaithful, match="holds no model package") as caught:
        package_of_image(ref, SilentProgress())

    assert caught.value.code == "E-IMAGE-VERIFY"


def test_damaged_package_is_refused(registry: RegistryServer, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package")
    (package.root / "model.onnx").write_bytes(b"another")
    ref = pushed(registry, tmp_path, model_layer(package.root))

    with pytest.raises(ImageUnfaithful, match="is damaged"):
        package_of_image(ref, SilentProgress())


def test_file_that_leads_out_of_the_package_is_refused(registry: RegistryServer, tmp_path: Path) -> None:
    ref = pushed(registry, tmp_path, layer({"model/../../evil": b"1"}))

    with pytest.raises(ImageInvalid, match="leads elsewhere"):
        package_of_image(ref, SilentProgress())
