"""Layers: the same files make the same bytes, whoever packs them, when and where.

Owner, mode and time of every member are fixed and members are sorted, so diff IDs are equal on every machine. The
compressed blob is zlib's at one level: equal wherever zlib is the same, which is all but a few distributions.
"""

import gzip
import hashlib
import io
import tarfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import IO, Final

from packager.core.files import ensure_folder, writing_to
from packager.core.image import Descriptor, Layer
from packager.image.blobs import GZIP_LAYER

_LEVEL: Final = 6
_PIECE: Final = 1 << 20


def write_layer(
    name: str,
    files: Mapping[str, Path | bytes],
    blobs: Path,
    *,
    epoch: int = 0,
    owned: Mapping[str, int] = MappingProxyType({}),
) -> Layer:
    """Pack files into a layer among the blobs of a layout.

    Args:
        files: What lies where in the image (no leading slash): a file, or its bytes; folders are made for them.
        blobs: ``blobs/sha256`` of an OCI layout.
        epoch: Time of every member, in seconds since 1970.
        owned: Folders, with the user (and group) that they belong to; everything else is root's.

    Raises:
        NotWritable, DiskFull: Nothing is left.
    """
    # A name of its own: two builds may pack the same layer at a time.
    partial = blobs / f".{name}-{uuid.uuid4().hex}.partial"
    with writing_to(partial):
        ensure_folder(blobs)
        try:
            with partial.open("wb") as out:
                packed = _Measured(out)
                with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=packed, mtime=0) as stream:
                    plain = _Measured(stream)
                    _pack(files, owned, plain, epoch)
            final = blobs / packed.hexdigest
            partial.replace(final)
        finally:
            partial.unlink(missing_ok=True)
    descriptor = Descriptor(GZIP_LAYER, f"sha256:{packed.hexdigest}", packed.size)
    return Layer(name, descriptor, f"sha256:{plain.hexdigest}", plain.size)


def files_below(folder: Path, prefix: str) -> dict[str, Path]:
    """Every regular file of a folder by its place in the image; links are followed."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f"{prefix}/{path.relative_to(folder).as_posix()}": path for path in found}


class _Measured(io.RawIOBase):
    """What is written goes on, and is counted and hashed."""

    def __init__(self, out: "IO[bytes] | gzip.GzipFile") -> None:
        super().__init__()
        self._out = out
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def hexdigest(self) -> str:
        """Of all that was written."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """On to the stream below."""
        self._hash.update(data)
        self.size += len(data)
        self._out.write(data)
        return len(data)


def _pack(
    files: Mapping[str, Path | bytes], owned: Mapping[str, int], out: IO[bytes] | io.RawIOBase, epoch: int
) -> None:
    # GNU format: PAX writes headers of its own for long names, with a process number in them.
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT, bufsize=_PIECE) as tar:
        for folder in sorted({*_folders([*files, *owned]), *owned}):
            member = _member(folder, epoch, kind=tarfile.DIRTYPE, mode=0o755)
            member.uid = member.gid = owned.get(folder, 0)
            tar.addfile(member)
        for name, content in sorted(files.items()):
            if isinstance(content, bytes):
                tar.addfile(_member(name, epoch, size=len(content)), io.BytesIO(content))
            else:
                runs = content.stat().st_mode & 0o100
                with content.open("rb") as stream:
                    size = content.stat().st_size
                    tar.addfile(_member(name, epoch, size=size, mode=0o755 if runs else 0o644), stream)


def _folders(files: Iterable[str]) -> set[str]:
    return {str(parent) for name in files for parent in _parents(name)}


def _parents(name: str) -> Iterator[PurePosixPath]:
    return (parent for parent in PurePosixPath(name).parents if str(parent) != ".")


def _member(
    name: str, epoch: int, *, kind: bytes = tarfile.REGTYPE, size: int = 0, mode: int = 0o644
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.mode, member.mtime = kind, size, mode, epoch
    return member
