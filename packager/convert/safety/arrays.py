"""The arrays that joblib writes between the opcodes: how many bytes each takes, without numpy.

Source: ``NumpyArrayWrapper`` of joblib.numpy_pickle (1.0 to 1.6) and ``dtype.__reduce__`` of numpy (1.17 to 2.4).
"""

import re
from dataclasses import dataclass

from packager.convert.safety.values import ABSENT, Made, Name, Pair, Table

DTYPE = Pair("numpy", "dtype")
NDARRAY = Pair("numpy", "ndarray")
ARRAY_TYPES = frozenset(
    {NDARRAY, Pair("numpy", "matrix"), Pair("numpy.matrixlib.defmatrix", "matrix"), Pair("numpy", "memmap")}
    | {Pair("numpy.core.memmap", "memmap"), Pair("numpy.memmap", "memmap")}
)
_KIND = re.compile(r"([biufcmMSUVO])(\d{1,9})", re.ASCII)
_HAS_OBJECT = 1  # NPY_ITEM_HASOBJECT
_STATE_VERSIONS = (3, 4)


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """What follows a wrapper: ``size_bytes`` of raw values, after padding where ``padded``; or a pickle of objects."""

    size_bytes: int
    padded: bool
    objects: bool


def layout(state: object) -> ArrayLayout | None:
    """The layout that the state of a wrapper describes, or None where joblib itself would not write such a state."""
    if not isinstance(state, Table) or state.computed:
        return None
    subclass, order, dtype = state.get("subclass"), state.get("order"), state.get("dtype")
    alignment = state.get("numpy_array_alignment_bytes")
    count = _count(state.get("shape"))
    if not (isinstance(subclass, Name) and subclass.pair in ARRAY_TYPES and order in ("C", "F")):
        return None
    if count is None or not isinstance(dtype, Made) or not (alignment in (ABSENT, None) or type(alignment) is int):
        return None
    item = _item(dtype)
    if item is None:
        return None
    item_bytes, objects = item
    return ArrayLayout(count * item_bytes, padded=type(alignment) is int, objects=objects)


def _count(shape: object) -> int | None:
    if type(shape) is not tuple:
        return None
    count = 1
    for length in shape:
        if type(length) is not int or length < 0:
            return None
        count *= length
    return count if count < 1 << 62 else None


def _item(dtype: Made) -> tuple[int, bool] | None:
    """Bytes of one item, and whether it holds objects; None for what numpy would not write."""
    if dtype.pair != DTYPE or not dtype.args or not isinstance(code := dtype.args[0], str):
        return None
    match = _KIND.fullmatch(code)
    if match is None or int(match[2]) == 0:
        return None
    kind, item_bytes = match[1], int(match[2]) * (4 if match[1] == "U" else 1)
    if not dtype.built:
        return (item_bytes, kind == "O") if kind != "V" else None
    objects = _state_objects(dtype.state, item_bytes)
    # A plain type whose flags say otherwise is read in one way by numpy and in another by us.
    return None if objects is None or (kind != "V" and objects != (kind == "O")) else (item_bytes, objects)


def _state_objects(state: object, item_bytes: int) -> bool | None:
    if type(state) is not tuple or len(state) not in (8, 9):
        return None
    version, _, subarray, _, _, size, _, flags = state[:8]
    if version not in _STATE_VERSIONS or subarray is not None or size not in (-1, item_bytes) or type(flags) is not int:
        return None
    return bool(flags & _HAS_OBJECT)
