"""The user's samples as arrays by the names of the model's inputs."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.pytorch.arguments import Arguments
from packager.core.errors import SampleError

Array = NDArray[Any]


def given_samples(path: Path, arguments: Arguments) -> dict[str, Array]:
    """One array an input, with one row a sample.

    Raises:
        SampleError: An input is missing, is no number, or has another number of rows.
    """
    from packager.converters.sample_files import read_samples, thinned

    file = read_samples(path)
    arrays = dict(file.arrays or {})
    if file.frame is not None:
        arrays = _of_frame(file.frame, arguments)
    if len(arrays) == 1 and len(arguments.required or arguments.names) <= 1:
        name = (arguments.required or arguments.names or ("input",))[0]
        arrays = {name: next(iter(arrays.values()))}
    arguments.check(list(arrays), f"the samples {path.name!r}")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise SampleError(
                f"the samples of {name!r} are {array.dtype}, and PyTorch takes numbers",
                hint="do outside what makes numbers of them, or give the numbers",
            )
    rows = {array.shape[0] if array.ndim else 0 for array in arrays.values()}
    if len(rows) != 1 or 0 in rows:
        raise SampleError(
            f"the samples {path.name!r} hold {sorted(rows)} rows by input, expected the same number, at least one",
            hint="give every input one row a sample",
        )
    kept = thinned(rows.pop())
    return {name: arrays[name][kept] for name in _ordered(arrays, arguments)}


def _of_frame(frame: Any, arguments: Arguments) -> dict[str, Array]:
    """A table is one input's rows, or a column an input where the columns are named as the inputs are."""
    columns = {str(name): frame[name].to_numpy() for name in frame.columns}
    if len(columns) > 1 and set(arguments.required) <= set(columns):
        return {name: array for name, array in columns.items() if name in arguments.names}
    return {"": np.asarray(frame.to_numpy())}


def _ordered(arrays: dict[str, Array], arguments: Arguments) -> list[str]:
    return [name for name in arguments.names if name in arrays] or list(arrays)
