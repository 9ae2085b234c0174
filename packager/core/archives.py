"""Folders out of tar archives that others wrote: regular files alone, and never outside of where they should go."""

import shutil
import tarfile
from pathlib import Path, PurePosixPath

from packager.core.errors import ImageInvalid


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
