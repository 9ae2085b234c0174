"""Whether an image holds the package that it claims: its files are taken out of its layers and read as a package."""

import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packager.core.archives import unpack_folder
from packager.core.credentials import CredentialSource
from packager.core.errors import ImageInvalid, ImageUnfaithful
from packager.core.image import MODEL_FOLDER, PACKAGE_LABEL, Platform
from packager.core.progress import Progress
from packager.image.base import fetch_base
from packager.image.blobs import Manifest, descriptor_of
from packager.image.transfer import Layout
from runtime.contract.errors import PackageError
from runtime.contract.package import read_package

_AGAIN: Final = "do not run it; pull, copy or build it again"


@dataclass(frozen=True, slots=True)
class Verified:
    """An image that is what it claims.

    Attributes:
        digest: Of the image.
        package: Digest of the package that it holds, on every platform.
    """

    digest: str
    package: str
    platforms: tuple[Platform, ...]


def verify_image(name: str, cache: Path, credentials: CredentialSource, progress: Progress) -> Verified:
    """Check the package in an image against the image's own label.

    Args:
        name: A layout, an archive, or a reference.

    Raises:
        ImageUnfaithful: There is no package, another one than claimed, or a damaged one.
        ImageError: The image cannot be had or read.
    """
    layout = fetch_base(name, (), cache, credentials, progress)
    top = layout.manifest(layout.top())
    entries = [descriptor_of(entry) for entry in top.document["manifests"]] if top.is_index else []
    manifests = [layout.manifest(entry) for entry in entries if entry.platform] if top.is_index else [top]
    found = [_one(layout, manifest, name) for manifest in manifests]
    if len({digest for _, digest in found}) != 1:
        raise ImageUnfaithful(f"{name!r} holds another package on each platform", hint="build it again")
    return Verified(top.descriptor.digest, found[0][1], tuple(platform for platform, _ in found))


def _one(layout: Layout, manifest: Manifest, name: str) -> tuple[Platform, str]:
    config = layout.config(manifest)
    for entry in manifest.document["layers"]:
        if not layout.has(descriptor_of(entry)):
            raise ImageUnfaithful(
                f"{name!r} is damaged: {entry['digest']} is not there, or has other bytes", hint=_AGAIN
            )
    claimed = (config.get("config", {}).get("Labels") or {}).get(PACKAGE_LABEL)
    if claimed is None:
        raise ImageUnfaithful(
            f"{name!r} claims no package: it has no label {PACKAGE_LABEL}", hint="is it one of dray's?"
        )
    layers = [layout.blob_path(str(layer["digest"])) for layer in manifest.document["layers"]]
    with tempfile.TemporaryDirectory(prefix="dray-verify-") as folder:
        _take_out(layers, Path(folder) / MODEL_FOLDER)
        if removed := [path.name for path in (Path(folder) / MODEL_FOLDER).rglob(".wh.*")]:
            raise ImageUnfaithful(
                f"a layer of {name!r} removes {removed[0][4:]!r} from the model", hint="build it again"
            )
        try:
            package = read_package(Path(folder) / MODEL_FOLDER)
        except (PackageError, OSError) as error:
            raise ImageUnfaithful(f"the package in {name!r} is damaged: {error}", hint="build it again") from error
    if package.digest != claimed:
        raise ImageUnfaithful(
            f"{name!r} claims the package {claimed} and holds {package.digest}", hint="do not run it; build it again"
        )
    return Platform.of_json(config), claimed


def _take_out(layers: Sequence[Path], out: Path) -> None:
    """Write the model's files as the layers (bottom first) leave them; what a layer removes stays by its mark."""
    for layer in layers:
        try:
            with tarfile.open(layer, "r:*") as tar:
                unpack_folder(tar, MODEL_FOLDER, out)
        except (tarfile.TarError, EOFError) as error:
            raise ImageInvalid(f"the layer {layer.name[:19]} cannot be read: {error}", hint="pull it again") from error
