"""Half floats in place of FP32."""

from pathlib import Path

import onnx

from packager.transform.tools import write_model


def halve(source: Path, out: Path) -> None:
    """Write the model with FP16 weights and arithmetic; inputs and outputs keep their types.

    onnxruntime's own converter leaves the casts that it puts at the inputs behind the nodes that read them (1.32), and
    such a graph is invalid.
    """
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

    ordered = ONNXModel(convert_float_to_float16(onnx.load(source), keep_io_types=True))
    ordered.topological_sort()
    write_model(ordered.model, out)
