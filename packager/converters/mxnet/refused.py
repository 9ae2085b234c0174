"""Operators that dray does not translate, and why."""

from packager.converters.mxnet.symbol import SymbolNode
from packager.core.errors import ConverterMissing

UNVERIFIED = "not verified against MXNet"
_CONTROL = "a graph inside the graph: MXNet's control flow has no faithful ONNX form yet"
_QUANTIZED = "computes on integers of 8 bits with calibrated ranges"
_RANDOM = "its answers are random"
_BOXES = "post-processing of boxes; its order among equal scores is MXNet's own"
_CUSTOM = "code that is not in the file"
_IMAGES = "prepares images; send images that are prepared already"
_TRAINING = "computes a loss or an update of training, not an answer"
_SPARSE = "sparse storage"
# Exact names first, then beginnings; the page in docs shows them in this order.
REFUSED = {
    "_foreach": _CONTROL,
    "_while_loop": _CONTROL,
    "_cond": _CONTROL,
    "Custom": _CUSTOM,
    "_CustomFunction": _CUSTOM,
    "_CachedOp": _CUSTOM,
    "_NDArray": _CUSTOM,
    "_Native": _CUSTOM,
    "CTCLoss": _TRAINING,
    "softmax_cross_entropy": _TRAINING,
    "IdentityAttachKLSparseReg": _TRAINING,
    "shuffle": _RANDOM,
    "_shuffle": _RANDOM,
    "cast_storage": _SPARSE,
    "_contrib_box_nms": _BOXES,
    "_contrib_box_iou": _BOXES,
    "_contrib_box_encode": _BOXES,
    "_contrib_box_decode": _BOXES,
    "_contrib_MultiBoxPrior": _BOXES,
    "_contrib_MultiBoxTarget": _BOXES,
    "_contrib_MultiBoxDetection": _BOXES,
    "_contrib_Proposal": _BOXES,
    "_contrib_MultiProposal": _BOXES,
    "_contrib_bipartite_matching": _BOXES,
    "_contrib_boolean_mask": "the size of its answer depends on the numbers",
    "_contrib_ROIAlign": UNVERIFIED,
    "ROIPooling": UNVERIFIED,
    "Correlation": UNVERIFIED,
    "SpatialTransformer": UNVERIFIED,
    "BilinearSampler": UNVERIFIED,
    "GridGenerator": UNVERIFIED,
    "gamma": "ONNX has no gamma function",
    "gammaln": "ONNX has no gamma function",
    "erfinv": "ONNX has no inverse error function",
}
PREFIXES = {
    "_contrib_quantize": _QUANTIZED,
    "_contrib_dequantize": _QUANTIZED,
    "_contrib_requantize": _QUANTIZED,
    "_contrib_calibrate": _QUANTIZED,
    "_sg_": "a subgraph fused for one processor: save the model before optimize_for or get_backend_symbol",
    "_random_": _RANDOM,
    "random_": _RANDOM,
    "_sample_": _RANDOM,
    "sample_": _RANDOM,
    "_image_": _IMAGES,
    "image_": _IMAGES,
    "_backward_": _TRAINING,
    "_linalg_": UNVERIFIED,
    "linalg_": UNVERIFIED,
    "_np": "MXNet's numpy interface (mx.np), with rules of its own: " + UNVERIFIED,
    "_sparse_": _SPARSE,
    "_contrib_": UNVERIFIED,
}


def reason(op: str) -> str:
    """Why an operator is refused."""
    if op in REFUSED:
        return REFUSED[op]
    return next((why for start, why in PREFIXES.items() if op.startswith(start)), UNVERIFIED)


def refusal(node: SymbolNode) -> ConverterMissing:
    """The error for a node that is not translated."""
    why = _CONTROL if node.nested else reason(node.op)
    return ConverterMissing(
        f"the {node.op} node {node.name!r} cannot be converted: {why}",
        hint="docs/mxnet.md lists what was verified; build the model without it, and export it again",
        detail={"operator": node.op, "node": node.name},
    )
