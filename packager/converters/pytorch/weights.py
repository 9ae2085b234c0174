"""Weights without a model: found in checkpoints, freed of wrappers' prefixes, and put into the class they belong to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packager.core.errors import ModelInvalid

Weights = dict[str, Any]
# Where training loops and libraries keep the weights in a checkpoint, in this order.
_KEYS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params", "ema")
# What torch.nn.DataParallel and torch.compile put before the names of the module that they wrap.
_WRAPPERS = {"module.": "DataParallel", "_orig_mod.": "torch.compile"}
_SHOWN = 6


def weights_in(content: Mapping[str, Any], path: Path) -> tuple[Weights, tuple[str, ...]]:
    """The weights in a checkpoint, and what was done to find them.

    Raises:
        ModelInvalid: There are none.
    """
    if weights := _tensors(content):
        return weights, ()
    for key in _KEYS:
        inner = content.get(key)
        if isinstance(inner, Mapping) and (weights := _tensors(inner)):
            return weights, (f"the weights stand under {key!r} in the checkpoint",)
    raise ModelInvalid(
        f"{path.name!r} holds no weights, but {', '.join(map(str, list(content)[:_SHOWN])) or 'nothing'}",
        hint="save them with torch.save(model.state_dict(), 'model.pth')",
    )


def put_into(module: Any, weights: Weights, path: Path) -> tuple[str, ...]:
    """Load the weights, all of them and nothing else; what was said of their names on the way.

    Raises:
        ModelInvalid: The names or shapes are not those of the module.
    """
    wanted = set(module.state_dict())
    fitting, notes = _renamed(weights, wanted)
    fitting = {**_tied(module, fitting), **fitting}
    missing, unexpected = sorted(wanted - set(fitting)), sorted(set(fitting) - wanted)
    kind = type(module).__name__
    if missing or unexpected:
        raise ModelInvalid(
            f"the weights in {path.name!r} are not those of {kind}: {_listed('missing', missing)},"
            f" {_listed('not of the class', unexpected)}",
            hint="name the class that they were trained with, and its arguments with --class-args",
            detail={"missing": missing[:100], "unexpected": unexpected[:100]},
        )
    try:
        module.load_state_dict(fitting)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
        raise ModelInvalid(
            f"the weights in {path.name!r} have other shapes than those of {kind}: {(lines or [str(error)])[0][:300]}",
            hint="give the constructor's arguments that they were trained with: --class-args FILE.json",
        ) from error
    return notes


def class_needed(weights: Weights, path: Path) -> ModelInvalid:
    """The error where weights come without the class that they belong to."""
    shown = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in list(weights.items())[:_SHOWN])
    more = f" and {len(weights) - _SHOWN} more" if len(weights) > _SHOWN else ""
    return ModelInvalid(
        f"{path.name!r} holds weights and no model: {shown}{more}",
        hint=f"name their class: dray package {path.name} --class MODULE:NAME --class-args ARGS.json",
        detail={"tensors": {name: list(tensor.shape) for name, tensor in list(weights.items())[:100]}},
    )


def read_safetensors(path: Path) -> Weights:
    """The tensors of a safetensors file: a header of JSON with their places, and their bytes.

    Raises:
        ModelInvalid: Cut off, or with types that are not read.
    """
    import torch

    kinds = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
             "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
             "BOOL": torch.bool}  # fmt: skip
    with path.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        body = bytearray(stream.read())
    weights: Weights = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            start, end = entry["data_offsets"]
            flat = torch.frombuffer(body, dtype=torch.uint8, offset=start, count=end - start) if end > start else None
            kind, shape = kinds[entry["dtype"]], entry["shape"]
            weights[name] = torch.empty(shape, dtype=kind) if flat is None else flat.view(kind).reshape(shape).clone()
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise ModelInvalid(
                f"the tensor {name!r} of {path.name!r} cannot be read: {type(error).__name__}: {error}",
                hint="save the file again with safetensors.torch.save_file",
            ) from error
    return weights


def _tensors(content: Mapping[Any, Any]) -> Weights:
    """The content where it is tensors by name and nothing else; empty otherwise."""
    import torch

    if not content or not all(isinstance(key, str) for key in content):
        return {}
    extras = {key for key in content if key.endswith("_extra_state")}
    fits = all(isinstance(value, torch.Tensor) for key, value in content.items() if key not in extras)
    return dict(content) if fits else {}


def _renamed(weights: Weights, wanted: set[str]) -> tuple[Weights, tuple[str, ...]]:
    """The weights under the names of the module, where they have these names behind a prefix."""
    if set(weights) == wanted:
        return weights, ()
    notes: list[str] = []
    for prefix, wrapper in _WRAPPERS.items():
        bare = {_without(prefix, name): value for name, value in weights.items()}
        if set(weights) != wanted and len(bare) == len(weights) and bare.keys() != weights.keys():
            weights = bare
            notes.append(f"the prefix {prefix!r} of {wrapper} was taken off the names of the weights")
    first = {name.partition(".")[0] + "." for name in weights if "." in name}
    for prefix in sorted(first):
        inner = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        if set(inner) == wanted and set(weights) != wanted:
            others = len(weights) - len(inner)
            left = f"; {others} others were left out" if others else ""
            return inner, (*notes, f"the weights of the class stand under {prefix!r} in the checkpoint{left}")
    return weights, tuple(notes)


def _tied(module: Any, weights: Weights) -> Weights:
    """The weights that are left out because they are others by a second name, as safetensors does with tied layers."""
    places: dict[tuple[Any, ...], Any] = {}
    own = {name: value for name, value in module.state_dict().items() if hasattr(value, "data_ptr") and value.numel()}
    for name in own.keys() & weights.keys():
        places[_place(own[name])] = weights[name]
    return {name: places[_place(value)] for name, value in own.items() if _place(value) in places}


def _place(tensor: Any) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _without(prefix: str, name: str) -> str:
    """The name without the wrapper's prefix; torch.compile wraps modules inside others too."""
    inner = name.replace(f".{prefix}", ".") if prefix == "_orig_mod." else name
    return inner.removeprefix(prefix)


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return f"none {what}"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what}: {', '.join(names[:_SHOWN])}{more}"
