"""Reading the user's samples, for every converter: what is in the file, not yet what a model makes of it."""

import csv
import importlib.util
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from packager.core.errors import EnvironmentMissing, SampleError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
MAX_ROWS = 20_000
# What pandas reads as missing by itself. Source: pandas._libs.parsers.STR_NA_VALUES.
_MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
_SUFFIXES = ".npz, .npy, .csv, .parquet, .json"


@dataclass(frozen=True, slots=True)
class SampleFile:
    """Samples as their file holds them: arrays by input name, or a frame with named columns.

    Attributes:
        arrays: The name is empty where the file names none.
        headed: Whether the frame's column names come from the file.
    """

    arrays: dict[str, Array] | None = None
    frame: "pd.DataFrame | None" = None
    headed: bool = False


def read_samples(
    path: Path, *, columns: Sequence[str] | None = None, texts: frozenset[str] | None = frozenset()
) -> SampleFile:
    """The content of a samples file.

    Args:
        columns: Names that the model knows, to tell a header of numbers from data.
        texts: Columns of text: of a CSV file, ``01234`` and ``NA`` stay what they are; an empty cell is missing.
            None where all are.

    Raises:
        SampleError: No such file, empty, damaged, or of a kind that dray does not read.
        EnvironmentMissing: The file needs a package that is not installed.
    """
    if not path.is_file():
        raise SampleError(f"no samples file at {str(path)!r}", hint="check the path after --samples")
    if path.stat().st_size == 0:
        raise SampleError(f"the samples file {path.name!r} is empty", hint="it needs at least one row")
    readers: dict[str, Callable[[], SampleFile]] = {
        ".npz": lambda: _read_npz(path),
        ".npy": lambda: SampleFile(arrays={"": np.load(path, allow_pickle=False)}),
        ".csv": lambda: _read_csv(path, columns, texts),
        ".parquet": lambda: _read_parquet(path),
        ".json": lambda: _read_json(path),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SampleError(
            f"samples in {path.suffix or 'a file without a suffix'!r} cannot be read: {path.name!r}",
            hint=f"dray reads {_SUFFIXES}",
        )
    try:
        return reader()
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise _unreadable(path, error) from error


def arrays_by_input(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """The content of a samples file by input name; of a model with one input, whatever the file calls it.

    Raises:
        SampleError: An input is missing, or as ``read_samples``.
    """
    file = read_samples(path)
    arrays = dict(file.arrays or {})
    if file.frame is not None:
        columns = {str(name): file.frame[name].to_numpy() for name in file.frame.columns}
        arrays = columns if all(name in columns for name in names) else {"": file.frame.to_numpy()}
    if len(names) == len(arrays) == 1:
        arrays = {names[0]: next(iter(arrays.values()))}
    missing = [name for name in names if name not in arrays]
    if missing:
        raise SampleError(
            f"the samples {path.name!r} lack the input {missing[0]!r}",
            hint=f"it takes {', '.join(names)}; they hold {', '.join(arrays) or 'nothing'}",
            detail={"missing": missing},
        )
    return arrays


def thinned(rows: int, *, limit: int = MAX_ROWS) -> Array:
    """Indices of at most ``limit`` rows, evenly spaced, the first and the last among them."""
    return np.arange(rows) if rows <= limit else np.linspace(0, rows - 1, limit).astype(np.int64)


def _unreadable(path: Path, error: Exception) -> SampleError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    pickled = "pickle" in reason.lower()
    return SampleError(
        f"cannot read the samples {path.name!r}: {reason}",
        hint="it holds Python objects; save plain numbers or strings (dtype=str)"
        if pickled
        else "write the file again",
    )


def _read_npz(path: Path) -> SampleFile:
    with np.load(path, allow_pickle=False) as archive:
        if isinstance(archive, np.ndarray):
            return SampleFile(arrays={"": archive})
        return SampleFile(arrays={name: archive[name] for name in archive.files})


def _read_csv(path: Path, columns: Sequence[str] | None, texts: frozenset[str] | None) -> SampleFile:
    pandas = _pandas()
    with path.open(newline="", encoding="utf-8-sig") as stream:
        first = next(csv.reader(stream), [])
    headed = any(not _is_number(cell) for cell in first) or (columns is not None and set(columns) <= set(first))
    # What pandas writes above a frame without names; no row of data counts 0, 1, 2, … by chance for long.
    counted = len(first) > 1 and first == [str(number) for number in range(len(first))]
    header = 0 if headed or counted else None
    # round_trip: pandas' own fast parser is off in the last bit for some numbers.
    reading: dict[str, Any] = {"skipinitialspace": True}
    if known := [name for name in first if texts is None or name in texts]:
        # skipinitialspace would take a blank from the front of a text.
        others = {name: list(_MISSING) for name in first if name not in known}
        reading = {
            "dtype": dict.fromkeys(known, object),
            "keep_default_na": False,
            "na_values": {**others, **{name: [""] for name in known}},
        }
    frame = pandas.read_csv(path, header=header, float_precision="round_trip", encoding="utf-8-sig", **reading)
    return SampleFile(frame=frame, headed=headed)


def _read_parquet(path: Path) -> SampleFile:
    pandas = _pandas()
    if importlib.util.find_spec("pyarrow") is None:
        raise _not_installed("pyarrow")
    return SampleFile(frame=pandas.read_parquet(path, engine="pyarrow"), headed=True)


def _read_json(path: Path) -> SampleFile:
    content = json.loads(path.read_text(encoding="utf-8"))
    match content:
        case [dict(), *_]:
            return SampleFile(frame=_pandas().DataFrame.from_records(content), headed=True)
        case [_, *_]:
            return SampleFile(arrays={"": _array(content, "the list")})
        case {} if content and all(isinstance(value, list) for value in content.values()):
            return SampleFile(arrays={name: _array(value, repr(name)) for name, value in content.items()})
    raise SampleError(
        f"the samples {path.name!r} hold {'nothing' if not content else 'no list of rows'}",
        hint='write a list of records, a list of rows, or {"X": [[...], ...]} by input name',
    )


def _array(rows: list[Any], what: str) -> Array:
    """Rows of JSON as an array; null is NaN among numbers."""
    try:
        array = np.array(rows)
    except ValueError as error:
        raise SampleError(f"the rows of {what} differ in length", hint="give every row the same columns") from error
    if array.dtype != object:
        return array
    flat = [math.nan if value is None else value for value in array.ravel()]
    if all(isinstance(value, int | float) for value in flat):
        return np.array(flat, np.float64).reshape(array.shape)
    return array


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()
    return True


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise _not_installed("pandas") from error
    return pd


def _not_installed(package: str) -> EnvironmentMissing:
    return EnvironmentMissing(
        f"reading these samples needs {package}, not installed here", hint='pip install "dray[parquet]"'
    )
