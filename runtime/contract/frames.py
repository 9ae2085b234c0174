"""A frame, from CSV, records or split, laid out as a model's inputs take it.

Columns go by name where the signature has names: the ``columns`` of an input, or several inputs of one column each. A
model of one input without names takes them by position. Columns that the model does not know are left out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from runtime.contract.cells import CellError
from runtime.contract.dtypes import Datatype
from runtime.contract.manifest import TensorSpec

Convert = Callable[[Datatype, Sequence[Any]], Sequence[Any]]
Place = Callable[[int], tuple[str, Mapping[str, Any]]]

_NAMES_SHOWN: Final = 20
_OTHERWISE: Final = "send its values under 'inputs' or 'instances', as JSON"


class FrameError(ValueError):
    """A frame that cannot be read, or does not fit the model; whoever reads frames says what that means to its caller.

    Attributes:
        detail: ``column``, ``row`` (from 0) and ``line`` (of a CSV, from 1) where they are known.
    """

    def __init__(self, message: str, *, hint: str = "", detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = dict(detail or {})


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows as they came.

    Attributes:
        names: Of the columns; None where none were given.
        rows: All of the length of ``names``: sequences in its order, or mappings by name where ``keyed``.
        convert: Cells of one type to values; raises CellError.
        place: How an error calls a row, and its ``detail``.
    """

    names: tuple[str, ...] | None
    rows: Sequence[Any]
    keyed: bool
    convert: Convert
    place: Place


@dataclass(frozen=True, slots=True)
class Block:
    """What one input takes of a frame.

    Attributes:
        columns: As errors call them: names, or places from 0.
        values: Flat, row-major.
    """

    spec: TensorSpec
    columns: tuple[str | int, ...]
    values: Sequence[Any]
    shape: tuple[int, ...]
    frame: Frame

    def blame(self, index: int, expected: str, actual: str) -> FrameError:
        """The error about a value, by column and row."""
        row, at = divmod(index, len(self.columns))
        where, detail = self.frame.place(row)
        column = self.columns[at]
        return FrameError(
            f"column {column!r} needs {expected}, got {actual} in {where}",
            detail={"tensor": self.spec.name, "column": column, **detail, "expected": expected, "actual": actual},
        )


def takes_names(specs: Sequence[TensorSpec]) -> bool:
    """Whether columns go to these inputs by name."""
    return len(specs) != 1 or specs[0].columns is not None


def blocks_of(frame: Frame, specs: Sequence[TensorSpec]) -> list[Block]:
    """What each input takes of the frame, in the order of ``specs``.

    Raises:
        FrameError: A column is missing or there twice, the width does not fit, a row lacks a column, a cell does not
            fit its column, or an input is none that a frame could feed.
    """
    widths = [width_of(spec) for spec in specs]
    if takes_names(specs) or (widths == [1] and specs[0].name in (frame.names or ())):
        return [_named_block(frame, spec, width) for spec, width in zip(specs, widths, strict=True)]
    return [_positional_block(frame, specs[0], widths[0])]


