"""Files of Keras 2 for Keras 3: the arguments of layers that it has under another form, or no longer."""

import copy
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

from packager.converters.tensorflow.recognition import CONFIG

# Every argument with the one value that means what Keras 3 does by itself.
_GONE: dict[str, Any] = {"time_major": False}


def adapted(config: Any) -> Any:
    """The configuration as Keras 3 reads it; the same object where nothing has to change."""
    changed = copy.deepcopy(config)
    return changed if _adapt(changed) else config


def with_config(path: Path, config: Any, folder: Path, *, is_zip: bool) -> Path:
    """A copy of the file that holds another configuration."""
    made = folder / ("adapted.keras" if is_zip else "adapted.h5")
    text = json.dumps(config)
    if is_zip:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
            for name in old.namelist():
                new.writestr(name, text if name == CONFIG else old.read(name))
        return made
    import h5py

    shutil.copyfile(path, made)
    with h5py.File(made, "r+") as file:
        file.attrs["model_config"] = text.encode()
    return made


def _adapt(value: Any) -> bool:
    """Change configurations of layers in place; whether there was one to change."""
    if isinstance(value, list):
        return any(list(map(_adapt, value)))
    if not isinstance(value, dict):
        return False
    found = any(list(map(_adapt, value.values())))
    inner = value.get("config")
    if "class_name" not in value or not isinstance(inner, dict):
        return found
    for name, meaning in _GONE.items():
        if name in inner and inner[name] == meaning:
            del inner[name]
            found = True
    if value["class_name"] != "InputLayer" and "batch_input_shape" in inner:  # of a layer that stands first
        del inner["batch_input_shape"]  # its InputLayer says the same
        found = True
    axis = inner.get("axis")
    if value["class_name"] == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        inner["axis"] = axis[0]
        found = True
    return found
