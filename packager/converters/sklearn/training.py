"""What a search found, for the manifest; and the user's module that registers converters."""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from packager.core.errors import UsageError

PLUGIN, FOLDER = "plugin", "plugin_folder"


def training_of(model: Any) -> dict[str, Any] | None:
    """A search's class, best parameters and scores; None for a model that was not searched for."""
    if not hasattr(model, "best_estimator_") or not hasattr(model, "cv_results_"):
        return None
    results, best = model.cv_results_, int(model.best_index_)
    scores = {
        name: _plain(values[best])
        for name, values in sorted(results.items())
        if name.startswith(("mean_test_", "std_test_"))
    }
    parameters = {str(name): _plain(value) for name, value in sorted(model.best_params_.items())}
    return {
        "search": type(model).__name__,
        "best_parameters": parameters,
        "best_score": _plain(getattr(model, "best_score_", None)),
        "scores": scores,
        "candidates": len(results["params"]),
        "splits": int(getattr(model, "n_splits_", 0)),
    }


def load_plugin(options: Mapping[str, Any]) -> None:
    """Import the module that ``--plugin`` names, so that it registers its converters with skl2onnx.

    Raises:
        UsageError: There is no such module, or its import fails.
    """
    name = options.get(PLUGIN)
    if not name:
        return
    if folder := options.get(FOLDER):
        sys.path.append(str(folder))  # the classes of the model itself, which lie beside it
    path = Path(str(name))
    if path.suffix == ".py":
        sys.path.insert(0, str(path.parent))
        name = path.stem
    try:
        importlib.import_module(str(name))
    except Exception as error:  # the user's module may fail in any way
        raise UsageError(
            f"--plugin {str(options[PLUGIN])!r} cannot be imported: {type(error).__name__}: {error}",
            hint="name a file, or a module on PYTHONPATH; it calls skl2onnx.update_registered_converter",
        ) from error


def _plain(value: Any) -> Any:
    """A value as JSON has it; what JSON does not have, as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return type(value).__name__ if hasattr(value, "get_params") else str(value)
