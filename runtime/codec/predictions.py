"""Outputs as rows: what every dialect answers whose answer is one list.

A model with one output gives its rows; with several, one record a row by output name. Where an output has no rows of
its own, one object holds each output whole.
"""

from collections.abc import Mapping
from typing import Any

from runtime.codec.values import Array, json_values


def plain_values(outputs: Mapping[str, Array]) -> dict[str, Any]:
    """Each output in its axes, as orjson writes it; NaN becomes ``null``.

    Raises:
        NonFiniteOutput: An output holds infinity.
    """
    return {name: _plain(name, array) for name, array in outputs.items()}


def rows_of(plain: Mapping[str, Any], outputs: Mapping[str, Array]) -> Any:
    """The rows of outputs that ``plain_values`` has made plain."""
    rows = {array.shape[0] if array.ndim else None for array in outputs.values()}
    if len(plain) == 1:
        return next(iter(plain.values()))
    if len(rows) == 1 and None not in rows:
        return [dict(zip(plain, row, strict=True)) for row in zip(*map(_rows, plain.values()), strict=True)]
    return plain


def _plain(name: str, array: Array) -> Any:
    values = json_values(name, array)
    if isinstance(values, list):
        nested = array.copy()
        nested.reshape(-1)[:] = values
        return nested.tolist()
    return values.reshape(array.shape) if array.ndim else _rows(values)[0]


def _rows(values: Any) -> list[Any]:
    """One entry a row. Numbers of a narrow float type stay that, and are written as short as they can be."""
    if isinstance(values, list) or values.ndim > 1 or values.dtype.kind == "f":
        return list(values)
    plain: list[Any] = values.tolist()  # orjson does not know every name that numpy has for an integer
    return plain
