"""A function of a model, traced once: its concrete function, and answers from it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from packager.converters.tensorflow.asked import asked_shapes
from packager.converters.tensorflow.emission import emit
from packager.converters.tensorflow.freezing import Frozen, freeze
from packager.converters.tensorflow.lookups import looked_up_values
from packager.converters.tensorflow.source import Array, Arrays, Port, Source, datatype, decoded, unique_names
from packager.core.conversion import ConversionRequest
from packager.core.errors import ConversionError, ConverterMissing

Call = Callable[[Mapping[str, Any]], Any]
Namer = Callable[[Any], "Mapping[str, Any]"]


def traced(
    owner: Any,
    call: Call,
    specs: Mapping[str, Any],
    named: Namer,
    request: ConversionRequest,
    *,
    example: Arrays | None = None,
) -> Source:
    """The source that a Python function of TensorFlow tensors is.

    Args:
        owner: What the variables and tables of the function belong to.
        call: Takes tensors by name.
        specs: A ``tf.TensorSpec`` for each input, by name.
        named: The outputs by name, from what ``call`` returns.

    Raises:
        ConverterMissing: It keeps state, or a tensor is sparse, ragged or of an unknown type.
        ConversionError: TensorFlow cannot trace it.
    """
    specs = _as_asked(dict(specs), request)
    function, names = _concrete(call, specs, named)
    inputs = tuple(
        Port(name, datatype(name, spec.dtype), _shape(spec), tensor.name)
        for (name, spec), tensor in zip(specs.items(), function.inputs, strict=False)
    )
    # tf2onnx takes the tables out of the function and does not put them back; nobody asks it afterwards.
    frozen = freeze(owner, function, inputs=[port.tensor for port in inputs])
    unique = unique_names([name or "output" for name in names], taken={port.name for port in inputs})
    outputs = tuple(
        Port(name, datatype(name, tensor.dtype), _shape(tensor), tensor.name)
        for name, tensor in zip(unique, function.outputs, strict=True)
    )
    return Source(
        inputs=inputs,
        outputs=outputs,
        ask=_asking(call, named, inputs, dict(zip(unique, names, strict=True))),
        emit=lambda opset: emit(frozen, inputs, outputs, opset),
        values=_values(frozen, inputs),
        example=example or {},
        owner=owner,
    )


def _concrete(call: Call, specs: Mapping[str, Any], named: Namer) -> tuple[Any, Sequence[str]]:
    import tensorflow as tf

    names: list[str] = []

    def run(*tensors: Any) -> list[Any]:
        answers = named(call(dict(zip(specs, tensors, strict=True))))
        names[:] = list(answers)
        for name, answer in answers.items():
            if not isinstance(answer, tf.Tensor):
                raise _not_dense(name, answer)
        # An output that is an input, or comes twice, needs a tensor of its own.
        return [tf.identity(answer) for answer in answers.values()]

    try:
        function = tf.function(run, autograph=False).get_concrete_function(*specs.values())
    except (ConversionError, MemoryError):
        raise
    except Exception as error:  # whatever a model's own code raises
        raise ConversionError(
            f"TensorFlow cannot trace the model: {type(error).__name__}: {_first_line(error)}",
            hint="the model must run as a graph (tf.function) for inputs of these shapes;"
            " --input NAME=DTYPE:D0,D1 gives others",
        ) from error
    return function, names


def _not_dense(name: str, answer: Any) -> ConverterMissing:
    return ConverterMissing(
        f"the output {name!r} is a {type(answer).__name__}, not a tensor",
        hint="return a dense tensor: call to_tensor(), or tf.sparse.to_dense",
    )


def _as_asked(specs: dict[str, Any], request: ConversionRequest) -> dict[str, Any]:
    """The specifications with the sizes of ``--input``."""
    import tensorflow as tf

    shapes = {name: _shape(spec) for name, spec in specs.items()}
    types = {name: datatype(name, spec.dtype) for name, spec in specs.items()}
    asked = asked_shapes(shapes, types, request)
    return {name: tf.TensorSpec(asked[name], spec.dtype, name=spec.name) for name, spec in specs.items()}


def _shape(tensor: Any) -> tuple[int | None, ...] | None:
    return None if tensor.shape.rank is None else tuple(tensor.shape.as_list())


def _asking(
    call: Call, named: Namer, inputs: Sequence[Port], keys: Mapping[str, str]
) -> Callable[[Mapping[str, Array]], Arrays]:
    """Who gives the model's own answers: a trace for exactly the shapes of the call, as Keras predicts.

    The trace for free axes, which is converted, was seen to differ from that: it is no witness for itself.

    Args:
        keys: By output name, the name that the model has for it.
    """
    import tensorflow as tf

    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        answers = named(call(given))
        return {name: answers[key] for name, key in keys.items()}

    traced_by_shape = tf.function(run, autograph=False)

    def ask(feeds: Mapping[str, Array]) -> Arrays:
        given = {port.name: tf.constant(feeds[port.name], dtype=_tensorflow_type(port)) for port in inputs}
        answers = traced_by_shape(given)
        return {name: decoded(np.asarray(answers[name])) for name in keys}

    return ask


def _tensorflow_type(port: Port) -> Any:
    import tensorflow as tf

    return tf.string if port.dtype == "BYTES" else tf.as_dtype(_NUMPY[port.dtype])


_NUMPY = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "INT8": "int8",
    "INT16": "int16", "INT32": "int32", "INT64": "int64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip


def _values(frozen: Frozen, inputs: Sequence[Port]) -> Mapping[str, Any]:
    found = looked_up_values(frozen)
    return {port.name: found[node] for port in inputs if (node := port.tensor.partition(":")[0]) in found}


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "in user code" not in line]
    told = [line for line in lines if not line.startswith(("File ", "*", "return ", "raise "))]
    return (told or lines or [""])[0][:300]
