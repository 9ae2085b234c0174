"""Activation functions and softmax in all its forms."""

import math

import numpy as np

from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.values import Value

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "softrelu": "Softplus", "softsign": "Softsign", "tanh": "Tanh"}


@operator("Activation", steps=True)
def activation(call: Call) -> Values:
    """One of five functions."""
    call.floats()
    return call.computed(_ACTIVATIONS[call.text("act_type")], call.inputs[0].name, like=call.inputs[0])


@operator("LeakyReLU", least=1, most=2, steps=True)
def leaky(call: Call) -> Values:
    """Functions with a slope below zero."""
    call.floats()
    x, kind = call.inputs[0], call.text("act_type")
    if (kind == "prelu") != (len(call.inputs) == 2):
        call.refuse(f"has {len(call.inputs)} inputs for act_type={kind!r}")
    match kind:
        case "leaky":
            return call.computed("LeakyRelu", x.name, like=x, alpha=call.number("slope"))
        case "rrelu":
            slope = (call.number("lower_bound") + call.number("upper_bound")) / 2
            return call.computed("LeakyRelu", x.name, like=x, alpha=slope)
        case "elu":
            return call.computed("Elu", x.name, like=x, alpha=call.number("slope"))
        case "selu":
            return call.computed("Selu", x.name, like=x)
        case "gelu":
            scaled = call.emit("Mul", x.name, call.constant(1 / math.sqrt(2)))
            half = call.emit("Mul", x.name, call.constant(0.5))
            return call.computed("Mul", half, call.emit("Add", call.emit("Erf", scaled), call.constant(1.0)), like=x)
    return _prelu(call, x, call.inputs[1])


def _prelu(call: Call, x: Value, slope: Value) -> Values:
    if slope.rank != 1 or x.rank < 2:
        call.refuse("has a slope that is not one number a channel")
    if slope.dims[0].fixed != 1:
        call.same(slope.dims[0], x.dims[1], "as many slopes as")
    shape = call.constant([-1] + [1] * (x.rank - 2), np.int64)
    return call.computed("PRelu", x.name, call.emit("Reshape", slope.name, shape), like=x)


@operator("hard_sigmoid", steps=True)
def hard_sigmoid(call: Call) -> Values:
    """A line between 0 and 1."""
    call.floats()
    x = call.inputs[0]
    return call.computed("HardSigmoid", x.name, like=x, alpha=call.number("alpha"), beta=call.number("beta"))


@operator("softmax", "log_softmax", "softmin", least=1, most=2, steps=True)
def softmax(call: Call) -> Values:
    """Along one axis, with a temperature, over the first ``length`` places where lengths are given."""
    x, axis = call.inputs[0], call.axis()
    call.floats(x)
    if call.attributes["dtype"] not in (None, "float32"):
        call.refuse(f"answers in {call.text('dtype')}")
    if len(call.inputs) != 1 + call.flag("use_length"):
        call.refuse(f"has {len(call.inputs)} inputs")
    apart(call, axis)
    scores = x.name
    if call.op == "softmin":
        scores = call.emit("Neg", scores)
    if call.attributes["temperature"] is not None:
        scores = call.emit("Div", scores, call.constant(call.number("temperature")))
    if not call.flag("use_length"):
        return call.computed("LogSoftmax" if call.op == "log_softmax" else "Softmax", scores, like=x, axis=axis)
    if call.op != "softmax":
        call.refuse("has lengths, which was verified for softmax only")
    within = _within(call, call.inputs[1], axis)
    kept = call.emit("Where", within, scores, call.constant(-math.inf))
    return call.computed("Where", within, call.emit("Softmax", kept, axis=axis), call.constant(0.0), like=x)


def apart(call: Call, axis: int) -> None:
    """With lengths, an operator that mixes the steps of a sequence would mix padding in."""
    if call.graph.lengths and not call.graph.sequence.isdisjoint(call.inputs[0].dims[axis].symbols):
        call.refuse(
            "mixes the steps of a sequence, and would mix padding in",
            "leave --lengths away, and send sequences of one length together",
        )


def _within(call: Call, lengths: Value, axis: int) -> str:
    """Where the place along the axis is below the length."""
    x = call.inputs[0]
    places = call.emit(
        "Range",
        call.constant(0, np.int64),
        call.emit("Squeeze", call.graph.size(x.dims[axis], scope=call.name)),
        call.constant(1, np.int64),
    )
    shape = call.constant([-1 if index == axis else 1 for index in range(x.rank)], np.int64)
    limits = call.emit("Unsqueeze", call.emit("Cast", lengths.name, to=7), call.constant([axis], np.int64))
    return call.emit("Less", call.emit("Reshape", places, shape), limits)


@operator("SoftmaxActivation", steps=True)
def softmax_activation(call: Call) -> Values:
    """Over the channels, or along the last axis."""
    call.floats()
    if call.text("mode") == "channel":
        return call.computed("Softmax", call.inputs[0].name, like=call.inputs[0], axis=1)
    axis = call.inputs[0].rank - 1
    apart(call, axis)
    return call.computed("Softmax", call.inputs[0].name, like=call.inputs[0], axis=axis)


def row_softmax(call: Call) -> Values:
    """Over all numbers of a row."""
    x = call.inputs[0]
    for axis in range(1, x.rank):
        apart(call, axis)
    if x.rank == 2:
        return call.computed("Softmax", x.name, like=x, axis=1)
    flat = call.emit("Softmax", call.emit("Flatten", x.name, axis=1), axis=1)
    return call.computed("Reshape", flat, call.graph.shape(x.dims, scope=call.name), like=x)
