"""The files of a package out of an archive, or a folder: plain files and folders only, within bounds.

Nothing is extracted by ``tarfile`` itself: names, kinds and sizes are checked first, and neither modes nor owners are
taken over, so that it does not matter which filters this Python has.
"""

import gzip
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from runtime.contract.manifest import MANIFEST_NAME
from runtime.errors import ArchiveUnsafe

_GZIP: Final = b"\x1f\x8b"
_PIECE: Final = 1 << 20
# Of one read: what tarfile reads at once beyond it is a header, which it would hold in memory.
_LARGEST_READ: Final = 4 << 20
_MOST_FILES: Final = 10_000
_LONGEST_NAME: Final = 1024
_MAKE: Final = "make it of a package's folder: tar -cf NAME.tar -C PACKAGE ."

Need = Callable[[int], None]


def unpack(archive: Path, folder: Path, need: Need) -> None:
    """The archive's files under ``folder``, which is new.

    A folder that holds all of them (``churn-2/…``) is left away.

    Args:
        need: Asked before each file whether there is room for so many bytes.

    Raises:
        ArchiveUnsafe: It is no tar (or gzipped tar), or holds what no package holds.
        OSError: The folder cannot be written.
    """
    folder.mkdir()
    files = 0
    try:
        with _tar(archive) as tar:
            for member in tar:
                files += 1
                _check(files <= _MOST_FILES, f"more than {_MOST_FILES} entries")
                path = folder / _name(member)
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                _check(member.isreg() and not member.issparse(), f"{member.name!r}, which is no plain file")
                need(member.size)
                _write(tar, member, path)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise ArchiveUnsafe(f"the archive holds {member.name!r} twice", hint=_MAKE) from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError, ValueError) as error:
        raise ArchiveUnsafe(f"the archive is no tar that can be read: {str(error).lower()}", hint=_MAKE) from error
    _lift(folder)


def copy(source: Path, folder: Path, need: Need) -> int:
    """The files of a folder under ``folder``, which is new. Bytes that were written.

    Raises:
        ArchiveUnsafe: It is no folder, or holds what no package holds.
        OSError: It cannot be read, or the other not be written.
    """
    if not source.is_dir():
        raise ArchiveUnsafe(f"{str(source)!r} is no folder of this container", hint="mount it there")
    folder.mkdir()
    written = files = 0
    for root, folders, names in os.walk(source):
        for name in (*folders, *names):
            files += 1
            _check(files <= _MOST_FILES, f"more than {_MOST_FILES} entries")
            path = Path(root) / name
            target = folder / path.relative_to(source)
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                target.mkdir()
                continue
            _check(stat.S_ISREG(mode), f"{name!r}, which is no plain file")
            need(size := path.stat().st_size)
            written += size
            shutil.copyfile(path, target, follow_symlinks=False)
            sync(target)
    return written


def sync(path: Path) -> None:
    """What was written to a file or a folder is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _tar(archive: Path) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        plain: IO[bytes] = gzip.GzipFile(fileobj=file, mode="rb") if packed else file  # type: ignore[assignment]
        stream: Any = _Bounded(plain)
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            yield tar


class _Bounded:
    """A file that is read in small pieces only."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        if not 0 <= size <= _LARGEST_READ:
            raise ValueError("a header is too large")
        return self._file.read(size)


def _name(member: tarfile.TarInfo) -> PurePosixPath:
    name = PurePosixPath(member.name)
    plain = len(member.name) <= _LONGEST_NAME and "\\" not in member.name and "\0" not in member.name
    _check(plain and not name.is_absolute() and ".." not in name.parts, f"the name {member.name[:200]!r}")
    return name


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    taken = tar.extractfile(member)
    if taken is None:
        raise ArchiveUnsafe(f"the archive's {member.name!r} cannot be read", hint=_MAKE)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        left = member.size
        while left:
            piece = taken.read(min(_PIECE, left))
            _check(bool(piece), f"{member.name!r}, which is cut short")
            file.write(piece)
            left -= len(piece)
        file.flush()
        os.fsync(file.fileno())


def _lift(folder: Path) -> None:
    """Leave away a folder that holds all."""
    found = list(folder.iterdir())
    if (folder / MANIFEST_NAME).exists() or len(found) != 1 or not found[0].is_dir():
        return
    aside = folder.with_name(folder.name + ".lifted")
    shutil.rmtree(aside, ignore_errors=True)
    found[0].rename(aside)
    folder.rmdir()
    aside.rename(folder)


def _check(fits: bool, what: str) -> None:
    if not fits:
        raise ArchiveUnsafe(f"the archive or folder holds {what}", hint=_MAKE)
