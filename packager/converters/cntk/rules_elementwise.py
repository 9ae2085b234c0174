"""Primitives that work on each number by itself, as CNTK's CPU kernels do at the edges of their domains.

Source: microsoft/CNTK, Source/Math/TensorOps.h.
"""

from collections.abc import Sequence as Many
from dataclasses import replace
from typing import Any

import numpy as np

from packager.converters.cntk.emitter import Emitter, Size, Value, expanded, of_rank, reshaped, with_axes_of
from packager.converters.cntk.model import Node, numpy_type
from packager.converters.cntk.registry import Rule, refusal, rule

# Below it, CNTK's logarithm is constant. Source: Source/Math/CommonMatrix.h, EPS_IN_LOG.
_LOG_FLOOR = {"float32": (1e-37, -85.1), "float64": (1e-37, -85.1)}


def aligned(emitter: Emitter, node: Node, values: Many[Value]) -> tuple[list[Value], Value]:
    """Operands as ONNX broadcasts them, and a value with the dynamic axes and the shape of the answer."""
    named = {value.sequence.name for value in values if value.sequence}
    if len(named) > 1:
        raise refusal(node, f"its operands are sequences along different axes ({', '.join(sorted(named))})")
    kinds = {value.dtype for value in values}
    if len(kinds) > 1:
        raise refusal(node, f"its operands are of different types ({', '.join(sorted(kinds))})")
    widest = max(values, key=lambda value: value.lead)
    rank = max(len(value.shape) for value in values)
    made = [of_rank(emitter, with_axes_of(emitter, value, widest), rank) for value in values]
    shape = tuple(_broadcast(node, [value.shape[place] for value in made]) for place in range(rank))
    return made, Value("", shape, widest.batch, widest.sequence, values[0].dtype)


def _broadcast(node: Node, parts: list[Size]) -> Size:
    larger = {part for part in parts if part != 1}
    if len(larger) > 1:
        raise refusal(node, f"its operands have axes of {', '.join(map(str, parts))}")
    return next(iter(larger), 1)


def _probed(node: Node, function: Any, values: Many[Value]) -> Any:
    """The same computation on values that depend on a sequence's length alone."""
    if not any(value.probe for value in values):
        return None
    if any(value.probe is None and value.constant is None for value in values):
        return None

    def probe(length: int) -> Any:
        return function(*[value.probe(length) if value.probe else value.constant for value in values])

    return probe


def elementwise(emitter: Emitter, node: Node, values: Many[Value], op: str, function: Any = None) -> Value:
    """One ONNX operator on broadcast operands."""
    made, answer = aligned(emitter, node, values)
    name = emitter.node(op, *[value.name for value in made])
    probe = _probed(node, function, values) if function is not None else None
    constant = None
    if function is not None and all(value.constant is not None for value in made):
        constant = np.asarray(function(*[value.constant for value in made]), answer.dtype)
    return Value(name, answer.shape, answer.batch, answer.sequence, answer.dtype, constant, probe)


def _scalar(emitter: Emitter, number: float, like: Value) -> str:
    return emitter.array(np.array(number), like.dtype)


def _unary(op: str) -> Rule:
    def apply(emitter: Emitter, node: Node, values: list[Value]) -> Value:
        return values[0].like(emitter.node(op, values[0].name))

    return apply


