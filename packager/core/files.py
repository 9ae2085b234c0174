"""Files and folders written whole or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from packager.core.errors import DiskFull, NotWritable


def write_atomic(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``; a reader sees the old content or the new, never a part.

    Raises:
        NotWritable, DiskFull: Nothing was changed.
    """
    with writing_to(path):
        ensure_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling of ``path`` that becomes ``path`` at the end of the block, or vanishes on any error.

    Raises:
        NotWritable, DiskFull: Nothing is left.
        FileExistsError: ``path`` came into being meanwhile, and is left as it is.
    """
    with writing_to(path):
        ensure_folder(path.parent)
        staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield staging
            _sync_tree(staging)
            staging.chmod(0o755 & ~_umask())
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            try:
                staging.rename(path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


def ensure_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        OSError: As the operating system put it; a file in the way is ENOTDIR wherever in the path it stands.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error


def copy_tree(source: Path, destination: Path) -> None:
    """Copy the files of ``source`` into the folder ``destination``, links followed.

    ``shutil.copytree`` loses the error number on the way, and with it the difference between a full disk and a lock.

    Raises:
        OSError: The first refusal, as the operating system put it.
    """
    for path in sorted(source.rglob("*")):
        copy = destination / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Map the operating system's refusals to write to dray's errors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"no room left while writing {str(path)!r}: {error.strerror}",
                hint="free some space, or choose another folder (--out, DRAY_HOME); nothing half-written was left",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise NotWritable(
                f"cannot write {str(path)!r}: {(error.strerror or '').lower()}",
                hint="choose a folder that you may write to (--out, DRAY_HOME)",
            ) from error
        raise


def _sync_tree(root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def _umask() -> int:
    value = os.umask(0o022)
    os.umask(value)
    return value
