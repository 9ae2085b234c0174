"""TFLite files: float models, by tf2onnx's own reader of them; TFLite's interpreter gives the answers."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from packager.converters.tensorflow.asked import asked_shapes
from packager.converters.tensorflow.emission import checked, converted
from packager.converters.tensorflow.handlers import handlers
from packager.converters.tensorflow.source import Array, Arrays, Port, Source, datatype, decoded, unique_names
from packager.core.conversion import ConversionRequest
from packager.core.errors import ConverterMissing, ModelInvalid, UsageError

if TYPE_CHECKING:
    import onnx

_PREFIX, _SUFFIX = "serving_default_", ":0"
_INTEGER_ARITHMETIC = {"int8", "uint8", "int16"}


def load_tflite(request: ConversionRequest) -> Source:
    """The main graph of a TFLite file.

    Raises:
        ModelInvalid: The interpreter cannot load it.
        ConverterMissing: It computes with quantised integers, or needs operations of other libraries.
        UsageError: It has no such signature, or no such inputs as were asked for.
    """
    interpreter = _interpreter(request.source)
    _refuse_quantised(interpreter)
    inputs, outputs = _ports(interpreter, request)
    return Source(
        inputs=inputs,
        outputs=outputs,
        ask=lambda feeds: _asked(interpreter, inputs, outputs, feeds),
        emit=lambda opset: _emit(request.source, inputs, outputs, opset),
    )


def _interpreter(path: Path) -> Any:
    import tensorflow as tf

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of its successor, which is another package
            # The plain kernels; an accelerating delegate rounds otherwise.
            interpreter = tf.lite.Interpreter(
                str(path),
                num_threads=1,
                experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        if "lex" in reason or "custom op" in reason.lower() or "unresolved" in reason.lower():
            raise ConverterMissing(
                f"{path.name!r} needs operations that are not TFLite's own: {reason}",
                hint="convert the SavedModel or .keras file that the TFLite file was made from",
            ) from error
        raise ModelInvalid(
            f"TFLite cannot load {path.name!r}: {reason}", hint="make the file again with tf.lite.TFLiteConverter"
        ) from error
    return interpreter


def _refuse_quantised(interpreter: Any) -> None:
    for tensor in interpreter.get_tensor_details():
        scales = tensor.get("quantization_parameters", {}).get("scales", ())
        if len(scales) and np.dtype(tensor["dtype"]).name in _INTEGER_ARITHMETIC:
            raise ConverterMissing(
                f"the TFLite file is quantised ({tensor['name']!r} is {np.dtype(tensor['dtype']).name}): its kernels"
                " round integers in another way than ONNX Runtime's, so the answers would not be its own",
                hint="package the float model that it was made from, and quantise that with --quantize int8, which"
                " measures what is lost",
            )


def _ports(interpreter: Any, request: ConversionRequest) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    given, made = interpreter.get_input_details(), interpreter.get_output_details()
    names = _signature_names(interpreter, request, given, made)
    ins = unique_names([names.get(one["index"], _plain(one["name"])) for one in given])
    outs = unique_names([names.get(one["index"], _plain(one["name"])) for one in made], taken=set(ins))
    inputs = [_port(name, details) for name, details in zip(ins, given, strict=True)]
    asked = asked_shapes(
        {port.name: port.shape for port in inputs}, {port.name: port.dtype for port in inputs}, request
    )
    return (
        tuple(replace(port, shape=asked[port.name]) for port in inputs),
        tuple(_port(name, details) for name, details in zip(outs, made, strict=True)),
    )


def _signature_names(
    interpreter: Any, request: ConversionRequest, given: Sequence[Any], made: Sequence[Any]
) -> dict[int, str]:
    """Names by the number of a tensor, of the signature that the main graph has."""
    signatures = interpreter.get_signature_list()
    wanted = request.options.get("signature")
    if wanted is not None and wanted not in signatures:
        raise UsageError(
            f"{request.source.name!r} has no signature {wanted!r}",
            hint=f"it has {', '.join(signatures) or 'none: leave --signature out'}",
        )
    chosen = wanted or next(iter(signatures), None)
    if chosen is None:
        return {}
    if len(signatures) > 1:
        raise ConverterMissing(
            f"{request.source.name!r} has {len(signatures)} signatures ({', '.join(signatures)}), of which tf2onnx"
            " reads the first graph only",
            hint="make a TFLite file of the one signature, or package the SavedModel with --signature",
        )
    runner = interpreter.get_signature_runner(chosen)
    named = {detail["index"]: name for name, detail in runner.get_input_details().items()}
    named |= {detail["index"]: name for name, detail in runner.get_output_details().items()}
    return {one["index"]: named[one["index"]] for one in (*given, *made) if one["index"] in named}


def _plain(name: str) -> str:
    return name.removeprefix(_PREFIX).removesuffix(_SUFFIX).split(";")[0]


def _port(name: str, details: Any) -> Port:
    signature = details.get("shape_signature", details["shape"])
    shape = tuple(None if size < 0 else int(size) for size in signature)
    kind = np.dtype(details["dtype"])
    return Port(name, datatype(name, "string" if kind.kind in "SO" else kind), shape, details["name"])


def _asked(interpreter: Any, inputs: Sequence[Port], outputs: Sequence[Port], feeds: Mapping[str, Array]) -> Arrays:
    given = interpreter.get_input_details()
    for port, details in zip(inputs, given, strict=True):
        interpreter.resize_tensor_input(details["index"], feeds[port.name].shape, strict=True)
    interpreter.allocate_tensors()
    for port, details in zip(inputs, given, strict=True):
        interpreter.set_tensor(details["index"], feeds[port.name])
    interpreter.invoke()
    made = interpreter.get_output_details()
    return {
        port.name: decoded(np.array(interpreter.get_tensor(details["index"])))
        for port, details in zip(outputs, made, strict=True)
    }


def _emit(path: Path, inputs: Sequence[Port], outputs: Sequence[Port], opset: int) -> "onnx.ModelProto":
    from tf2onnx import optimizer
    from tf2onnx.tfonnx import process_tf_graph

    from packager.converters.tensorflow.emission import silence

    silence()
    graph = converted(
        lambda: process_tf_graph(
            None,
            opset=opset,
            input_names=[port.tensor for port in inputs],
            output_names=[port.tensor for port in outputs],
            tflite_path=str(path),
            custom_op_handlers=handlers({}),
        )
    )
    return checked(converted(lambda: optimizer.optimize_graph(graph, catch_errors=False).make_model("model")))
