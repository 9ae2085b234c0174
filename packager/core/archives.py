"""Tar archives: our own, in pieces; and folders out of those that others wrote.

Of others' archives regular files alone are taken, and never outside of where they should go.
"""

import io
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from packager.core.errors import ImageInvalid

_PIECE: Final = 1 << 20


def tar_of(files: Mapping[str, Path | bytes]) -> Iterator[bytes]:
    """An archive of these files by name, in their order, in pieces; the same bytes for the same files."""
    for name, content in files.items():
        yield from _member(name, content)
    yield b"\0" * tarfile.BLOCKSIZE * 2


def unpack_folder(archive: tarfile.TarFile, folder: str, out: Path) -> bool:
    """Write the files of one folder of an archive to ``out``; False where the archive has none of it.

    Links and devices are no part of a model package, so they are left out; whoever reads the package misses them.

    Raises:
        ImageInvalid: A name leads out of the folder.
    """
    found = False
    for member in archive:
        path = PurePosixPath(member.name.removeprefix("./").lstrip("/"))
        content = archive.extractfile(member) if member.isreg() and path.is_relative_to(folder) else None
        if content is None:
            continue
        inner = path.relative_to(folder)
        if ".." in inner.parts:
            raise ImageInvalid(f"the archive holds a file that leads elsewhere: {member.name!r}", hint="do not use it")
        target = out.joinpath(*inner.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with content, target.open("wb") as stream:
            shutil.copyfileobj(content, stream)
        found = True
    return found


def unpack_files(archive: tarfile.TarFile, out: Path) -> None:
    """Write every file of an archive below ``out``; a link within it becomes a copy of what it leads to.

    By hand, for the filters of ``tarfile`` came with 3.11.4 only.

    Raises:
        ImageInvalid: A name leads out of the folder.
        KeyError: A link leads to nothing.
    """
    for member in archive:
        if not (member.isreg() or member.issym() or member.islnk()):
            continue
        path = PurePosixPath(member.name.removeprefix("./"))
        if path.is_absolute() or ".." in path.parts:
            raise ImageInvalid(f"the archive holds a file that leads elsewhere: {member.name!r}", hint="do not use it")
        content = archive.extractfile(member)
        if content is None:
            continue
        target = out.joinpath(*path.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with content, target.open("wb") as stream:
            shutil.copyfileobj(content, stream)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _member(name: str, content: Path | bytes) -> Iterator[bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content) if isinstance(content, bytes) else content.stat().st_size
    yield member.tobuf(tarfile.GNU_FORMAT)
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece
    if rest := member.size % tarfile.BLOCKSIZE:
        yield b"\0" * (tarfile.BLOCKSIZE - rest)
