"""What the first layer says of the input, where nothing else does; and what to say where it says too little."""

from typing import Any

import numpy as np

from packager.converters.pytorch.arguments import Arguments
from packager.converters.pytorch.inputs import BATCH, Form, InputForm, example_line
from packager.core.errors import SampleError

_ROWS = 2


def inferred(model: Any, arguments: Arguments) -> Form | None:
    """The form of a single input that goes straight into a linear layer as rows of its features; None otherwise.

    It is certain only where the layer was seen to get the very tensor that the model was called with.
    """
    import torch

    names = arguments.required
    layer = next((part for part in model.modules() if isinstance(part, torch.nn.Linear)), None)
    if len(names) != 1 or layer is None:
        return None
    rows = torch.zeros(_ROWS, layer.in_features, dtype=layer.weight.dtype)
    seen: list[Any] = []
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0] if given else None))
    try:
        with torch.no_grad():
            model(rows)
    except Exception:  # noqa: BLE001 - the model takes something else
        return None
    finally:
        hook.remove()
    if not (len(seen) == 1 and seen[0] is rows):
        return None
    dtype = np.dtype(str(layer.weight.dtype).removeprefix("torch."))
    return Form((InputForm(names[0], dtype, (_ROWS, layer.in_features)),), {names[0]: {0: BATCH}}, None)


def unknown_inputs(model: Any, arguments: Arguments, name: str) -> SampleError:
    """The error where nothing says what the inputs look like, with a line that would."""
    return SampleError(
        f"nothing says what {name} is called with: the file holds neither shapes nor types of"
        f" {', '.join(arguments.required or arguments.names) or 'its inputs'}",
        hint="give rows of real inputs with --samples FILE.npz, by these names, or say it as in"
        f" {example_line(arguments, _guesses(model))}",
        detail={"inputs": list(arguments.required)},
    )


def _guesses(model: Any) -> list[str]:
    """Forms for an example line: of the first layer that says something, then whatever follows."""
    for part in model.modules():
        kind = getattr(part, "original_name", "") or type(part).__name__
        if kind in {"Embedding", "EmbeddingBag"}:
            return ["INT64:N,16"]
        if kind in {"Conv1d", "Conv2d", "Conv3d"} and hasattr(part, "weight"):
            groups = int(getattr(part, "groups", 1))
            sizes = {"Conv1d": ["64"], "Conv2d": ["224", "224"], "Conv3d": ["16", "64", "64"]}[kind]
            return [f"FP32:N,{part.weight.shape[1] * groups},{','.join(sizes)}"]
        if kind in {"LSTM", "GRU", "RNN"} and hasattr(part, "weight_ih_l0"):
            return [f"FP32:N,16,{part.weight_ih_l0.shape[1]}"]
        if kind == "Linear" and hasattr(part, "weight"):
            return [f"FP32:N,{part.weight.shape[1]}"]
    return []
