"""Forms of a model that compute the same: ONNX Runtime's offline optimisation, onnxslim, fused transformers."""

from pathlib import Path

import onnx
import onnxruntime as ort

from packager.core.errors import BoundToHardware, ConversionError
from packager.transform.tools import all_nodes, write_model

LEVELS = {
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}
# What the levels above ``extended`` write: layouts that fit the width of this processor's registers.
_HARDWARE_DOMAINS = frozenset({"com.microsoft.nchwc", "com.ms.internal.nhwc"})


def optimise(source: Path, out: Path, *, level: str) -> None:
    """Write ONNX Runtime's own optimised graph for the CPU.

    Args:
        level: ``basic`` stays in standard ONNX; ``extended`` fuses into operators of ONNX Runtime's own, which all
            its builds for CPUs have.

    Raises:
        BoundToHardware: The graph would not load on other processors.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = LEVELS[level]
    options.optimized_model_filepath = str(out)
    ort.InferenceSession(_with_weights_inside(source), options, providers=["CPUExecutionProvider"])
    model = onnx.load(out)
    bound = sorted({node.op_type for node in all_nodes(model) if node.domain in _HARDWARE_DOMAINS})
    if bound:
        raise BoundToHardware(f"it holds {', '.join(bound)}, made for this processor's registers")
    write_model(model, out)


def _with_weights_inside(source: Path) -> Path | bytes:
    """The file; its bytes with the weights of the files beside it, whose place the optimised graph would not know."""
    model = onnx.load(source, load_external_data=False)
    if not any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        return source
    whole: bytes = onnx.load(source).SerializeToString()
    return whole


def slim(source: Path, out: Path) -> None:
    """Write onnxslim's graph: constants folded, what has no effect removed, standard ONNX."""
    import onnxslim

    model = onnxslim.slim(onnx.load(source))
    if not isinstance(model, onnx.ModelProto):
        raise ConversionError("onnxslim gave no model back")
    write_model(model, out)


def fuse_transformer(source: Path, out: Path) -> None:
    """Write the graph with attention, normalisation and activation fused, as far as patterns are recognised."""
    from onnxruntime.transformers import optimizer

    # Zero heads: the optimiser finds their number in the graph.
    fused = optimizer.optimize_model(str(source), model_type="bert", num_heads=0, hidden_size=0, opt_level=0)
    write_model(fused.model, out)