def _same(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    return values[0]


for _number, _name, _op in (
    (0, "Negate", "Neg"), (2, "Tanh", "Tanh"), (3, "ReLU", "Relu"), (4, "Exp", "Exp"), (7, "Floor", "Floor"),
    (8, "Abs", "Abs"), (54, "Sin", "Sin"), (55, "Cos", "Cos"), (77, "Sinh", "Sinh"), (78, "Cosh", "Cosh"),
    (81, "Asin", "Asin"), (82, "Acos", "Acos"), (85, "Atanh", "Atanh"), (86, "Asinh", "Asinh"), (95, "Tan", "Tan"),
    (96, "Atan", "Atan"), (1, "Sigmoid", "Sigmoid"), (75, "StableSigmoid", "Sigmoid"),
):  # fmt: skip
    rule(_number, _name, "any shape")(_unary(_op))
for _number, _name, _how in (
    (56, "Pass", "passes its input on"), (62, "NoOp", "passes its input on (`alias`, `Label`)"),
    (64, "StopGradient", "passes its input on"),
):  # fmt: skip
    rule(_number, _name, _how)(_same)


@rule(15, "Dropout", "passes its input on, as CNTK does outside training")
def _dropout(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    node.attributes.skip("dropoutRate", "rngSeed", "rngOffset")
    return values[0]


@rule(94, "StraightThrough", "1 where the input is above 0, else -1")
def _straight_through(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value = values[0]
    positive = emitter.node("Greater", value.name, _scalar(emitter, 0, value))
    return value.like(emitter.node("Where", positive, _scalar(emitter, 1, value), _scalar(emitter, -1, value)))


@rule(5, "Log", "with CNTK's floor of -85.1 below 1e-37")
def _log(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value = values[0]
    epsilon, floor = _LOG_FLOOR[value.dtype]
    small = emitter.node("Less", value.name, _scalar(emitter, epsilon, value))
    safe = emitter.node("Where", small, _scalar(emitter, 1, value), value.name)
    return value.like(emitter.node("Where", small, _scalar(emitter, floor, value), emitter.node("Log", safe)))


@rule(6, "Sqrt", "0 below 0, as in CNTK")
def _sqrt(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value = values[0]
    return value.like(emitter.node("Sqrt", emitter.node("Max", value.name, _scalar(emitter, 0, value))))


@rule(9, "Reciprocal", "0 at 0, as in CNTK; also the divisor of `element_divide`")
def _reciprocal(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value = values[0]
    if value.constant is not None:
        known = np.asarray(value.constant)
        made = np.divide(1, known, out=np.zeros_like(known), where=known != 0)
        return emitter.constant(made)
    zero = emitter.node("Equal", value.name, _scalar(emitter, 0, value))
    safe = emitter.node("Where", zero, _scalar(emitter, 1, value), value.name)
    turned = emitter.node("Reciprocal", safe)
    return value.like(emitter.node("Where", zero, _scalar(emitter, 0, value), turned))


@rule(65, "ELU", "`elu`, and inside `selu`; other alphas are blocks around it")
def _elu(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    alpha = node.attributes.real("alpha", 1.0)
    return values[0].like(emitter.node("Elu", values[0].name, alpha=alpha))


def _binary(op: str, function: Any) -> Rule:
    def apply(emitter: Emitter, node: Node, values: list[Value]) -> Value:
        return elementwise(emitter, node, values, op, function)

    return apply


for _number, _name, _op, _function in (
    (19, "Plus", "Add", np.add), (20, "Minus", "Sub", np.subtract), (21, "ElementTimes", "Mul", np.multiply),
):  # fmt: skip
    rule(_number, _name, "broadcast over static axes, and of rows over sequences", inputs=2)(_binary(_op, _function))


def _comparison(op: str, negated: bool, function: Any) -> Rule:
    def apply(emitter: Emitter, node: Node, values: list[Value]) -> Value:
        made = elementwise(emitter, node, values, op, function)
        name = emitter.node("Not", made.name) if negated else made.name
        probe = made.probe
        return Value(emitter.cast(name, made.dtype), made.shape, made.batch, made.sequence, made.dtype, probe=probe)

    return apply


for _number, _name, _op, _negated, _compare in (
    (22, "Equal", "Equal", False, np.equal), (23, "NotEqual", "Equal", True, np.not_equal),
    (24, "Less", "Less", False, np.less), (25, "LessEqual", "LessOrEqual", False, np.less_equal),
    (26, "Greater", "Greater", False, np.greater), (27, "GreaterEqual", "GreaterOrEqual", False, np.greater_equal),
):  # fmt: skip
    rule(_number, _name, "gives 1 and 0; broadcast as `Plus`", inputs=2)(_comparison(_op, _negated, _compare))


@rule(69, "Pow", "broadcast as `Plus`; 0 to a negative power is 0, as in CNTK", inputs=2)
def _pow(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    (base, power), answer = aligned(emitter, node, values)
    zero = _scalar(emitter, 0, base)
    none = emitter.node("And", emitter.node("Equal", base.name, zero), emitter.node("Less", power.name, zero))
    raised = emitter.node("Pow", emitter.node("Where", none, _scalar(emitter, 1, base), base.name), power.name)
    return answer.like(emitter.node("Where", none, zero, raised))


@rule(52, "LogPlus", "the logarithm of a sum of exponentials, without overflow; `softplus`", inputs=2)
def _log_plus(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    larger = elementwise(emitter, node, values, "Max")
    smaller = elementwise(emitter, node, values, "Min")
    difference = emitter.node("Sub", smaller.name, larger.name)
    one = _scalar(emitter, 1, larger)
    grown = emitter.node("Log", emitter.node("Add", emitter.node("Exp", difference), one))
    return larger.like(emitter.node("Add", larger.name, grown))


@rule(41, "Clip", "bounds of any shape that broadcasts", inputs=3)
def _clip(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    value, low, high = values
    bounded = elementwise(emitter, node, [value, high], "Min")
    under = elementwise(emitter, node, [value, low], "Less")
    made, answer = aligned(emitter, node, [replace(under, dtype=value.dtype), low, bounded])
    # Not Max: where the bounds are crossed, CNTK asks for the lower one first.
    return answer.like(emitter.node("Where", *[part.name for part in made]))


@rule(42, "Select", "any condition that broadcasts; what is not 0 is true", inputs=3)
def _select(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    made, answer = aligned(emitter, node, values)
    chosen = emitter.node("Not", emitter.node("Equal", made[0].name, _scalar(emitter, 0, made[0])))
    return answer.like(emitter.node("Where", chosen, made[1].name, made[2].name))


@rule(91, "Cast", "between float32 and float64")
def _cast(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    wanted = numpy_type(node.attributes.whole("newDataType"), f"the answer of {node.title}")
    value = values[0]
    made = value.like(emitter.cast(value.name, wanted))
    return Value(made.name, made.shape, made.batch, made.sequence, wanted)


@rule(89, "ConstantOp", "`zeros_like` and `ones_like`")
def _constant(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    number = node.attributes.real("fillValue")
    filled = emitter.constant(np.array(number, values[0].dtype))
    return expanded(emitter, filled, values[0], values[0].shape)


@rule(10, "Softmax", "over all static axes of an item; with an axis it is a block of exponentials and sums")
def _softmax(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    return _over_all(emitter, "Softmax", values[0])


@rule(51, "LogSoftmax", "over all static axes of an item")
def _log_softmax(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    return _over_all(emitter, "LogSoftmax", values[0])


@rule(11, "Hardmax", "1 at the first largest item")
def _hardmax(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    return _over_all(emitter, "Hardmax", values[0])


def _over_all(emitter: Emitter, op: str, value: Value) -> Value:
    if len(value.shape) == 1:
        return value.like(emitter.node(op, value.name, axis=-1))
    flat = reshaped(emitter, value, (_total(value),))
    made = flat.like(emitter.node(op, flat.name, axis=-1))
    return reshaped(emitter, made, value.shape)


def _total(value: Value) -> int:
    from packager.converters.cntk.emitter import sizes

    return int(np.prod(sizes(value), dtype=np.int64))
