"""Frames → tensors of the signature: what every dialect that takes a table shares."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from runtime.codec.values import Array, array_of, check_shape
from runtime.contract.frame_readers import (
    Header,
    decode_csv,
    frame_from_columns,
    frame_from_csv,
    frame_from_records,
    frame_from_split,
)
from runtime.contract.frames import Frame, FrameError, blocks_of
from runtime.contract.manifest import Signature
from runtime.errors import InvalidInput


def tensors_from_csv(body: bytes, signature: Signature, *, header: Header | None = None) -> dict[str, Array]:
    """The tensors of a CSV in UTF-8.

    Raises:
        InvalidInput: Names line and column, what was expected and what came.
    """
    with _refusing():
        return _tensors(frame_from_csv(decode_csv(body), signature.inputs, header=header), signature)


def tensors_from_split(split: object, signature: Signature, where: str) -> dict[str, Array]:
    """The tensors of ``{"columns", "data"}``, which the client calls ``where``.

    Raises:
        InvalidInput: Names row and column, what was expected and what came.
    """
    with _refusing():
        return _tensors(frame_from_split(split, where), signature)


def tensors_from_records(records: object, signature: Signature, where: str) -> dict[str, Array]:
    """The tensors of a list of objects by column name.

    Raises:
        InvalidInput: Names row and column, what was expected and what came.
    """
    with _refusing():
        return _tensors(frame_from_records(records, where), signature)


def tensors_from_columns(columns: Mapping[str, Sequence[Any]], signature: Signature, where: str) -> dict[str, Array]:
    """The tensors of one list of cells a column.

    Raises:
        InvalidInput: Names row and column, what was expected and what came.
    """
    with _refusing():
        return _tensors(frame_from_columns(columns, where), signature)


def _tensors(frame: Frame, signature: Signature) -> dict[str, Array]:
    bound: dict[str, int] = {}
    tensors = {}
    for block in blocks_of(frame, signature.inputs):
        check_shape(block.spec, block.shape, bound)
        tensors[block.spec.name] = array_of(block.spec.dtype, block.values, block.blame).reshape(block.shape)
    return tensors


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except FrameError as error:
        raise InvalidInput(error.message, hint=error.hint, detail=error.detail) from error
