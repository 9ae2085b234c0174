"""Where a built image goes: a layout folder, an archive that engines load, a registry."""

import json
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from packager.core.archives import tar_of
from packager.core.credentials import CredentialSource
from packager.core.errors import ImageExists
from packager.core.files import ensure_folder, new_folder, writing_to
from packager.core.image import BuiltImage, Descriptor, Platform
from packager.core.progress import Progress
from packager.image.blobs import Blob, descriptor_of
from packager.image.registry import Registry
from packager.image.sbom import SBOM_PATH, SBOM_TYPE
from packager.image.transfer import Layout, Pushed, push_layout


def write_folder(layout: Path, out: Path) -> None:
    """Copy a layout to a folder that is not there yet.

    Raises:
        ImageExists: Something is there.
        NotWritable, DiskFull: Nothing is left.
    """
    if out.exists():
        raise ImageExists(f"{str(out)!r} is there already", hint="remove it, or name another --output")
    with new_folder(out) as staging:
        for path in sorted(layout.rglob("*")):
            target = staging / path.relative_to(layout)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                target.write_bytes(path.read_bytes())


def write_archive(built: BuiltImage, layout: Path, out: Path) -> None:
    """Write an archive that is an OCI layout and, for one platform, what ``docker load`` takes.

    Raises:
        NotWritable, DiskFull: An archive that was there is there still.
    """
    partial = out.with_name(f".{out.name}-{uuid.uuid4().hex}.partial")
    with writing_to(out):
        ensure_folder(out.parent)
        try:
            with partial.open("wb") as stream:
                for piece in archive(built, layout):
                    stream.write(piece)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)


def archive(built: BuiltImage, layout: Path) -> Iterator[bytes]:
    """The archive in pieces; the same bytes for the same image."""
    files: dict[str, Path | bytes] = {
        path.relative_to(layout).as_posix(): path for path in layout.rglob("*") if path.is_file()
    }
    source = Layout(layout)
    top = source.manifest(source.top())
    if not top.is_index:
        saved = {
            "Config": _inside(str(top.document["config"]["digest"])),
            "RepoTags": [str(replace(built.ref, digest=None, tag=built.ref.tag or "latest"))],
            "Layers": [_inside(str(layer["digest"])) for layer in top.document["layers"]],
        }
        files["manifest.json"] = json.dumps([saved], sort_keys=True).encode()
    yield from tar_of(dict(sorted(files.items())))


def push(built: BuiltImage, layout: Path, credentials: CredentialSource, progress: Progress) -> Pushed:
    """Push the image, and attach its bill of materials; the tag is set last.

    Raises:
        PushDenied, RegistryError: Of the registry; the tag still means what it meant.
    """
    with Registry(built.ref.host, credentials) as registry:
        pushed = push_layout(layout, replace(built.ref, digest=None), registry, progress)
        source = Layout(layout)
        for platform in built.platforms:
            manifest = _manifest_of(source, platform)
            bill = sbom_of(source, manifest)
            if bill is not None:
                registry.attach(built.ref.path, manifest, SBOM_TYPE, Blob.of_bytes(bill), SBOM_TYPE)
        return pushed


def sbom_of(layout: Layout, manifest: Descriptor) -> bytes | None:
    """The bill of materials that an image holds."""
    for entry in reversed(layout.manifest(manifest).document["layers"]):
        with tarfile.open(layout.blob_path(str(entry["digest"])), "r:*") as tar:
            for member in tar:
                if member.name == SBOM_PATH and (stream := tar.extractfile(member)) is not None:
                    return stream.read()
    return None


def _manifest_of(layout: Layout, platform: Platform) -> Descriptor:
    top = layout.manifest(layout.top())
    if not top.is_index:
        return top.descriptor
    return next(each for each in map(descriptor_of, top.document["manifests"]) if each.platform == platform)


def _inside(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
