"""A module from whatever file holds one, and an example of its input where the file has that too."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from packager.converters.pytorch import user_code, weights
from packager.converters.pytorch.recognition import FileKind, is_traced, kind_of
from packager.core.conversion import ConversionRequest
from packager.core.errors import ConversionError, ModelInvalid, UnsafeModel
from packager.core.unpickling import limited_unpickling, unpickling_limit

_SAVE_AGAIN = "save it again: torch.export.save, torch.jit.save, or torch.save(model.state_dict(), …) with --class"
_TRACED = (
    "the file was made by torch.jit.trace: branches and loops on values were fixed when it was made, and no conversion"
    " can bring them back"
)
_QUANTISED = ("torch.ao.nn.", "torch.nn.quantized", "torch.nn.intrinsic", "torch.nn.qat", "torch.ao.quantization")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in evaluation mode, on the CPU.

    Attributes:
        model: An ``nn.Module``, a ``ScriptModule`` or an ``ExportedProgram``.
        example: What it is called with, as the file or the user's function says; None where neither does.
    """

    model: Any
    example: Any = None
    notes: tuple[str, ...] = ()


def load(request: ConversionRequest) -> Loaded:
    """The model of a request.

    Raises:
        ModelInvalid: Not a model, damaged, of classes that are not here, or weights without their class.
        UsageError: ``--class`` names nothing that can be made.
        ConversionError: A kind of module that is not converted; names it.
    """
    path, options = request.source, request.options
    user_code.use_folders(options)
    function = options.get("function")
    kind = kind_of(path, function) or FileKind.CHECKPOINT
    if kind is FileKind.CODE:
        loaded = _from_code(path, str(function))
    elif kind is FileKind.PROGRAM:
        loaded = _program(path)
    elif kind is FileKind.SCRIPT:
        loaded = Loaded(_script(path), notes=(_TRACED,) if is_traced(path) else ())
    elif kind is FileKind.SAFETENSORS:
        loaded = _with_class(weights.read_safetensors(path), path, options)
    else:
        loaded = _from_checkpoint(path, options)
    return _ready(loaded)


def _from_code(path: Path, function: str) -> Loaded:
    import torch

    made = user_code.built(path, function)
    model, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, torch.nn.Module | torch.export.ExportedProgram):
        raise ModelInvalid(
            f"{function}() of {path.name!r} returns {type(model).__name__}, not a module of PyTorch's",
            hint="return the module, or (module, example): a tensor, a tuple, or a dict by argument name",
        )
    if isinstance(model, torch.export.ExportedProgram) and example is None:
        example = model.example_inputs
    return Loaded(model, example, (f"the model was built by {function}() of {path.name}, which was run",))


def _program(path: Path) -> Loaded:
    import torch

    with _loading(path), path.open("rb") as stream:
        program = torch.export.load(stream)
    return Loaded(program, program.example_inputs)


def _script(path: Path) -> Any:
    import torch

    with _loading(path):
        return torch.jit.load(path, map_location="cpu")


def _from_checkpoint(path: Path, options: Mapping[str, Any]) -> Loaded:
    import torch

    content = _unpickled(path)
    if isinstance(content, torch.nn.Module):
        return Loaded(content)
    if isinstance(content, Mapping):
        for key in ("model", "net", "network", "module"):
            if isinstance(content.get(key), torch.nn.Module):
                return Loaded(content[key], notes=(f"the model stands under {key!r} in the checkpoint",))
        found, notes = weights.weights_in(content, path)
        loaded = _with_class(found, path, options)
        return Loaded(loaded.model, notes=(*notes, *loaded.notes))
    raise ModelInvalid(f"{path.name!r} holds {type(content).__name__}, not a model or its weights", hint=_SAVE_AGAIN)


def _with_class(found: Mapping[str, Any], path: Path, options: Mapping[str, Any]) -> Loaded:
    import torch

    kind = user_code.named_class(options)
    if kind is None:
        raise weights.class_needed(dict(found), path)
    module = user_code.instance(kind, options)
    if not isinstance(module, torch.nn.Module):
        raise ModelInvalid(f"--class {options['class']} makes {type(module).__name__}, not a module of PyTorch's")
    dtypes = {tensor.dtype for tensor in found.values() if tensor.is_floating_point()}
    if len(dtypes) == 1:
        module.to(dtypes.pop())
    notes = weights.put_into(module, dict(found), path)
    return Loaded(module, notes=(*notes, f"the model is made by {options['class']}, whose module was run"))


def _unpickled(path: Path) -> Any:
    """What a file of torch.save holds; with PyTorch's own restricted unpickler unless the file is trusted."""
    import torch

    limit = unpickling_limit()
    with _loading(path):
        if limit is None:
            return torch.load(path, map_location="cpu", weights_only=False)
        if kind_of(path) is FileKind.CHECKPOINT and _is_zip(path):
            names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            with torch.serialization.safe_globals([_found(name, limit) for name in names]), suppress(UnpicklingError):
                return torch.load(path, map_location="cpu", weights_only=True)
        # The older form has no such list, and PyTorch's unpickler lacks opcodes and types that are harmless (numbers of
        # NumPy's). The file was read opcode by opcode, and Python reports every name while it is loaded.
        return torch.load(path, map_location="cpu", weights_only=False)


def _found(name: str, limit: Any) -> Any:
    """A class or function that the file refers to, which must be one that may be."""
    for cut in [index for index, letter in enumerate(name) if letter == "."][::-1]:
        module, attribute = name[:cut], name[cut + 1 :]
        if (module, attribute) in limit:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
            return found
    raise UnsafeModel(f"loading the model asked for {name}, which no list of harmless names holds")


@contextmanager
def _loading(path: Path) -> Iterator[None]:
    """Map what a damaged or foreign file does to loaders."""
    try:
        with limited_unpickling():
            yield
    except (MemoryError, UnsafeModel):
        raise
    except ModuleNotFoundError as error:
        raise ModelInvalid(
            f"{path.name!r} holds objects of the module {error.name!r}, which is not here",
            hint=f"put {error.name}.py beside the model and name its class with --class {error.name}:NAME, or bring its"
            " package with --with",
        ) from error
    except AttributeError as error:
        raise ModelInvalid(
            f"{path.name!r} holds objects of a class that is not here: {error}", hint=_SAVE_AGAIN
        ) from error
    except Exception as error:  # a damaged file fails in any way
        reason = " ".join(str(error).split())[:300]
        raise ModelInvalid(
            f"{path.name!r} cannot be loaded: {type(error).__name__}: {reason}", hint=_SAVE_AGAIN
        ) from error


def _ready(loaded: Loaded) -> Loaded:
    """The model in evaluation mode, on the CPU, without what wraps it; refused where it is quantised."""
    import torch

    model, notes = loaded.model, loaded.notes
    if isinstance(model, torch.export.ExportedProgram):
        return loaded
    if isinstance(model, torch.nn.DataParallel):
        model, notes = model.module, (*notes, "the DataParallel around the model was left out")
    if type(model).__name__ == "OptimizedModule" and hasattr(model, "_orig_mod"):
        model, notes = model._orig_mod, (*notes, "the compilation around the model was left out")
    names = {f"{type(part).__module__}.{type(part).__name__}" for part in model.modules()}
    if quantised := sorted(name for name in names if name.startswith(_QUANTISED)):
        raise ConversionError(
            f"{type(model).__name__} is quantised ({', '.join(quantised[:3])}), which has no faithful ONNX form",
            hint="convert the model before its quantisation, and quantise the ONNX file with --quantize int8",
        )
    return Loaded(model.cpu().eval(), loaded.example, notes)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"PK"
