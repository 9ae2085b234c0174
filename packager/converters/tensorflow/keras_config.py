"""What the configuration of a Keras model would make Keras look up, call or read: read without Keras.

Source: keras.src.saving.serialization_lib of Keras 3.15, and its legacy readers of HDF5 files.
"""

from collections.abc import Iterator
from typing import Any

from packager.converters.tensorflow.names import keras_names

# Dictionaries that make nothing but data.
_DATA = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__tuple__"}
# Configurations of layers that read a file when it is a string, not a list.
_PATHS = ("vocabulary", "idf_weights", "filepath", "input_vocabulary")
_READERS = {"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"}
# Steps of Keras 2 that Keras 3 cannot load at all, and says so.
_GONE = {"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty", "TensorFlowOpLayer"}
_KERAS = ("keras", "builtins", "tf_keras", "tensorflow.keras")


def foreign_names(config: Any, *, is_registered_elsewhere: bool = False) -> tuple[str, ...]:
    """What no list of harmless names holds, each once, in the order of the file.

    Args:
        config: The model's, as JSON; its own compilation is never loaded and does not count.
        is_registered_elsewhere: The user's module registers the classes of the model, so they are no code of the file.
    """
    found = (name for entry in _entries(config) for name in _judged(entry, own_classes=is_registered_elsewhere))
    return tuple(dict.fromkeys(found))


def registered_names(config: Any) -> tuple[str, ...]:
    """Names under which classes and functions of the user's must be registered before the model can be loaded."""
    found = (_custom_name(entry) for entry in _entries(config) if _is_custom(entry))
    return tuple(dict.fromkeys(found))


def _entries(config: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary that names a class, from the outside in; without the model's own compilation."""
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key != "compile_config"}
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                yield value
            waiting += reversed(list(value.values()))
        elif isinstance(value, list):
            waiting += reversed(value)


def _judged(entry: dict[str, Any], *, own_classes: bool) -> Iterator[str]:
    name = entry["class_name"]
    if name in _DATA or name in _GONE:
        return
    inner = entry.get("config")
    called = inner.get("name") if isinstance(inner, dict) else None
    if name == "__lambda__":
        yield "a Python function in the file (__lambda__)"
    elif name == "Lambda":
        yield f"the Lambda layer {called!r}"
    elif name == "__typespec__":
        yield f"the type {entry.get('module')}.{entry.get('spec_name')}"
    elif _is_custom(entry):
        if not own_classes:
            yield f"{_custom_name(entry)}, which is no part of Keras"
    elif _looked_up(entry) not in keras_names():
        yield f"{entry.get('module') or 'keras'}.{_looked_up(entry)}"
    if name in _READERS and isinstance(inner, dict):
        yield from (
            f"reading the file {inner[key]!r} for {called!r}" for key in _PATHS if isinstance(inner.get(key), str)
        )


def _looked_up(entry: dict[str, Any]) -> str:
    """The bare name that Keras looks up: of a function it is what the configuration says."""
    return str(entry.get("config") if entry["class_name"] == "function" else entry["class_name"])


def _is_custom(entry: dict[str, Any]) -> bool:
    """Whether Keras would look outside its own packages."""
    name = entry["class_name"]
    if name in _DATA or name in _GONE or name in {"__lambda__", "__typespec__", "Lambda"}:
        return False
    if "module" not in entry:  # as legacy HDF5 files write it: Keras' own classes by bare name
        return _looked_up(entry) not in keras_names() and not isinstance(entry.get("config"), str)
    module = entry["module"]
    if name == "function" and module == "builtins":  # where Keras puts functions that it has no place for
        return _looked_up(entry) not in keras_names()
    return not (isinstance(module, str) and any(module == own or module.startswith(f"{own}.") for own in _KERAS))


def _custom_name(entry: dict[str, Any]) -> str:
    registered = entry.get("registered_name")
    module = entry.get("module")
    if isinstance(registered, str) and registered:
        return registered
    return f"{module}.{_looked_up(entry)}" if module else _looked_up(entry)
