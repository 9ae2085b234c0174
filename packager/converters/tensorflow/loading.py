"""From a file to a source, in the child process."""

import os
from collections.abc import Mapping
from typing import Any

from packager.converters.tensorflow.recognition import required_kind
from packager.converters.tensorflow.source import Arrays, Source
from packager.core.conversion import ConversionRequest
from packager.core.errors import ConverterMissing, UsageError


def set_up() -> None:
    """What TensorFlow reads when it is first imported: no log lines, no GPU, and the plain kernels' rounding."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ["KERAS_BACKEND"] = "tensorflow"


def load(request: ConversionRequest) -> Source:
    """The function that the file holds.

    Raises:
        ConversionError: One of its family.
        UsageError: Something has to be said that the file does not.
    """
    kind = required_kind(request.source)
    if kind == "saved-model":
        from packager.converters.tensorflow.saved_models import load_signature

        return load_signature(request)
    if kind == "tflite":
        from packager.converters.tensorflow.tflite import load_tflite

        return load_tflite(request)
    if kind == "code":
        return _of_code(request)
    if (signature := request.options.get("signature")) is not None:
        raise UsageError(
            f"--signature {signature}: {request.source.name!r} is a Keras file, which has no signatures",
            hint="leave --signature out, or name a SavedModel folder (model.export)",
        )
    from packager.converters.tensorflow.keras_models import load_keras

    return load_keras(request, is_zip=kind == "keras")


def _of_code(request: ConversionRequest) -> Source:
    import keras

    from packager.converters.tensorflow.keras_models import of_model
    from packager.converters.tensorflow.plugin import made_by_code

    made, example = made_by_code(request)
    if isinstance(made, keras.Model):
        return of_model(made, request, example=_named(made, example))
    return _of_functions(made, example, request)


def _of_functions(made: Any, example: Arrays, request: ConversionRequest) -> Source:
    """A tf.Module with signatures, a function of TensorFlow, or a concrete one."""
    import tensorflow as tf

    from packager.converters.tensorflow.saved_models import chosen, of_function

    named = getattr(made, "signatures", None)
    if isinstance(named, Mapping) and named:
        made_function = chosen(named, request.options.get("signature"), request.source.name)
        return of_function(made, made_function, request)
    function = made
    if not hasattr(made, "structured_input_signature") and not hasattr(made, "get_concrete_function"):
        function = made.__call__ if callable(made) else made
    if hasattr(function, "get_concrete_function"):
        function = _concrete(function, example)
    if not hasattr(function, "structured_input_signature"):
        raise ConverterMissing(
            f"{request.source.name!r} makes a {type(made).__name__}, which is no model of TensorFlow or Keras",
            hint="return a keras.Model, a tf.Module whose __call__ is a tf.function, or a tf.function; with an example"
            " of its input where it has no input_signature: return model, example",
        )
    return of_function(made if isinstance(made, tf.Module) else tf.Module(), function, request)


def _concrete(function: Any, example: Arrays) -> Any:
    import tensorflow as tf

    if function.input_signature is not None:
        return function.get_concrete_function()
    if not example:
        raise ConverterMissing(
            "the function has no input_signature, and no example came with it",
            hint="return model, example: an array, a tuple of arrays, or arrays by argument name",
        )
    specs = {
        name: tf.TensorSpec((None, *value.shape[1:]), value.dtype, name=name or None) for name, value in example.items()
    }
    positional = all(name == "" or name.startswith("input_") for name in specs)
    return function.get_concrete_function(*specs.values()) if positional else function.get_concrete_function(**specs)


def _named(model: Any, example: Arrays) -> Arrays:
    """The example under the names of the model's inputs, where it came without."""
    names = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    if set(example) <= set(names) or len(names) not in (0, len(example)):
        return example
    return dict(zip(names or [name or "inputs" for name in example], example.values(), strict=True))
