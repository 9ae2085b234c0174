"""The user's own code: the class that ``--class`` names, and the function of ``FILE.py:FUNCTION``."""

import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packager.core.errors import ConversionError, EnvironmentMissing, ModelInvalid, UsageError

_CLASS_FORM = "--class MODULE:NAME, with MODULE.py beside the model or in the current folder"


def use_folders(options: Mapping[str, Any]) -> None:
    """Let this process import the user's modules."""
    for folder in reversed(options.get("code_folders", [])):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def named_class(options: Mapping[str, Any]) -> Any:
    """The class that ``--class`` names; None where it names none.

    Raises:
        UsageError: There is no such module or class.
    """
    text = options.get("class")
    if not text:
        return None
    module_name, colon, name = str(text).partition(":")
    if not colon or not name:
        raise UsageError(f"--class {text!r} names no class", hint=_CLASS_FORM)
    module = _imported(module_name, str(text))
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        near = ", ".join(sorted(key for key, value in vars(module).items() if _is_module_class(value))[:8])
        raise UsageError(
            f"the module {module_name!r} has no class {name!r}",
            hint=f"it has {near}" if near else f"it has no class of a module: {_CLASS_FORM}",
        )
    return found


def instance(kind: Any, options: Mapping[str, Any]) -> Any:
    """A module of the class, made with the arguments of ``--class-args``.

    Raises:
        UsageError: The file of arguments is no JSON of them, or the constructor does not take them.
    """
    positional, named = _arguments(options.get("class_args"))
    shown = ", ".join([*map(repr, positional), *(f"{key}={value!r}" for key, value in named.items())])
    try:
        return kind(*positional, **named)
    except Exception as error:
        raise UsageError(
            f"{kind.__name__}({shown[:200]}) stops: {type(error).__name__}: {_line(error)}",
            hint="give its constructor's arguments by name with --class-args FILE.json, as in"
            ' {"hidden": 64, "classes": 10}',
        ) from error


def built(path: Path, function: str) -> Any:
    """What the function of a Python file returns.

    Raises:
        ModelInvalid: The file cannot be imported, or has no such function.
        ConversionError: The function stops.
    """
    maker = getattr(_module_at(path), function, None)
    if not callable(maker):
        raise ModelInvalid(f"{path.name!r} has no function {function!r}", hint="name one as in build.py:load")
    try:
        return maker()
    except ModuleNotFoundError as error:
        raise _missing(error, path.name) from error
    except Exception as error:
        raise ConversionError(
            f"{function}() of {path.name!r} stops: {type(error).__name__}: {_line(error)}",
            hint="it is run without network and sees the folder of its file only; what it needs must lie there",
        ) from error


def _module_at(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModelInvalid(f"{path.name!r} is no Python file", hint="name one as in build.py:load")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise _missing(error, path.name) from error
    except Exception as error:
        raise ModelInvalid(
            f"{path.name!r} cannot be imported: {type(error).__name__}: {_line(error)}", hint="run it with python first"
        ) from error
    return module


def _imported(name: str, text: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and error.name != name.partition(".")[0]:
            raise _missing(error, name) from error
        raise UsageError(f"there is no module {name!r} for --class {text}", hint=_CLASS_FORM) from error
    except Exception as error:
        raise UsageError(
            f"the module {name!r} of --class cannot be imported: {type(error).__name__}: {_line(error)}",
            hint="run it with python first",
        ) from error


def _missing(error: ModuleNotFoundError, of: str) -> EnvironmentMissing:
    return EnvironmentMissing(
        f"{of!r} imports {error.name!r}, which is not installed where it is converted",
        hint=f"name its package: --with {(error.name or '').partition('.')[0]}",
    )


def _arguments(path: object) -> tuple[list[Any], dict[str, Any]]:
    if not path:
        return [], {}
    file = Path(str(path))
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read --class-args {file.name!r}: {error.strerror}", hint="check the path") from error
    except ValueError as error:
        raise UsageError(f"--class-args {file.name!r} is no JSON: {error}", hint='write {"name": value}') from error
    if isinstance(content, list):
        return content, {}
    if isinstance(content, dict):
        return [], content
    raise UsageError(f"--class-args {file.name!r} holds neither an object nor a list", hint='write {"name": value}')


def _is_module_class(value: object) -> bool:
    import torch

    return isinstance(value, type) and issubclass(value, torch.nn.Module)


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:300]