def listed(names: Iterable[str]) -> str:
    """Names in quotes; the first ones of many."""
    quoted = [repr(name) for name in names]
    more = len(quoted) - _NAMES_SHOWN
    return ", ".join(quoted[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def is_counted(names: Sequence[str]) -> bool:
    """Whether the names are 0, 1, … in any order: what pandas calls columns that have none."""
    return len(names) > 0 and sorted(names) == sorted(map(str, range(len(names))))


def width_of(spec: TensorSpec) -> int | None:
    """Columns that the input takes; None where any number will do."""
    if len(spec.shape) == 1 and spec.columns is None:
        return 1
    if len(spec.shape) == 2:
        return spec.shape[1] if isinstance(spec.shape[1], int) else None
    shape = ", ".join(map(str, spec.shape))
    raise FrameError(f"input {spec.name!r} has the shape [{shape}], which no frame has", hint=_OTHERWISE)


def _named_block(frame: Frame, spec: TensorSpec, width: int | None) -> Block:
    if spec.columns is None and width != 1:
        message = f"input {spec.name!r} has {width or 'any number of'} columns without names, so a frame cannot feed it"
        raise FrameError(message, hint=_OTHERWISE)
    names = spec.columns or (spec.name,)
    if not frame.rows and not frame.names:
        return _block(frame, spec, names, ())
    if frame.names is None:
        raise FrameError(
            f"the model takes its columns by name ({listed(names)}), and the frame has none",
            detail={"expected": list(names)},
        )
    return _block(frame, spec, names, [_key(frame, name) for name in names])


def _positional_block(frame: Frame, spec: TensorSpec, width: int | None) -> Block:
    names = frame.names or ()
    found = len(names) or (len(frame.rows[0]) if frame.rows else width or 0)
    if width is not None and found != width:
        given = f" ({listed(names)})" if names else ""
        raise FrameError(
            f"input {spec.name!r} takes {width} columns by position, the frame has {found}{given}",
            detail={"tensor": spec.name, "expected": width, "actual": found},
        )
    if frame.keyed and (row := ragged(frame.rows, found)) is not None:
        where, detail = frame.place(row)
        raise FrameError(f"{where} has {len(frame.rows[row])} columns, the first has {found}", detail=detail)
    order = list(range(found))
    if is_counted(names):
        order.sort(key=lambda index: int(names[index]))  # sorted as text, 10 stands before 2
    labels = [names[index] for index in order] if names else order
    return _block(frame, spec, labels, labels if frame.keyed else order)


def _key(frame: Frame, name: str) -> Any:
    names = frame.names or ()
    found = names.count(name)
    if found == 1:
        return name if frame.keyed else names.index(name)
    what = "missing" if found == 0 else f"there {found} times"
    raise FrameError(
        f"column {name!r} is {what}; the frame has {listed(names) or 'no columns'}",
        detail={"column": name, "actual": list(names[:_NAMES_SHOWN])},
    )


def _block(frame: Frame, spec: TensorSpec, labels: Sequence[str | int], keys: Sequence[Any]) -> Block:
    shape = (len(frame.rows),) if len(spec.shape) == 1 else (len(frame.rows), len(labels))
    raw = Block(spec, tuple(labels), _cells(frame, keys), shape, frame)
    try:
        values = frame.convert(spec.dtype, raw.values)
    except CellError as error:
        raise raw.blame(error.index, error.expected, error.actual) from error
    return Block(spec, raw.columns, values, shape, frame)


def _cells(frame: Frame, keys: Sequence[Any]) -> list[Any]:
    """The cells under ``keys``, flat, row-major."""
    if not frame.rows:
        return []
    if not keys:
        raise FrameError("the frame has rows without columns")
    if not frame.keyed and list(keys) == list(range(len(frame.rows[0]))):
        return list(chain.from_iterable(frame.rows))
    taken = map(itemgetter(*keys), frame.rows)
    try:
        return list(taken) if len(keys) == 1 else list(chain.from_iterable(taken))
    except KeyError:
        row, name = next((row, key) for row, record in enumerate(frame.rows) for key in keys if key not in record)
    where, detail = frame.place(row)
    raise FrameError(f"column {name!r} is missing in {where}", detail={"column": name, **detail}) from None


def ragged(rows: Sequence[Sequence[Any]], width: int) -> int | None:
    """Index of the first row that is not ``width`` long."""
    if set(map(len, rows)) <= {width}:
        return None
    return next(index for index, row in enumerate(rows) if len(row) != width)


def frame_of_rows(
    rows: Sequence[Any], names: Sequence[str] | None, convert: Convert, place: Place, *, width: int | None = None
) -> Frame:
    """A frame of rows in the order of ``names``.

    Args:
        width: Of every row; that of the names, or of the first row, when None.

    Raises:
        FrameError: A row is longer or shorter.
    """
    if width is None:
        width = len(names) if names is not None else len(rows[0]) if rows else 0
    if (row := ragged(rows, width)) is not None:
        where, detail = place(row)
        wanted = "columns have names" if names is not None else "are in the first row"
        raise FrameError(
            f"{where} has {len(rows[row])} cells, {width} {wanted}",
            detail={**detail, "expected": width, "actual": len(rows[row])},
        )
    return Frame(None if names is None else tuple(names), rows, False, convert, place)
