"""What there is to quantise in a graph, and the refusal where there is nothing."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx

from packager.core.errors import NothingToQuantize
from packager.transform.tools import all_nodes

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
PRODUCTS = frozenset({"MatMul", "Gemm", "Attention", "FusedMatMul", "FusedGemm"})
# Recurrent networks and look-up tables, which only the dynamic form takes.
DYNAMIC_ONLY = frozenset({"LSTM", "Gather", "EmbedLayerNormalization"})
_FEW_PRODUCTS = 6


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """What a graph computes with.

    Attributes:
        weighted: How many nodes of each type have FP32 weights; ``wide``: FP64 ones.
        operators: All nodes, by type.
    """

    weighted: Counter[str]
    wide: Counter[str]
    operators: Counter[str]

    @property
    def convolutional(self) -> bool:
        """Whether convolutions have weights."""
        return any(self.weighted[name] for name in CONVOLUTIONS)

    @property
    def products(self) -> bool:
        """Whether matrix products or recurrent layers have weights."""
        return any(self.weighted[name] for name in (*PRODUCTS, "LSTM"))

    @property
    def attentive(self) -> bool:
        """Whether it looks like a transformer: many matrix products, and a softmax between them."""
        return self.operators["Softmax"] + self.operators["Attention"] > 0 and (
            sum(self.operators[name] for name in PRODUCTS) >= _FEW_PRODUCTS
        )


def facts_of(path: Path) -> GraphFacts:
    """The facts of an ONNX file, without its external tensors."""
    model = onnx.load(path, load_external_data=False)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    types |= {
        node.output[0]: attribute.t.data_type
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    weighted: Counter[str] = Counter()
    wide: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type not in CONVOLUTIONS | PRODUCTS | DYNAMIC_ONLY:
            continue
        kinds = {types[name] for name in node.input if name in types}
        weighted[node.op_type] += onnx.TensorProto.FLOAT in kinds
        wide[node.op_type] += onnx.TensorProto.DOUBLE in kinds and node.op_type != "Gather"
    return GraphFacts(+weighted, +wide, Counter(node.op_type for node in all_nodes(model)))


def check_quantizable(facts: GraphFacts) -> None:
    """Refuse a model without FP32 weights in matrix products or convolutions.

    Raises:
        NothingToQuantize: Names what the model computes with instead.
    """
    if facts.convolutional or facts.products:
        return
    if facts.wide:
        raise NothingToQuantize(
            f"the weights of this model are FP64 ({_listed(facts.wide)}), and only FP32 ones can be quantised",
            hint="scikit-learn computes in float64, and so does what dray makes of it; package it without --quantize "
            "(a target that asks for it: --set quantize=none),"
            " or train the network in a framework that computes in float32",
        )
    raise NothingToQuantize(
        "nothing in this model can be quantised: it has no FP32 weights in matrix products or convolutions, and"
        f" computes with {_listed(facts.operators)}",
        hint="package it without --quantize (a target that asks for it: --set quantize=none); trees and look-ups are "
        "small and fast as they are",
    )


def has_fewer_bits(path: Path) -> bool:
    """Whether any weight is of 8 or 16 bits: the tools write a model as it was where they find nothing to do."""
    few = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT16}
    model = onnx.load(path, load_external_data=False)
    return any(tensor.data_type in few and len(tensor.dims) > 0 for tensor in model.graph.initializer)


def _listed(counts: Counter[str]) -> str:
    names = [name for name, _ in counts.most_common(4)]
    return ", ".join(names) + (" and others" if len(counts) > len(names) else "")
