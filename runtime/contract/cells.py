"""What a cell means in a column of a given type, from CSV or from JSON: the type decides, never the look of the text.

``01234`` and ``NA`` are themselves in a column of strings; in a column of numbers they are 1234 and a missing value.
Conversions run over whole columns in C; a Python loop runs over a column that needs one, and to name the culprit.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, Final

from runtime.contract.dtypes import DTYPES, Datatype

MISSING: Final = ""  # a missing string, as skl2onnx's imputers and encoders know it
# Source: pandas.read_csv, na_values. Only columns of floats know them.
MISSING_TEXTS: Final = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
     "NULL", "NaN", "None", "n/a", "nan", "null"]
)  # fmt: skip
_SHOWN_CHARACTERS: Final = 80
_EXACT_FLOAT: Final = 1 << 53  # above it neighbouring whole numbers are one float64
_TRUTH: Final[Mapping[str, bool]] = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_BOOLEANS: Final[Mapping[str, bool]] = {**_TRUTH, "1": True, "0": False}
_FLOAT_WORDS: Final[Mapping[str, float]] = {
    **dict.fromkeys(MISSING_TEXTS, math.nan),
    **{text: float(truth) for text, truth in _TRUTH.items()},
}


class CellError(ValueError):
    """A cell that means nothing in its column.

    Attributes:
        index: In the values that were given.
    """

    def __init__(self, index: int, expected: str, actual: str) -> None:
        super().__init__(f"needs {expected}, got {actual}")
        self.index = index
        self.expected = expected
        self.actual = actual


def values_from_text(dtype: Datatype, cells: Sequence[str]) -> Sequence[Any]:
    """The cells of a CSV as values of ``dtype``.

    Floats: numbers, NaN and infinity; ``MISSING_TEXTS`` are NaN; true and false are 1 and 0. Integers: whole numbers,
    ``1.0`` too; true and false. Booleans: true, false, 1 and 0. Strings: every text as it stands.

    Raises:
        CellError: The first cell that is none of these.
    """
    if dtype == "BYTES":
        return cells
    if dtype == "BOOL":
        return _each(dtype, cells, _BOOLEANS.__getitem__)
    convert, fast = (_float_from_text, float) if DTYPES[dtype].is_float else (_whole_from_text, int)
    if _plain("".join(cells)):
        try:
            values: list[Any] = list(map(fast, cells))
        except ValueError:
            return _each(dtype, cells, convert)
        if fast is int or not (math.inf in values or -math.inf in values):
            return values
    return _each(dtype, cells, convert)


def values_from_json(dtype: Datatype, cells: Sequence[Any]) -> Sequence[Any]:
    """JSON values as values of ``dtype``; in floats ``None`` stays, and is NaN to numpy.

    Floats: numbers, null, booleans. Integers: whole numbers, ``1.0`` too, booleans. Booleans: booleans, 1 and 0.
    Strings: strings; null and NaN are the missing string.

    Raises:
        CellError: The first value that is none of these.
    """
    kinds = set(map(type, cells))
    if kinds <= _AS_THEY_ARE[dtype]:
        return cells
    if dtype == "BYTES":
        return _each(dtype, cells, _string_from_json)
    if dtype == "BOOL":
        return _each(dtype, cells, _truth_from_json)
    return _each(dtype, cells, _number_from_json if DTYPES[dtype].is_float else _whole_from_json)


def is_numeric_text(text: str) -> bool:
    """Whether a column of floats could hold the text, an empty one too."""
    try:
        _float_from_text(text)
    except ValueError:
        return False
    return True


def expected_values(dtype: Datatype) -> str:
    """What a column of this type takes, in words."""
    if dtype in ("BYTES", "BOOL"):
        return f"{'strings' if dtype == 'BYTES' else 'true or false'} ({dtype})"
    return f"{'numbers' if DTYPES[dtype].is_float else 'whole numbers'} ({dtype})"


def show(value: object) -> str:
    """The value as an error prints it: in JSON's words, cut where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | dict):
        return f"{'an array' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _each(dtype: Datatype, cells: Sequence[Any], convert: Callable[[Any], Any]) -> list[Any]:
    try:
        return [convert(cell) for cell in cells]
    except (ValueError, KeyError):
        index = next(index for index, cell in enumerate(cells) if not _converts(cell, convert))
    cell = cells[index]
    actual = "an empty cell" if cell == "" else show(cell)
    raise CellError(index, expected_values(dtype), actual)


def _converts(cell: Any, convert: Callable[[Any], Any]) -> bool:
    try:
        convert(cell)
    except (ValueError, KeyError):
        return False
    return True


def _plain(text: str) -> bool:
    """Python reads digits of every script and ``1_000`` as numbers, nobody else does."""
    return text.isascii() and "_" not in text


def _float_from_text(text: str) -> float:
    if (word := _FLOAT_WORDS.get(text)) is not None:
        return word
    number = float(text)
    if not _plain(text) or (math.isinf(number) and "inf" not in text.lower()):
        raise ValueError(text)  # `1e999` would become an infinity that nobody wrote
    return number


def _whole_from_text(text: str) -> int:
    if (truth := _TRUTH.get(text)) is not None:
        return int(truth)
    if not _plain(text):
        raise ValueError(text)
    try:
        return int(text)
    except ValueError:
        return _whole(float(text))


def _whole(number: float) -> int:
    if not number.is_integer() or abs(number) > _EXACT_FLOAT:
        raise ValueError(number)
    return int(number)


def _whole_from_json(value: object) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _whole(value)
    raise ValueError(value)


def _truth_from_json(value: object) -> bool:
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise ValueError(value)


def _number_from_json(value: object) -> float | None:
    if value is None or isinstance(value, int | float):
        return value
    raise ValueError(value)


def _string_from_json(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    raise ValueError(value)


def _as_they_are(dtype: Datatype) -> frozenset[type]:
    if dtype == "BYTES":
        return frozenset({str})
    if dtype == "BOOL":
        return frozenset({bool})
    return frozenset({int, float, bool, NoneType}) if DTYPES[dtype].is_float else frozenset({int})


_AS_THEY_ARE: Final[Mapping[Datatype, frozenset[type]]] = {dtype: _as_they_are(dtype) for dtype in DTYPES}
