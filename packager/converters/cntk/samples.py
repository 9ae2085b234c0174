"""Rows for a CNTK model: the user's, or drawn by shape and by what an input is used for."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.cntk.lowering import Input
from packager.converters.cntk.model import Model
from packager.core.errors import SampleError

Array = NDArray[Any]
Arrays = dict[str, Array]
LENGTHS = "lengths"
ROWS = 64
STEPS = 8
_MAX_VALUES = 1 << 24
_ONE_HOT, _GATHER = 68, 74
# What changes an input's place or shape and not its values: Slice, Reshape, TransposeAxes, Squeeze, NoOp, and delays.
_MOVING = {12, 14, 16, 37, 38, 62, 64, 88}
_NUMBERED = re.compile(r"(.*?)(\d+)")


def drawn(model: Model, inputs: tuple[Input, ...], *, seed: int, lengths: bool) -> Arrays:
    """Synthetic rows: one-hot for sparse inputs, whole numbers for indices, else normal."""
    rng = np.random.default_rng(seed)
    widest = max(int(np.prod(_sized(given)[1:], dtype=np.int64)) for given in inputs)
    rows = max(2, min(ROWS, _MAX_VALUES // max(1, widest)))
    found: Arrays = {}
    for given in inputs:
        batch = bool(given.variable.dynamic)
        shape = (rows, *_sized(given)[1:]) if batch else _sized(given)
        found[given.name] = _values(rng, model, given, shape)
    if lengths:
        known = rng.integers(1, STEPS + 1, rows)
        known[0] = STEPS
        found[LENGTHS] = known.astype(np.int64)
        for given in inputs:
            if _is_sequence(given):
                _clear(found[given.name], known)
    return found


def given_samples(path: Path, inputs: tuple[Input, ...], *, lengths: bool) -> Arrays:
    """The user's rows by input name.

    Raises:
        SampleError: An input is absent, of another shape, or sequences differ in length where that cannot be.
    """
    from packager.converters.sample_files import read_samples, thinned

    file = read_samples(path)
    arrays = dict(file.arrays or {})
    if file.frame is not None:
        columns = {str(name): file.frame[name].to_numpy()[:, None] for name in file.frame.columns}
        whole = not all(given.name in columns for given in inputs)
        arrays = {"": file.frame.to_numpy()} if whole else columns
    named = _named(path, arrays, inputs, lengths=lengths)
    fitted = {name: _fitted(path, given, named[name]) for name, given in _by_name(inputs).items()}
    if lengths:
        fitted[LENGTHS] = _lengths(path, named, inputs, fitted)
    rows = {len(value) for name, value in fitted.items() if name == LENGTHS or _by_name(inputs)[name].variable.dynamic}
    if len(rows) != 1 or not min(rows):
        raise SampleError(
            f"the samples {path.name!r} hold {sorted(rows)} rows by input, expected the same number, at least one",
            hint="give every input one row a sample",
        )
    kept = thinned(rows.pop())
    return {
        name: value[kept] if name == LENGTHS or _by_name(inputs)[name].variable.dynamic else value
        for name, value in fitted.items()
    }


def _by_name(inputs: tuple[Input, ...]) -> dict[str, Input]:
    return {given.name: given for given in inputs}


def _named(path: Path, arrays: Mapping[str, Array], inputs: tuple[Input, ...], *, lengths: bool) -> Arrays:
    """Arrays by input name: one stands for the only input; numbered ones are its sequences, one by one."""
    made = dict(arrays)
    own = [name for name in made if name != LENGTHS or not lengths]
    if len(inputs) == 1 and inputs[0].name not in made:
        if len(own) == 1:
            made[inputs[0].name] = made.pop(own[0])
        elif (sequences := _numbered(made, own)) and _is_sequence(inputs[0]):
            made = {inputs[0].name: _padded(path, sequences, lengths=lengths)}
            if lengths:
                made[LENGTHS] = np.array([len(item) for item in sequences], np.int64)
    missing = [given.name for given in inputs if given.name not in made]
    if missing:
        names = ", ".join(given.name for given in inputs)
        raise SampleError(
            f"the samples {path.name!r} lack the input {missing[0]!r}",
            hint=f"it takes {names}; they hold {', '.join(arrays) or 'nothing'}",
            detail={"missing": missing},
        )
    return made


def _numbered(arrays: Mapping[str, Array], names: list[str]) -> list[Array]:
    """Arrays named x0, x1, … in that order; none where they are named otherwise."""
    parts = [_NUMBERED.fullmatch(name) for name in names]
    if not names or not all(parts) or len({part[1] for part in parts if part}) != 1:
        return []
    order = sorted((int(part[2]), name) for part, name in zip(parts, names, strict=True) if part)
    return [arrays[name] for _, name in order] if [number for number, _ in order] == list(range(len(order))) else []


def _padded(path: Path, sequences: list[Array], *, lengths: bool) -> Array:
    sizes = {len(item) for item in sequences}
    if len({item.shape[1:] for item in sequences}) != 1 or not min(sizes):
        raise SampleError(
            f"the sequences of {path.name!r} differ in the shape of their items, or one is empty",
            hint="give every sequence the shape (steps, features)",
        )
    if len(sizes) > 1 and not lengths:
        raise SampleError(
            f"the sequences of {path.name!r} have {min(sizes)} to {max(sizes)} steps, and the model takes one length",
            hint="package it with --lengths, or give sequences of one length: (rows, steps, features)",
        )
    whole = np.zeros((len(sequences), max(sizes), *sequences[0].shape[1:]), sequences[0].dtype)
    for row, item in enumerate(sequences):
        whole[row, : len(item)] = item
    return whole


def _lengths(path: Path, named: Arrays, inputs: tuple[Input, ...], fitted: Arrays) -> Array:
    steps = {fitted[given.name].shape[1] for given in inputs if _is_sequence(given)}
    rows = len(next(iter(fitted.values())))
    known = named.get(LENGTHS, np.full(rows, min(steps)))
    flat = np.asarray(known).reshape(-1)
    if flat.dtype.kind not in "iuf" or not np.array_equal(flat, np.round(flat)):
        raise SampleError(f"the lengths in {path.name!r} are no whole numbers", hint="give one whole number a row")
    if len(flat) and (flat.min() < 1 or flat.max() > min(steps)):
        raise SampleError(
            f"the lengths in {path.name!r} go from {flat.min()} to {flat.max()}, the sequences have {min(steps)} steps",
            hint="a length is at least 1 and at most the number of steps",
        )
    return flat.astype(np.int64)


def _fitted(path: Path, given: Input, values: Array) -> Array:
    shape = given.shape
    if values.ndim == len(shape) - 1 and shape[-1:] == (1,):
        values = values[..., None]
    fits = len(values.shape) == len(shape) and all(
        isinstance(size, str) or size == have for size, have in zip(shape, values.shape, strict=True)
    )
    if not fits or values.dtype.kind not in "biuf" or 0 in values.shape:
        wanted = [size if isinstance(size, int) else "N" for size in shape]
        raise SampleError(
            f"the samples {path.name!r} have the shape {list(values.shape)} ({values.dtype}) for {given.name!r},"
            f" expected {wanted}",
            hint="give one row a sample: (rows, …), sequences as (rows, steps, …)",
        )
    return values


def _is_sequence(given: Input) -> bool:
    return len(given.variable.dynamic) > 1


def _sized(given: Input) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else STEPS for size in given.shape)


def _values(rng: np.random.Generator, model: Model, given: Input, shape: tuple[int, ...]) -> Array:
    if given.variable.sparse and shape:
        return np.eye(shape[-1], dtype=given.dtype)[rng.integers(0, shape[-1], shape[:-1])]
    if (limit := _index_limit(model, given.variable.uid)) is not None:
        return rng.integers(0, limit, shape).astype(given.dtype)
    return rng.standard_normal(shape)


def _index_limit(model: Model, uid: str) -> int | None:
    """How many numbers an input that is used as an index can be; None where it is used otherwise."""
    waiting, seen = [uid], {uid}
    nodes = {node.uid: node for node in model.nodes.values()}.values()
    while waiting:
        name = waiting.pop()
        for node in nodes:
            if name not in node.inputs[:1]:
                continue
            if node.op == _ONE_HOT:
                count = node.attributes.peek("numClass")
                return count if isinstance(count, int) and count > 0 else None
            if node.op == _GATHER and len(node.inputs) > 1 and node.inputs[1] in model.variables:
                return max(1, model.variables[node.inputs[1]].shape[0])
            result = f"{node.uid}_Output_0"
            if node.op in _MOVING and result not in seen:
                seen.add(result)
                waiting.append(result)
    return None


def _clear(values: Array, lengths: Array) -> None:
    """Zeros where a sequence has ended."""
    for row, length in enumerate(lengths):
        values[row, length:] = 0
