"""Synthetic samples: values that the model takes, drawn from what it knows of its inputs."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ROWS = 64
_MOST_VALUES = 1 << 22
# Integers of which nothing is known: small, so that tables and one-hot codes most likely have them.
_SAFE_INTEGERS = 4


def rows_for(values_a_row: int) -> int:
    """How many samples to draw of rows with this many values."""
    return max(2, min(ROWS, _MOST_VALUES // max(1, values_a_row)))


def drawn(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    dtype: "np.dtype[Any]",
    *,
    vocabulary: int | None,
    like: Array | None,
) -> Array:
    """Values of one input.

    Args:
        vocabulary: Integers below it are known to be taken; None where nothing is known.
        like: The user's example, whose values are of the right kind: numbers are drawn with its mean and spread,
            integers from those in it.
    """
    if dtype.kind == "b":
        values = rng.random(shape) < 0.75
        if values.ndim > 1:
            values[..., 0] = True  # a mask that hides everything has no answer but NaN
        return np.asarray(values)
    if dtype.kind == "f":
        mean, spread = _moments(like)
        return np.asarray(mean + spread * rng.standard_normal(shape)).astype(dtype)
    if vocabulary is None and like is not None and like.size:
        return np.asarray(rng.choice(np.unique(like), shape)).astype(dtype)
    return rng.integers(0, vocabulary or _SAFE_INTEGERS, shape).astype(dtype)


def vocabularies(model: Any, tensors: Mapping[str, Any], ask: Callable[[], Any]) -> dict[str, int]:
    """By input name, how many rows the embedding has that an input of integers feeds; where that is known.

    Args:
        ask: Calls the model with ``tensors``.
    """
    import torch

    found: dict[str, int] = {}
    integers = {name: tensor for name, tensor in tensors.items() if not tensor.is_floating_point()}
    if not integers:
        return {}
    tables = [part for part in model.modules() if _is_embedding(part)]
    if isinstance(model, torch.jit.ScriptModule):  # no hooks in a script: the smallest table is safe for all
        sizes = [int(part.weight.shape[0]) for part in tables if hasattr(part, "weight")]
        return dict.fromkeys(integers, min(sizes)) if sizes else {}

    def fed(table: Any, given: tuple[Any, ...]) -> None:
        for name, tensor in integers.items():
            if given and given[0] is not None and _is_of(given[0], tensor):
                size = int(table.weight.shape[0])
                found[name] = min(size, found.get(name, size))

    hooks = [part.register_forward_pre_hook(fed) for part in tables]
    try:
        ask()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _is_embedding(part: Any) -> bool:
    import torch

    kinds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    return isinstance(part, kinds) or getattr(part, "original_name", "") in {"Embedding", "EmbeddingBag"}


def _is_of(given: Any, tensor: Any) -> bool:
    """Whether a layer got the input itself, or a view of it."""
    return bool(given is tensor or given.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr())


def _moments(like: Array | None) -> tuple[float, float]:
    if like is None or like.size < 2:
        return 0.0, 1.0
    wide = like.astype(np.float64)
    spread = float(wide.std())
    return (float(wide.mean()), spread) if math.isfinite(spread) and spread > 0 else (0.0, 1.0)
