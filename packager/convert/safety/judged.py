"""Files that their converter judges: those of formats that hold or name code in another way than a pickle does."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from packager.convert.safety.clearance import Cleared, Trust
from packager.core.conversion import LoadLimits
from packager.core.errors import ModelInvalid, UnsafeModel
from runtime.contract.package import file_sha256

_SHOWN = 5
Judge = Callable[[Path], tuple[str, ...]]


def cleared_by(judge: Judge, source: Path, folder: Path, *, trust: Trust) -> Cleared:
    """The file or folder as it may be loaded: it runs only what is on the lists, or what is trusted.

    Args:
        judge: What a file would run that is on no list.
        folder: Not there yet; the copy is put there under the file's own name.

    Raises:
        UnsafeModel: It would run something else, and that is not trusted; names it.
        ModelInvalid: It cannot be read, or parts of it lie elsewhere.
    """
    folder.mkdir()
    copy = _copied(source, folder / source.name)
    found = judge(copy)
    _agree(source, found, trust)
    sha256 = file_sha256(copy) if copy.is_file() else None
    # Nothing of such a file is unpickled, so whatever is unpickled all the same may only be plain data.
    return Cleared(copy, sha256, found, LoadLimits(frameworks=()))


def _copied(source: Path, copy: Path) -> Path:
    if source.is_file():
        shutil.copyfile(source, copy)
        return copy
    root = source.resolve()
    for item in source.rglob("*"):
        if item.is_symlink() and not item.resolve().is_relative_to(root):
            raise ModelInvalid(
                f"{source.name!r} holds a link to a file elsewhere: {item.relative_to(source).as_posix()!r}",
                hint="copy the folder with the files themselves in it (cp -rL)",
            )
    shutil.copytree(source, copy)
    return copy


def _agree(source: Path, found: Sequence[str], trust: Trust) -> None:
    if not found or trust is True:
        return
    listed = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
    detail = {"calls": [{"name": name, "position": 0, "called": True} for name in found]}
    if trust is False:
        raise UnsafeModel(
            f"loading {source.name!r} would run what no list of harmless names holds: {listed}",
            hint="nothing of it was run; if you made the file, or know who did, --trust loads it in a closed-off"
            " process and records this in the certificate; a class of your own needs --plugin MODULE as well",
            detail=detail,
        )
    if not trust(found):
        raise UnsafeModel(
            f"{source.name!r} is not trusted: it would run {listed}", hint="nothing of it was run", detail=detail
        )
