"""Where a built image goes: a layout folder, an archive that engines load, an engine, a registry."""

import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from packager.core.credentials import CredentialSource
from packager.core.errors import EngineUnavailable, EnvironmentMissing, ImageExists
from packager.core.files import ensure_folder, new_folder, writing_to
from packager.core.image import BuiltImage, Descriptor, Platform
from packager.core.progress import Progress
from packager.image.blobs import Blob, descriptor_of
from packager.image.registry import Registry
from packager.image.sbom import SBOM_PATH, SBOM_TYPE
from packager.image.transfer import Layout, Pushed, push_layout

_PIECE: Final = 1 << 20


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
    for name, content in sorted(files.items()):
        yield from _member(name, content)
    yield b"\0" * tarfile.BLOCKSIZE * 2


def load_into_engine(built: BuiltImage, layout: Path, client: Any) -> None:
    """Load the image into a Docker engine.

    Args:
        client: Of the docker SDK.

    Raises:
        EngineUnavailable: It does not answer, or does not take the image.
    """
    import docker.errors

    if len(built.platforms) != 1:
        raise EngineUnavailable(
            "an engine holds an image for one platform", hint="build for one --platform, or push, or write --output"
        )
    try:
        client.images.load(_Pieces(archive(built, layout)))
    except docker.errors.DockerException as error:
        raise EngineUnavailable(
            f"the engine did not take the image: {error}", hint="is there room on its disk?"
        ) from error


def engine() -> Any:
    """A client of the engine that the environment names.

    Raises:
        EngineUnavailable: None answers.
        EnvironmentMissing: The docker SDK is not installed.
    """
    try:
        import docker
        import docker.errors
    except ImportError as error:
        raise EnvironmentMissing(
            "talking to an engine needs the docker SDK", hint='pip install "dray[docker]"'
        ) from error
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except docker.errors.DockerException as error:
        said = " ".join(str(error).split())[:200]
        raise EngineUnavailable(
            f"no container engine answers: {said}", hint="start one, set DOCKER_HOST, or use --builder oci"
        ) from error
    return client


def push(
    built: BuiltImage, layout: Path, credentials: CredentialSource, progress: Progress, *, mount_from: str | None = None
) -> Pushed:
    """Push the image, and attach its bill of materials; the tag is set last.

    Raises:
        PushDenied, RegistryError: Of the registry; the tag still means what it meant.
    """
    with Registry(built.ref.host, credentials) as registry:
        pushed = push_layout(layout, replace(built.ref, digest=None), registry, progress, mount_from=mount_from)
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


def _member(name: str, content: Path | bytes) -> Iterator[bytes]:
    member = tarfile.TarInfo(name)
    member.mode = 0o644
    member.size = len(content) if isinstance(content, bytes) else content.stat().st_size
    yield member.tobuf(tarfile.GNU_FORMAT)
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece
    if rest := member.size % tarfile.BLOCKSIZE:
        yield b"\0" * (tarfile.BLOCKSIZE - rest)


class _Pieces(io.RawIOBase):
    """An iterator as the file that the docker SDK sends."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def read(self, size: int = -1) -> bytes:
        """The next bytes; as many as there are in one piece."""
        if not self._rest:
            self._rest = next(self._pieces, b"")
        taken, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return taken
