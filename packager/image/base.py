"""The base image as an OCI layout, wherever it is: a folder, an archive of ``docker save`` or OCI tools, a registry."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packager.core.archives import unpack_files
from packager.core.credentials import CredentialSource
from packager.core.errors import ArchitectureMissing, ImageInvalid, ImageMissing, RegistryError
from packager.core.files import ensure_folder, new_folder
from packager.core.image import MANIFEST, Descriptor, ImageRef, Layer, Platform
from packager.core.progress import Progress
from packager.image.blobs import CONFIG, GZIP_LAYER, LAYER, Manifest, as_json, descriptor_of, file_digest
from packager.image.python import BasePython, find_python
from packager.image.registry import Registry
from packager.image.registry_http import RegistrySettings
from packager.image.transfer import Layout, pull_layout

# Distroless: no shell, no package manager, a user of its own. Pin it with @sha256:… where a build must not change.
DEFAULT_BASE: Final = "gcr.io/distroless/python3-debian12:nonroot"
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Base:
    """A base image for one platform.

    Attributes:
        name: As the user named it, for messages.
        digest: Of what the name led to: the index where there is one.
        config: Its configuration.
    """

    layout: Layout
    name: str
    digest: str
    platform: Platform
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]
    python: BasePython


def fetch_base(
    name: str,
    platforms: Sequence[Platform],
    cache: Path,
    credentials: CredentialSource,
    progress: Progress,
    *,
    settings: RegistrySettings | None = None,
) -> Layout:
    """The layout that holds the base.

    Args:
        name: A path that exists, else a reference in a registry.
        cache: Where images of registries and archives are kept, by content.

    Raises:
        ImageMissing, ImageInvalid, ArchitectureMissing, PullDenied, RegistryError: It cannot be had.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return Layout(path)
    if path.is_file():
        return _unpacked(path, cache)
    if name.endswith((".tar", ".tar.gz", ".tgz")) or name.startswith((".", "/", "~")):
        raise ImageMissing(f"there is no base image at {name!r}", hint="name an OCI layout, an archive or a reference")
    ref = ImageRef.parse(name)
    folder = cache / hashlib.sha256(str(ref.full).encode()).hexdigest()[:24]
    ensure_folder(folder)
    try:
        with Registry(ref.host, credentials, settings or RegistrySettings()) as registry:
            pull_layout(ref, folder, registry, progress, platforms=platforms)
    except RegistryError as error:
        hint = f"{error.hint}; or give --base another reference, an OCI layout or an archive".removeprefix("; ")
        raise type(error)(f"the image {name} cannot be had: {error.message}", hint=hint, detail=error.detail) from error
    return Layout(folder)


def read_base(layout: Layout, name: str, platform: Platform) -> Base:
    """The base for a platform.

    Raises:
        ArchitectureMissing: It does not exist for it.
        BaseUnusable: It holds no Python that wheels are locked for.
        ImageMissing, ImageInvalid: It is no image, or damaged.
    """
    top = layout.manifest(layout.top())
    manifest = _of_platform(layout, top, platform, name)
    config = layout.config(manifest)
    found = Platform.of_json(config)
    if found != platform:
        raise ArchitectureMissing(
            f"the base {name!r} is for {found}, not for {platform}",
            hint=f"use one for {platform}, or --platform {found}",
        )
    descriptors = [descriptor_of(entry) for entry in manifest.document["layers"]]
    diff_ids = config.get("rootfs", {}).get("diff_ids", [])
    if len(diff_ids) != len(descriptors):
        raise ImageInvalid(f"the base {name!r} has {len(descriptors)} layers and {len(diff_ids)} diff IDs")
    layers = tuple(Layer("base", each, diff_id) for each, diff_id in zip(descriptors, diff_ids, strict=True))
    paths = [layout.blob_path(each.digest) for each in descriptors]
    if wrong := [each.digest for each in descriptors if not layout.has(each)]:
        raise ImageInvalid(f"the base {name!r} lacks {wrong[0]}, or it has other bytes", hint="pull or copy it again")
    return Base(layout, name, top.descriptor.digest, platform, config, layers, find_python(paths, f"the base {name!r}"))


def _of_platform(layout: Layout, top: Manifest, platform: Platform, name: str) -> Manifest:
    if not top.is_index:
        return top
    entries = [descriptor_of(entry) for entry in top.document.get("manifests") or ()]
    fitting = [each for each in entries if each.platform == platform]
    if not fitting:
        there = ", ".join(str(each.platform) for each in entries if each.platform) or "nothing"
        raise ArchitectureMissing(
            f"the base {name!r} is not there for {platform}; it is for {there}", hint="use another base or --platform"
        )
    return layout.manifest(fitting[0])


def _unpacked(archive: Path, cache: Path) -> Layout:
    """The layout that an archive holds, unpacked once for its content."""
    folder = cache / file_digest(archive).removeprefix("sha256:")[:24]
    if folder.is_dir():
        return Layout(folder)
    try:
        with tarfile.open(archive) as tar, new_folder(folder) as staging:
            unpack_files(tar, staging)
            if not (staging / "index.json").is_file():
                _from_docker(staging)
    except FileExistsError:  # another build was faster
        pass
    except (tarfile.TarError, EOFError, KeyError, ValueError) as error:
        raise ImageInvalid(
            f"{str(archive)!r} is no image archive: {error}", hint="`docker save` and OCI tools write them"
        ) from error
    return Layout(folder)


def _from_docker(folder: Path) -> None:
    """Turn what an older ``docker save`` wrote into a layout."""
    if not (folder / "manifest.json").is_file():
        raise ValueError("neither index.json nor manifest.json is in it")
    saved = json.loads((folder / "manifest.json").read_bytes())
    if len(saved) != 1:
        raise ValueError(f"it holds {len(saved)} images")
    layout = Layout(folder)
    layers = [_adopted(folder, name) for name in saved[0]["Layers"]]
    config = (folder / saved[0]["Config"]).read_bytes()
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor(CONFIG, layout.put(config), len(config)).as_json(),
        "layers": [each.as_json() for each in layers],
    }
    content = as_json(document)
    platform = Platform.of_json(json.loads(config))
    layout.name(Descriptor(MANIFEST, layout.put(content), len(content), platform=platform), "latest")


def _adopted(folder: Path, name: str) -> Descriptor:
    source = folder / name
    digest = file_digest(source)
    with source.open("rb") as stream:
        packed = stream.read(2) == _GZIP
    target = Layout(folder).blob_path(digest)
    ensure_folder(target.parent)
    shutil.move(source, target)
    return Descriptor(GZIP_LAYER if packed else LAYER, digest, target.stat().st_size)
