"""Frames → tensors of the signature: what every dialect that takes a table shares."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from runtime.codec.values import Array, array_of, check_shape
from runtime.contract.frame_readers import (
    Header,
    frame_from_columns,
    frame_from_records,
    frame_from_split,
    frames_from_csv,
)
from runtime.contract.frames import Frame, FrameError, blocks_of
from runtime.contract.manifest import Signature
from runtime.errors import InvalidInput

_CSV_ROWS: Final = 4096  # of a CSV that are cells at a time


def tensors_from_csv(body: bytes, signature: Signature, *, header: Header | None = None) -> dict[str, Array]:
    """The tensors of a CSV in UTF-8.

    Raises:
        InvalidInput: Names line and column, what was expected and what came.
    """
    with _refusing():
        return _tensors(frames_from_csv(body, signature.inputs, header=header, rows=_CSV_ROWS), signature)


def tensors_from_split(split: object, signature: Signature, where: str) -> dict[str, Array]:
    """The tensors of ``{"columns", "data"}``, which the client calls ``where``.

    Raises:
        InvalidInput: Names row and column, what was expected and what came.
    """
    with _refusing():
        return _tensors([frame_from_split(split, where)], signature)


def tensors_from_records(records: object, signature: Signature, where: str) -> dict[str, Array]:
    """The tensors of a list of objects by column name.

    Raises:
        InvalidInput: Names row and column, what was expected and what came.
    """
    with _refusing():
        return _tensors([frame_from_records(records, where)], signature)


def tensors_from_columns(columns: Mapping[str, Sequence[Any]], signature: Signature, where: str) -> dict[str, Array]:
    """The tensors of one list of cells a column.

    Raises:
        InvalidInput: Names row and column, what was expected and what came.
    """
    with _refusing():
        return _tensors([frame_from_columns(columns, where)], signature)


def _tensors(frames: Iterable[Frame], signature: Signature) -> dict[str, Array]:
    pieces: dict[str, list[Array]] = {spec.name: [] for spec in signature.inputs}
    for frame in frames:
        for block in blocks_of(frame, signature.inputs):
            array = array_of(block.spec.dtype, block.values, block.blame)
            pieces[block.spec.name].append(array.reshape(block.shape))
    bound: dict[str, int] = {}
    tensors = {}
    for spec in signature.inputs:
        arrays = pieces.pop(spec.name)
        tensors[spec.name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        check_shape(spec, tensors[spec.name].shape, bound)
    return tensors


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except FrameError as error:
        raise InvalidInput(error.message, hint=error.hint, detail=error.detail) from error
