"""Which files make up an MXNet model: a symbol and one set of parameters beside it."""

import re
from dataclasses import dataclass
from pathlib import Path

from packager.core.errors import ModelInvalid, ModelMissing

SYMBOL_END = "-symbol.json"
_PARAMS = re.compile(r"(?P<stem>.+)-(?P<epoch>\d{4,})\.params")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Both files; ``epoch`` is that of the parameters."""

    symbol: Path
    params: Path


def looks_like_mxnet(path: Path) -> bool:
    """Whether a file, or a folder's files, are named as MXNet names them."""
    if path.is_dir():
        return bool(list(path.glob(f"*{SYMBOL_END}"))) and bool(list(path.glob("*.params")))
    return path.name.endswith(SYMBOL_END) or _PARAMS.fullmatch(path.name) is not None


def find_files(path: Path) -> ModelFiles:
    """The pair that a user means by one of its files, or by their folder; of several epochs the last.

    Raises:
        ModelMissing: The other file is not there.
        ModelInvalid: A folder with several models.
    """
    if path.is_dir():
        symbols = sorted(path.glob(f"*{SYMBOL_END}"))
        if len(symbols) != 1:
            names = ", ".join(symbol.name for symbol in symbols) or "none"
            raise ModelInvalid(
                f"the folder {path.name!r} holds {len(symbols)} symbols ({names}), expected one",
                hint="name the -symbol.json file itself",
            )
        return ModelFiles(symbols[0], _last_params(symbols[0]))
    if path.name.endswith(SYMBOL_END):
        return ModelFiles(path, _last_params(path))
    found = _PARAMS.fullmatch(path.name)
    symbol = path.with_name(f"{found['stem'] if found else path.stem}{SYMBOL_END}")
    if not symbol.is_file():
        raise ModelMissing(
            f"there is no symbol {symbol.name!r} beside {path.name!r}",
            hint="put it there: HybridBlock.export and Module.save_checkpoint write both files",
        )
    return ModelFiles(symbol, path)


def _last_params(symbol: Path) -> Path:
    stem = symbol.name.removesuffix(SYMBOL_END)
    numbered = {}
    for path in symbol.parent.glob("*.params"):
        found = _PARAMS.fullmatch(path.name)
        if found and found["stem"] == stem:
            numbered[int(found["epoch"])] = path
    if numbered:
        return numbered[max(numbered)]
    plain = symbol.with_name(f"{stem}.params")
    if plain.is_file():
        return plain
    raise ModelMissing(
        f"there are no parameters {stem}-0000.params beside {symbol.name!r}",
        hint="put them there: HybridBlock.export and Module.save_checkpoint write both files",
    )
