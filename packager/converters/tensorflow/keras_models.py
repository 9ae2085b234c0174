"""Keras models: loaded without running code that nobody trusted, and traced as they predict."""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packager.converters.tensorflow.keras2 import adapted, with_config
from packager.converters.tensorflow.keras_config import foreign_names, registered_names
from packager.converters.tensorflow.keras_files import hdf5_config, zipped_config
from packager.converters.tensorflow.plugin import run_plugin
from packager.converters.tensorflow.source import Arrays, Source, unique_names
from packager.converters.tensorflow.tracing import traced
from packager.core.conversion import ConversionRequest
from packager.core.errors import ConverterMissing, ModelInvalid, UnsafeModel, UsageError
from packager.core.unpickling import limited_unpickling
from runtime.contract.dtypes import DTYPES

_REGISTER = (
    "register it with @keras.saving.register_keras_serializable() in a module of yours, and name that:"
    " --plugin my_layers.py"
)


def load_keras(request: ConversionRequest, *, is_zip: bool) -> Source:
    """The model in a ``.keras`` or HDF5 file.

    Raises:
        UnsafeModel: It holds code that nobody trusted; nothing of it was run.
        ConverterMissing: A class of the user's is not registered.
        ModelInvalid: Keras cannot load it.
    """
    config = zipped_config(request.source) if is_zip else hdf5_config(request.source)
    found = foreign_names(config, is_registered_elsewhere="plugin" in request.options)
    if hidden := [name for name in found if name not in request.trusted]:
        raise UnsafeModel(
            f"loading {request.source.name!r} would run what no list of harmless names holds: {', '.join(hidden)}",
            hint="nothing of it was run; --trust loads a file whose maker you know",
        )
    run_plugin(request)
    custom = _custom_objects(config, request)
    path = _readable(request, config, is_zip=is_zip)
    return of_model(_loaded(path, custom, trusted=bool(request.trusted)), request)


def of_model(model: Any, request: ConversionRequest, *, example: Arrays | None = None) -> Source:
    """The source that a Keras model in memory is."""
    import keras

    inner = getattr(model, "_functional", None) or model
    structure = getattr(inner, "_inputs_struct", None)
    if structure is None:
        specs, call = _of_subclass(model, request, example or {})
    else:
        specs, call = _of_functional(model, structure)
    is_known = structure is not None

    def named(answers: Any) -> dict[str, Any]:
        return _named(inner if is_known else None, answers)

    if keras.backend.backend() != "tensorflow":
        raise UsageError(f"Keras runs on {keras.backend.backend()!r} here", hint="set KERAS_BACKEND=tensorflow")
    return traced(model, call, specs, named, request, example=example)


def _of_functional(model: Any, structure: Any) -> tuple[dict[str, Any], Any]:
    import keras
    import tensorflow as tf

    tensors = keras.tree.flatten(structure)
    keys = list(structure) if isinstance(structure, dict) else [_input_name(tensor) for tensor in tensors]
    flat = [structure[key] for key in keys] if isinstance(structure, dict) else tensors
    names = unique_names([str(key) for key in keys])
    for name, tensor in zip(names, flat, strict=True):
        if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
            raise ConverterMissing(
                f"the input {name!r} is sparse or ragged", hint="build the model with dense inputs, and pad them"
            )
    specs = {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in zip(names, flat, strict=True)}

    def call(given: Mapping[str, Any]) -> Any:
        values = list(given.values())
        if isinstance(structure, dict):
            packed: Any = dict(zip(keys, values, strict=True))
        else:
            packed = keras.tree.pack_sequence_as(structure, values)
        return model(packed, training=False)

    return specs, call


def _input_name(tensor: Any) -> str:
    """The name of the layer that holds the input; a tensor without a name of its own has a running number."""
    history = getattr(tensor, "_keras_history", None)
    return str(history.operation.name if history is not None else tensor.name)


