"""Modules of the user's: one that registers a model's own classes, or one whose function makes the model."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from packager.converters.tensorflow.source import Arrays
from packager.core.conversion import ConversionRequest
from packager.core.errors import ConversionError, UsageError

DEFAULT_FUNCTION = "load"


def run_plugin(request: ConversionRequest) -> None:
    """Import the module of ``--plugin``, which registers classes with Keras.

    Raises:
        UsageError: It is not there, or fails.
    """
    if (named := request.options.get("plugin")) is None:
        return
    _find_modules_in(request.options.get("plugin_folder"))
    _imported(str(named))


def made_by_code(request: ConversionRequest) -> tuple[Any, Arrays]:
    """What the function of a Python file returns: the model, and examples of its inputs by name where it has some.

    Raises:
        UsageError: There is no such function, or it fails.
    """
    for folder in request.options.get("code_folders", ()):
        _find_modules_in(folder)
    module = _imported(str(request.source))
    name = str(request.options.get("function") or DEFAULT_FUNCTION)
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(
            f"{request.source.name!r} has no function {name!r}",
            hint=f"define {name}(), which returns the model, or the model and an example of its input",
        )
    try:
        made = function()
    except Exception as error:  # the user's own code
        raise ConversionError(
            f"{request.source.name}:{name} fails: {type(error).__name__}: {str(error)[:300]}",
            hint="run it by itself; packages that it imports are named with --with, and it can read no files but those"
            " beside it",
        ) from error
    if isinstance(made, tuple) and len(made) == 2:
        return made[0], _example(made[1])
    return made, {}


def _imported(named: str) -> Any:
    try:
        if not named.endswith(".py"):
            return importlib.import_module(named)
        path = Path(named)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise FileNotFoundError(named)
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        _find_modules_in(str(path.parent))
        spec.loader.exec_module(module)
        return module
    except Exception as error:  # the user's own code
        raise UsageError(
            f"{Path(named).name!r} cannot be imported: {type(error).__name__}: {str(error)[:300]}",
            hint="packages that it imports are named with --with PACKAGE",
        ) from error


def _find_modules_in(folder: Any) -> None:
    if folder and str(folder) not in sys.path:
        sys.path.append(str(folder))


def _example(given: Any) -> Arrays:
    """Arrays by name; the name is empty where the example has none."""
    if isinstance(given, Mapping):
        return {str(name): np.asarray(value) for name, value in given.items()}
    parts = given if isinstance(given, tuple | list) else (given,)
    return {f"input_{index}" if len(parts) > 1 else "": np.asarray(value) for index, value in enumerate(parts)}
