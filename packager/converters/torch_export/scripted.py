"""TorchScript modules: their own graph, branches and loops included, through the exporter that reads TorchScript."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packager.converters.torch_export.refusals import not_translated
from packager.converters.torch_export.structure import output_tensors

NEWEST_OPSET = 20
_WRAPPER = """import torch
from typing import Any, Dict, List, Optional, Tuple

class Flat(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, {arguments}):
        answer = self.model({passed})
        return {parts}
"""


def write_script(
    module: Any,
    tensors: Mapping[str, Any],
    answer: Any,
    *,
    path: Path,
    free_axes: Mapping[str, Mapping[int, str]],
    opset: int,
    name: str,
) -> None:
    """The ONNX file of a scripted or traced module, with inputs and outputs in order.

    Args:
        tensors: By the names of ``forward``'s arguments.
        answer: What the module returned for them.

    Raises:
        ConverterMissing, ConversionError: A part of it has no ONNX form.
    """
    import torch

    outputs = [f"dray_output_{index}" for index, _ in enumerate(output_tensors(answer))]
    inputs = [f"dray_input_{index}" for index, _ in enumerate(tensors)]
    axes = {given: dict(free_axes.get(argument, {})) for given, argument in zip(inputs, tensors, strict=True)}
    try:
        torch.onnx.export(
            _without_dicts(module, list(tensors), answer, path.parent),
            tuple(tensors.values()),
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={given: named for given, named in axes.items() if named},
            opset_version=opset,
            dynamo=False,
        )
    except Exception as error:  # noqa: BLE001 - the exporter's errors have no common root
        not_translated(error, name)


def _without_dicts(module: Any, arguments: Sequence[str], answer: Any, folder: Path) -> Any:
    """The module, or one around it that takes its dicts apart and gives its defaults, as the exporter does not."""
    import torch

    paths = list(_paths(answer, "answer"))
    defaults = len(module.forward.schema.arguments) - 1 > len(arguments)
    if not defaults and not any("[" in path and '"' in path for path in paths):
        return module
    names = [f"argument_{index}" for index, _ in enumerate(arguments)]
    passed = [name if key.isdecimal() else f"{key}={name}" for key, name in zip(arguments, names, strict=True)]
    text = _WRAPPER.format(arguments=", ".join(names), passed=", ".join(passed), parts=", ".join(paths))
    file = folder / "flat_script.py"  # TorchScript reads the text of what it compiles
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("flat_script", file)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{file} cannot be imported")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return torch.jit.script(made.Flat(module).eval())


def _paths(answer: Any, path: str) -> "list[str]":
    """How each tensor of an answer is reached, in the order of ``output_tensors``."""
    import json

    if isinstance(answer, Mapping):
        return [way for key, item in answer.items() for way in _paths(item, f"{path}[{_key(key, json.dumps)}]")]
    if isinstance(answer, tuple | list):
        return [way for index, item in enumerate(answer) for way in _paths(item, f"{path}[{index}]")]
    return [] if answer is None else [path]


def _key(key: Any, quoted: Any) -> str:
    return str(quoted(key)) if isinstance(key, str) else repr(key)
