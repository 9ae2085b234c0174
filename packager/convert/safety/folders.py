"""Folders of models whose format holds no code by itself, but may name modules of its own to run."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from packager.convert.safety.clearance import Cleared, Trust
from packager.core.errors import ModelInvalid, UnsafeModel

_SHOWN = 3
_MOST_FILES = 10_000


def cleared_folder(source: Path, folder: Path, calls: Sequence[str], *, trust: Trust = False) -> Cleared:
    """The folder as it may be loaded: it brings no code, or what it brings is trusted.

    Args:
        folder: Does not exist yet; where files are links that lead out of ``source``, as in a cache of downloads, the
            whole is copied into it, because the process that loads it reads nothing else.
        calls: What would run, as its converter read it.

    Raises:
        UnsafeModel: It brings code, and that is not trusted; names it.
        ModelInvalid: It holds more files than any model.
    """
    shown = ", ".join(calls[:_SHOWN]) + (f" and {len(calls) - _SHOWN} more" if len(calls) > _SHOWN else "")
    detail = {"calls": [{"name": name, "called": True} for name in calls]}
    if calls and trust is False:
        raise UnsafeModel(
            f"loading {source.name!r} would run {shown}, code of its own",
            hint="nothing of it was run; if you wrote it, or know who did, --trust loads it in a closed-off process"
            " and records what it runs in the certificate",
            detail=detail,
        )
    if calls and trust is not True and not trust(calls):
        raise UnsafeModel(
            f"{source.name!r} is not trusted: it would run {shown}", hint="nothing of it was run", detail=detail
        )
    return Cleared(_within(source, folder), trusted=tuple(calls))


def _within(source: Path, folder: Path) -> Path:
    root = source.resolve()
    files = []
    for path in source.rglob("*"):
        files.append(path)
        if len(files) > _MOST_FILES:
            raise ModelInvalid(
                f"{source.name!r} holds more than {_MOST_FILES} files", hint="name the model's own folder"
            )
    if all(path.resolve().is_relative_to(root) for path in files):
        return source
    copy = folder / source.name
    for path in files:
        if path.is_file():
            target = copy / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return copy
