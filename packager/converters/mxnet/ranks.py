"""How many axes an input has, where the file does not say: from what is done with it first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from packager.converters.mxnet.attributes import Attribute, read_attributes, signatures
from packager.converters.mxnet.registry import operators
from packager.converters.mxnet.symbol import NULL, Symbol, SymbolNode

# As many axes out as in.
_SAME = frozenset(
    [
        "Activation",
        "BatchNorm",
        "BlockGrad",
        "Cast",
        "Dropout",
        "InstanceNorm",
        "LayerNorm",
        "LeakyReLU",
        "LRN",
        "L2Normalization",
        "SwapAxis",
        "_copy",
        "amp_cast",
        "clip",
        "relu",
        "sigmoid",
        "tanh",
        "abs",
        "exp",
        "log",
        "sqrt",
        "square",
        "negative",
        "softmax",
        "log_softmax",
        "Pad",
        "reverse",
        "elemwise_add",
        "elemwise_sub",
        "elemwise_mul",
        "elemwise_div",
        "broadcast_add",
        "broadcast_sub",
        "broadcast_mul",
        "broadcast_div",
        "Concat",
        "SequenceMask",
        "SequenceReverse",
        "add_n",
        "softsign",
        "hard_sigmoid",
        "transpose",
        "slice",
        "slice_axis",
    ]
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a consumer wants: axes, and how long a row is where it is flat."""

    rank: int
    width: int | None = None


def wanted_ranks(symbol: Symbol, needed: list[int], arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Axes by input name, for those that their first consumers tell."""
    wanted: dict[int, _Wanted] = {}
    for index in reversed(needed):
        node = symbol.nodes[index]
        if node.op == NULL:
            continue
        for place, entry in enumerate(node.inputs[: operators()[signatures()[node.op].name].uses]):
            found = _from(node, place, wanted.get(index), symbol, arrays)
            if found is not None:
                wanted.setdefault(entry.node, found)
    return {symbol.nodes[index].name: item.rank for index, item in wanted.items() if symbol.nodes[index].op == NULL}


def _from(
    node: SymbolNode, place: int, after: _Wanted | None, symbol: Symbol, arrays: Mapping[str, NDArray[Any]]
) -> _Wanted | None:
    signature = signatures()[node.op]
    attributes = read_attributes(node, signature)
    if signature.name == "RNN" and place != 1:
        return _Wanted(3)
    if signature.name in _SAME or signature.name.endswith("_scalar"):
        return after
    if signature.name.startswith("Sequence") and place == 1:
        return _Wanted(1)
    if place != 0:
        return None
    if signature.name in ("sum", "mean", "max", "min") and after is not None:
        return _of_reduction(attributes, after)
    if signature.name in ("Convolution", "Deconvolution", "Pooling"):
        return _of_kernel(attributes, after)
    if signature.name in ("UpSampling", "_contrib_AdaptiveAvgPooling2D", "_contrib_BilinearResize2D"):
        return _Wanted(4)
    if signature.name == "FullyConnected":
        weight = arrays.get(symbol.nodes[node.inputs[1].node].name) if len(node.inputs) > 1 else None
        return _of_dense(attributes, after, weight)
    if signature.name == "SliceChannel" and after is not None:
        return _Wanted(after.rank + int(attributes["squeeze_axis"] is True))
    if signature.name == "Embedding" and after is not None:
        return _of_index(attributes, after)
    return None


def _of_kernel(attributes: Mapping[str, Attribute], after: _Wanted | None) -> _Wanted | None:
    kernel = attributes["kernel"]
    return _Wanted(len(kernel) + 2) if isinstance(kernel, tuple) and kernel else after


def _of_dense(
    attributes: Mapping[str, Attribute], after: _Wanted | None, weight: NDArray[Any] | None
) -> _Wanted | None:
    if not attributes["flatten"]:
        return None if after is None else _Wanted(after.rank)
    return _Wanted(2, weight.shape[1] if weight is not None and weight.ndim == 2 else None)


def _of_reduction(attributes: Mapping[str, Attribute], after: _Wanted) -> _Wanted | None:
    axes = attributes["axis"]
    if not isinstance(axes, tuple) or not axes or attributes["exclude"]:
        return None
    return _Wanted(after.rank + (0 if attributes["keepdims"] else len(axes)))


def _of_index(attributes: Mapping[str, Attribute], after: _Wanted) -> _Wanted | None:
    """An index has an axis less than what it chooses; where that is flattened, it may have as many."""
    if after.width is None:
        return _Wanted(after.rank - 1)
    return _Wanted(2) if after.width != attributes["output_dim"] else None
