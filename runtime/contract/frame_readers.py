"""Frames from what clients send: CSV as RFC 4180 has it, and the two JSON forms of pandas (records and split)."""

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any, Literal

from runtime.contract.cells import is_numeric_text, show, values_from_json, values_from_text
from runtime.contract.frames import Frame, FrameError, frame_of_rows, takes_names, width_of
from runtime.contract.manifest import TensorSpec

Header = Literal["present", "absent"]
_SAY = "say which: Content-Type 'text/csv; header=present' or 'text/csv; header=absent'"


def frame_from_csv(body: bytes, specs: Sequence[TensorSpec], *, header: Header | None = None) -> Frame:
    """The frame in a CSV; as ``frames_from_csv``, in one piece."""
    return next(frames_from_csv(body, specs, header=header, rows=sys.maxsize))


def frames_from_csv(
    body: bytes, specs: Sequence[TensorSpec], *, header: Header | None = None, rows: int
) -> Iterator[Frame]:
    """The frame in a CSV in UTF-8, piece by piece, one at least; empty lines are left out.

    Args:
        specs: Of the inputs it is for. Where they have names, the first line is the header. Where they have none it is
            one when no cell of it is a number, or when it reads 0, 1, …
        header: What the sender says of the first line.
        rows: Of a piece, at most: cells take many times the memory of their text.

    Raises:
        FrameError: Not UTF-8, not a CSV, no line at all, a line of another length than the first, or nobody can tell
            whether the first line is a header.
    """
    _check_utf8(body)
    lines = _lines(body)
    first = next(lines, None)
    if first is None:
        raise FrameError("the CSV is empty", hint="the first line names the columns, each other line is a row")
    headed = _headed(first, specs, header)
    remaining = lines if headed else chain([first], lines)
    start = 0
    while (piece := list(islice(remaining, rows))) or start == 0:
        place = partial(_line_place, body, start, headed)
        yield frame_of_rows(piece, first if headed else None, values_from_text, place, width=len(first))
        start += len(piece)
        if len(piece) < rows:
            return


def frame_from_records(records: object, where: str) -> Frame:
    """The frame of objects by column name.

    Args:
        where: What the client calls the list.

    Raises:
        FrameError: Not a list, or a record is not an object.
    """
    if not isinstance(records, list):
        raise FrameError(f"{where} must be an array of objects by column name, got {show(records)}")

    def place(row: int) -> tuple[str, dict[str, Any]]:
        return f"{where}[{row}]", {"row": row}

    if not set(map(type, records)) <= {dict}:
        row = next(index for index, record in enumerate(records) if type(record) is not dict)
        raise FrameError(
            f"{where}[{row}] must be an object by column name, got {show(records[row])}", detail={"row": row}
        )
    names = tuple(records[0]) if records else ()
    return Frame(names, records, True, values_from_json, place)


def frame_from_split(split: object, where: str) -> Frame:
    """The frame of ``{"columns": [...], "data": [[...], ...]}``; ``index`` and the like are left out.

    Raises:
        FrameError: Not of this form, or a row of another length than the columns.
    """
    if not isinstance(split, Mapping) or not isinstance(split.get("data"), list):
        raise FrameError(f"{where} must be an object with an array 'data', and 'columns'")
    rows, columns = split["data"], split.get("columns")
    if columns is not None and not (isinstance(columns, list) and set(map(type, columns)) <= {str, int, float}):
        raise FrameError(f"{where}.columns must be an array of names, got {show(columns)}")
    if not set(map(type, rows)) <= {list}:
        row = next(index for index, cells in enumerate(rows) if type(cells) is not list)
        raise FrameError(f"{where}.data[{row}] must be an array of cells, got {show(rows[row])}", detail={"row": row})
    names = None if columns is None else [str(name) for name in columns]
    return frame_of_rows(rows, names, values_from_json, lambda row: (f"{where}.data[{row}]", {"row": row}))


def frame_from_columns(columns: Mapping[str, Sequence[Any]], where: str) -> Frame:
    """The frame of one list of cells a column.

    Raises:
        FrameError: The columns are not of one length.
    """
    lengths = {name: len(cells) for name, cells in columns.items()}
    first = next(iter(lengths), "")
    for name, length in lengths.items():
        if length != lengths[first]:
            raise FrameError(
                f"column {name!r} has {length} values, column {first!r} has {lengths[first]}", detail={"column": name}
            )
    rows = list(zip(*columns.values(), strict=True))
    return frame_of_rows(rows, list(columns), values_from_json, lambda row: (f"row {row} of {where}", {"row": row}))


def _check_utf8(body: bytes) -> None:
    try:
        body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"the CSV is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
        raise FrameError(message, hint="save it as UTF-8") from error


def _text(body: bytes) -> io.TextIOWrapper:
    csv.field_size_limit(
        sys.maxsize
    )  # for the whole process; a cell may be a document, and bodies have their own limit
    return io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")


def _lines(body: bytes) -> Iterator[list[str]]:
    """The cells of every line that is not empty."""
    lines = csv.reader(_text(body), strict=True)
    try:
        yield from filter(None, lines)
    except csv.Error as error:
        raise FrameError(f"the CSV cannot be read: {error} in line {lines.line_num}") from error


def _line_place(body: bytes, start: int, headed: bool, row: int) -> tuple[str, dict[str, Any]]:
    line = _line_of(body, start + row + headed)
    return f"line {line}", {"row": start + row, "line": line}


def _line_of(body: bytes, index: int) -> int:
    """The line, from 1, in which the row with this index begins: rows may have line breaks in their cells."""
    lines = csv.reader(_text(body), strict=True)
    begin, seen = 1, 0
    for cells in lines:
        if cells:
            if seen == index:
                break
            seen += 1
        begin = lines.line_num + 1
    return begin


def _headed(first: Sequence[str], specs: Sequence[TensorSpec], header: Header | None) -> bool:
    if takes_names(specs):
        if header == "absent":
            raise FrameError("the model takes its columns by name, and the CSV is said to have no header")
        return True
    if header is not None:
        return header == "present"
    if first == [str(index) for index in range(len(first))] or (width_of(specs[0]) == 1 and specs[0].name in first):
        return True
    if specs[0].dtype == "BYTES":
        message = f"nobody can tell whether the first line of the CSV is a header or a row: {show(','.join(first))}"
        raise FrameError(message, hint=_SAY)
    return not any(map(is_numeric_text, first))
