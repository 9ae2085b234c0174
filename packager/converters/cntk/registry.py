"""CNTK's whole enumeration of primitives: which are converted, by which rule, and why the others are not.

Source: microsoft/CNTK, Source/CNTKv2LibraryDll/API/Internals/PrimitiveOpType.h (version 2.7).
"""

from collections.abc import Callable
from dataclasses import dataclass

from packager.converters.cntk.emitter import Emitter, Value
from packager.converters.cntk.model import Node
from packager.core.errors import ConverterMissing

Rule = Callable[[Emitter, Node, list[Value]], Value | list[Value]]


@dataclass(frozen=True, slots=True)
class Primitive:
    """One primitive.

    Attributes:
        rule: None where it is refused, or converted with what is around it (``how``).
        inputs: How many it takes; None where that varies.
        how: What is converted, in the words of the documentation; for a refused one, why not.
    """

    number: int
    name: str
    how: str
    rule: Rule | None = None
    inputs: int | None = None
    refused: bool = False


PRIMITIVES: dict[int, Primitive] = {}


def rule(number: int, name: str, how: str, *, inputs: int | None = 1) -> Callable[[Rule], Rule]:
    """Register the rule of a primitive with so many inputs; None where that varies."""

    def registered(function: Rule) -> Rule:
        PRIMITIVES[number] = Primitive(number, name, how, function, inputs)
        return function

    return registered


def _structural(number: int, name: str, how: str) -> None:
    PRIMITIVES[number] = Primitive(number, name, how)


def _refused(number: int, name: str, why: str) -> None:
    PRIMITIVES[number] = Primitive(number, name, why, refused=True)


_structural(44, "Combine", "several outputs, in order; also inside blocks")
_structural(57, "Block", "opened: its inner primitives are converted; all layers of `cntk.layers` are blocks")
_refused(18, "SumAll", "sums over the batch: a row's answer would depend on the rows beside it")
_refused(30, "ScatterPacked", "puts items back into places that depend on data")
_refused(
    34, "SquaredError", "a training loss summed over the batch; `squared_error` of CNTK 2 is a block that is converted"
)
_refused(
    35,
    "CrossEntropyWithSoftmax",
    "a training loss summed over the batch; `cross_entropy_with_softmax` of CNTK 2 is a block that is converted",
)
_refused(
    36,
    "ClassificationError",
    "a metric of training; `classification_error` without `topN` is a block that is converted",
)
_refused(45, "RandomSample", "its answers are random")
_refused(46, "RandomSampleInclusionFrequency", "part of sampled training losses")
_refused(47, "ROIPooling", "rounds regions as no ONNX operator does")
_refused(48, "Logistic", "a training loss summed over the batch; `binary_cross_entropy` is a block that is converted")
_refused(49, "OptimizedRNNStack", "runs on GPUs only, so that there is no answer to compare with here")
_refused(59, "LambdaRank", "a training loss over groups of rows")
_refused(60, "NDCG", "a metric over groups of rows")
_refused(61, "EditDistanceError", "a metric of training")
_refused(63, "LabelsToGraph", "part of a training loss (CTC)")
_refused(66, "ForwardBackward", "a training loss (CTC)")
_refused(67, "CosDistanceWithNegativeSamples", "compares a row with the rows beside it")
_refused(73, "Assign", "changes a parameter while it runs")
_refused(76, "RandomDistribution", "its answers are random")
_refused(79, "UnpackBatch", "mixes the rows of a batch")
_refused(80, "ToBatch", "mixes the rows of a batch")
_refused(90, "LatticeSequenceWithSoftmax", "a training loss for speech lattices")
_refused(92, "EyeLikeOp", "works on an input without a batch axis only")
_refused(93, "CustomProxyOp", "stands for code of the user's that is not in the file")


def primitive(node: Node) -> Primitive:
    """What is known of a node's primitive.

    Raises:
        ConverterMissing: It is refused, or unknown.
    """
    known = PRIMITIVES.get(node.op)
    if known is None:
        raise ConverterMissing(
            f"the CNTK model uses the operator {node.op} in {node.title}, which dray does not know",
            hint="write that part of the model with other operators; docs/cntk.md lists those that are converted",
            detail={"node": node.uid, "operator": node.op},
        )
    if known.refused:
        raise refusal(node, known.how)
    return known


def refusal(node: Node, why: str) -> ConverterMissing:
    """The error for a node that has no faithful form in ONNX."""
    known = PRIMITIVES.get(node.op)
    name = known.name if known else str(node.op)
    return ConverterMissing(
        f"{name} of the CNTK node {node.title} is not converted: {why}",
        hint="save the model without that part, or write it with other operators; docs/cntk.md lists what is converted",
        detail={"node": node.uid, "operator": name},
    )
