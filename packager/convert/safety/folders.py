"""Folders of models: modules of their own that they name, pickles among their files, links that lead out of them."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from packager.convert.safety.clearance import Cleared, Trust, cleared
from packager.core.conversion import LoadLimits
from packager.core.errors import ModelInvalid, UnsafeModel

_SHOWN = 3
_MOST_FILES = 10_000
# Weights of other frameworks, and what training leaves behind: nothing that is converted needs them.
_LEFT_OUT = {".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".ot", ".pkl", ".pt", ".pth"}


def cleared_folder(
    source: Path, folder: Path, *, code: Sequence[str], pickles: Sequence[Path], trust: Trust = False
) -> Cleared:
    """The folder as it may be loaded: it runs no code of its own, or what it runs is trusted.

    Args:
        folder: Does not exist yet. The files are copied into it where some are pickles, so that what was read is what
            is loaded, or links out of ``source``, as in a cache of downloads, where the loading process cannot read.
        code: Modules that would run, as the folder's converter read it.
        pickles: Files that would be unpickled.

    Raises:
        UnsafeModel: It would run something that is not trusted; names it.
        ModelInvalid: It holds more files than any model, or a pickle that cannot be read.
    """
    _check_trusted(source, code, trust)
    files = _files(source)
    if not pickles and all(path.resolve().is_relative_to(source.resolve()) for path in files):
        return Cleared(source, trusted=tuple(code), limits=_limits(code, source))
    copy = folder / source.name
    kept = [path for path in files if path.suffix.lower() not in _LEFT_OUT]
    for path in kept:
        shutil.copyfile(path, _place(copy / path.relative_to(source)))
    trusted = list(code)
    for index, path in enumerate(pickles):
        place = folder / f"pickle-{index}"
        place.mkdir()
        safe = cleared(path, place, frameworks=("torch",), trust=trust)
        shutil.move(safe.path, _place(copy / path.relative_to(source)))
        trusted += safe.trusted
    return Cleared(copy, trusted=tuple(dict.fromkeys(trusted)), limits=_limits(code, copy))


def _check_trusted(source: Path, code: Sequence[str], trust: Trust) -> None:
    if not code or trust is True:
        return
    shown = ", ".join(code[:_SHOWN]) + (f" and {len(code) - _SHOWN} more" if len(code) > _SHOWN else "")
    detail = {"calls": [{"name": name, "called": True} for name in code]}
    if trust is False:
        raise UnsafeModel(
            f"loading {source.name!r} would run {shown}, code of its own",
            hint="nothing of it was run; if you wrote it, or know who did, --trust loads it in a closed-off process"
            " and records what it runs in the certificate",
            detail=detail,
        )
    if not trust(code):
        raise UnsafeModel(
            f"{source.name!r} is not trusted: it would run {shown}", hint="nothing of it was run", detail=detail
        )


def _files(source: Path) -> list[Path]:
    files = []
    for path in source.rglob("*"):
        if path.is_file():
            files.append(path)
        if len(files) > _MOST_FILES:
            raise ModelInvalid(
                f"{source.name!r} holds more than {_MOST_FILES} files", hint="name the model's own folder"
            )
    return files


def _place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _limits(code: Sequence[str], source: Path) -> LoadLimits:
    return LoadLimits(imports=(source,) if code else ())