def _of_subclass(model: Any, request: ConversionRequest, example: Arrays) -> tuple[dict[str, Any], Any]:
    """Inputs of a model that is a class of the user's: what it was built with, or what the user says."""
    import tensorflow as tf

    accepted = list(inspect.signature(model.call).parameters)
    first = next((name for name in accepted if name not in {"self", "training", "mask"}), "inputs")
    built = (model.get_build_config() or {}).get("input_shape")
    if example:
        specs = {name: tf.TensorSpec((None, *value.shape[1:]), value.dtype) for name, value in example.items()}
    elif request.inputs:
        kinds = {
            hint.name: tf.string if hint.dtype == "BYTES" else DTYPES[hint.dtype].numpy[1:] for hint in request.inputs
        }
        specs = {
            hint.name: tf.TensorSpec([s if isinstance(s, int) else None for s in hint.shape], kinds[hint.name])
            for hint in request.inputs
        }
    elif isinstance(built, list | tuple) and built and all(size is None or isinstance(size, int) for size in built):
        # The rows of the call that built it mean nothing.
        specs = {first: tf.TensorSpec((None, *built[1:]), "float32")}
    else:
        raise UsageError(
            "the model does not say what its inputs are",
            hint=f"give them with --input {first}=FP32:N,4, or save the model after it was called",
        )
    takes_one = len(specs) == 1

    def call(given: Mapping[str, Any]) -> Any:
        packed = next(iter(given.values())) if takes_one else dict(given)
        return model(packed, training=False) if "training" in accepted else model(packed)

    return specs, call


def _named(inner: Any, answers: Any) -> dict[str, Any]:
    """Outputs by the keys of a dictionary, else by the layers that make them, as Keras itself names them."""
    import keras

    if isinstance(answers, Mapping) and all(
        not isinstance(value, Mapping | list | tuple) for value in answers.values()
    ):
        return {str(key): value for key, value in answers.items()}
    flat = keras.tree.flatten(answers)
    names = [f"output_{index}" for index in range(len(flat))]
    if inner is not None:
        layers = [tensor._keras_history.operation.name for tensor in inner.outputs]
        names = layers if len(layers) == len(flat) else names
    return dict(zip(unique_names(names), flat, strict=True))


def _custom_objects(config: Any, request: ConversionRequest) -> dict[str, Any]:
    """The user's classes by the names that the file has for them.

    Keras would import the module that the file names for a class that is not registered: that must not come to pass.
    """
    import keras

    registered = keras.saving.get_custom_objects()
    found: dict[str, Any] = {}
    missing = []
    for name in registered_names(config):
        bare = re.split(r"[>.]", name)[-1]
        named = registered.get(name) or next((v for k, v in registered.items() if k.rpartition(">")[2] == bare), None)
        if named is None:
            missing.append(name)
        else:
            found |= {name: named, bare: named}
    if missing:
        raise ConverterMissing(
            f"{request.source.name!r} needs {', '.join(missing)}, which is no part of Keras and is not registered",
            hint=_REGISTER,
            detail={"missing": missing},
        )
    return found


def _loaded(path: Path, custom: Mapping[str, Any], *, trusted: bool) -> Any:
    import keras

    try:
        with limited_unpickling():
            return keras.saving.load_model(path, custom_objects=dict(custom), compile=False, safe_mode=not trusted)
    except Exception as error:  # Keras raises anything, and a model's own classes too
        reason = " ".join(str(error).rpartition("Exception encountered:")[2].split())[:300]
        raise ModelInvalid(
            f"Keras {keras.__version__} cannot load {path.name!r}: {type(error).__name__}: {reason}",
            hint="the file is damaged, or of a Keras 2 whose layers Keras 3 does not have: load it with what"
            " saved it (tf_keras), and save it as a SavedModel: tf.saved_model.save(model, 'folder')",
        ) from error


def _readable(request: ConversionRequest, config: Any, *, is_zip: bool) -> Path:
    """The file as Keras 3 reads it: a copy where Keras 2 wrote it, under a suffix by which Keras knows its format."""
    source = request.source
    if (for_keras_3 := adapted(config)) is not config:
        return with_config(source, for_keras_3, request.workdir, is_zip=is_zip)
    if source.suffix in ({".keras"} if is_zip else {".h5", ".hdf5"}):
        return source
    link = request.workdir / ("model.keras" if is_zip else "model.h5")
    link.symlink_to(source)
    return link
