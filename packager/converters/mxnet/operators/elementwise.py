"""Operators that treat every number by itself."""

import math
from collections.abc import Callable

import numpy as np

from packager.converters.mxnet.operators.broadcasting import broadcast_dims, same_dims
from packager.converters.mxnet.registry import Call, Values, operator

# MXNet's name, ONNX's.
_UNARY = {
    "abs": "Abs", "arccos": "Acos", "arccosh": "Acosh", "arcsin": "Asin", "arcsinh": "Asinh", "arctan": "Atan",
    "arctanh": "Atanh", "ceil": "Ceil", "cos": "Cos", "cosh": "Cosh", "erf": "Erf", "exp": "Exp", "floor": "Floor",
    "log": "Log", "negative": "Neg", "reciprocal": "Reciprocal", "relu": "Relu", "sigmoid": "Sigmoid",
    "sign": "Sign", "sin": "Sin", "sinh": "Sinh", "softsign": "Softsign", "sqrt": "Sqrt", "tan": "Tan",
    "tanh": "Tanh",
}  # fmt: skip
_BINARY = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "power": "Pow", "maximum": "Max", "minimum": "Min"}
_COMPARISONS = {
    "equal": "Equal", "greater": "Greater", "greater_equal": "GreaterOrEqual", "lesser": "Less",
    "lesser_equal": "LessOrEqual",
}  # fmt: skip
_LOGICAL = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}
_COMPUTED = (*_BINARY, *_COMPARISONS, "not_equal", *_LOGICAL, "mod", "hypot")


@operator(*_UNARY, steps=True)
def unary(call: Call) -> Values:
    """One ONNX operator of the same meaning."""
    call.floats()
    return call.computed(_UNARY[call.op], call.inputs[0].name, like=call.inputs[0])


@operator("_copy", "BlockGrad", "make_loss", "_contrib_gradientmultiplier", "Dropout", steps=True)
def identity(call: Call) -> Values:
    """What changes training, or nothing at all."""
    if call.op == "Dropout" and call.text("mode") == "always":
        call.refuse("drops values at inference too (mode='always'): its answers are random")
    return (call.inputs[0],)


@operator("square", "rsqrt", "cbrt", "rcbrt", "log10", "log2", "degrees", "radians", steps=True)
def powers(call: Call) -> Values:
    """Roots, logarithms and angles."""
    call.floats()
    x = call.inputs[0]
    name = x.name
    match call.op:
        case "square":
            result = call.emit("Mul", name, name)
        case "rsqrt":
            result = call.emit("Reciprocal", call.emit("Sqrt", name))
        case "cbrt" | "rcbrt":
            root = call.emit("Pow", call.emit("Abs", name), call.constant(1 / 3))
            result = call.emit("Mul", root, call.emit("Sign", name))
            result = call.emit("Reciprocal", result) if call.op == "rcbrt" else result
        case "log10" | "log2":
            base = math.log(10 if call.op == "log10" else 2)
            result = call.emit("Mul", call.emit("Log", name), call.constant(1 / base))
        case _:
            factor = 180 / math.pi if call.op == "degrees" else math.pi / 180
            result = call.emit("Mul", name, call.constant(factor))
    return (call.result(result, x.dims),)


@operator("log1p", "expm1", steps=True)
def near_zero(call: Call) -> Values:
    """In double precision, because the float32 sum with 1 loses small numbers."""
    call.floats()
    x = call.inputs[0]
    wide = call.emit("Cast", x.name, to=11)
    one = call.constant(1.0, np.float64)
    if call.op == "log1p":
        result = call.emit("Log", call.emit("Add", wide, one))
    else:
        result = call.emit("Sub", call.emit("Exp", wide), one)
    return (call.result(call.emit("Cast", result, to=1), x.dims),)


@operator("rint", "round", "fix", "trunc", steps=True)
def rounding(call: Call) -> Values:
    """MXNet's own rules at a half: ``rint`` down, ``round`` away from zero."""
    call.floats()
    x = call.inputs[0]
    if call.op == "rint":
        result = call.emit("Ceil", call.emit("Sub", x.name, call.constant(0.5)))
    else:
        half = call.constant(0.5 if call.op == "round" else 0.0)
        size = call.emit("Floor", call.emit("Add", call.emit("Abs", x.name), half))
        result = call.emit("Mul", size, call.emit("Sign", x.name))
    return (call.result(result, x.dims),)


@operator("logical_not", steps=True)
def logical_not(call: Call) -> Values:
    """1 where the number is 0."""
    call.floats()
    return _as_float(call, call.emit("Equal", call.inputs[0].name, call.constant(0.0)))


@operator("clip", steps=True)
def clip(call: Call) -> Values:
    """Bounds on both sides."""
    call.floats()
    low, high = call.constant(call.number("a_min")), call.constant(call.number("a_max"))
    return call.computed("Clip", call.inputs[0].name, low, high, like=call.inputs[0])


@operator("smooth_l1", steps=True)
def smooth_l1(call: Call) -> Values:
    """A parabola near zero, a line beyond."""
    call.floats()
    x, sigma2 = call.inputs[0], call.number("scalar") ** 2
    size = call.emit("Abs", x.name)
    near = call.emit("Mul", call.emit("Mul", x.name, x.name), call.constant(sigma2 / 2))
    far = call.emit("Sub", size, call.constant(0.5 / sigma2 if sigma2 else math.inf))
    return call.computed("Where", call.emit("Less", size, call.constant(1 / sigma2 if sigma2 else math.inf)), near, far,
                         like=x)  # fmt: skip


@operator("_contrib_quadratic", steps=True)
def quadratic(call: Call) -> Values:
    """ax² + bx + c."""
    call.floats()
    x = call.inputs[0].name
    inner = call.emit("Add", call.emit("Mul", x, call.constant(call.number("a"))), call.constant(call.number("b")))
    return call.computed("Add", call.emit("Mul", inner, x), call.constant(call.number("c")), like=call.inputs[0])


@operator("add_n", steps=True)
def add_n(call: Call) -> Values:
    """A sum of tensors of one shape."""
    call.floats()
    for other in call.inputs[1:]:
        same_dims(call, call.inputs[0], other)
    return call.computed("Sum", *(item.name for item in call.inputs), like=call.inputs[0])


@operator("elemwise_add", "elemwise_sub", "elemwise_mul", "elemwise_div", "_grad_add",
          *(f"_{name}" for name in (*_COMPUTED[4:],)), steps=True)  # fmt: skip
def elementwise(call: Call) -> Values:
    """Two tensors of one shape."""
    left, right = call.inputs
    call.floats()
    same_dims(call, left, right)
    name = call.op.removeprefix("elemwise_").removeprefix("_grad_").removeprefix("_")
    return (call.result(_computed(call, name, left.name, right.name), left.dims),)


@operator(*(f"broadcast_{name}" for name in _COMPUTED), steps=True)
def broadcast(call: Call) -> Values:
    """Two tensors of shapes that go together."""
    left, right = call.inputs
    call.floats()
    dims = broadcast_dims(call, left, right)
    return (call.result(_computed(call, call.op.removeprefix("broadcast_"), left.name, right.name), dims),)


_SCALARS = ("plus", "minus", "rminus", "mul", "div", "rdiv", "mod", "rmod", "power", "rpower", "maximum", "minimum",
            "hypot", *_COMPARISONS, "not_equal", *_LOGICAL)  # fmt: skip
_SYNONYMS = {"plus": "add", "minus": "sub"}


@operator(*(f"_{name}_scalar" for name in _SCALARS), steps=True)
def scalar(call: Call) -> Values:
    """A tensor and a number; names with ``r`` have the number first."""
    call.floats()
    name = call.op[1:].removesuffix("_scalar")
    reverse = name in ("rminus", "rdiv", "rmod", "rpower")
    name = name[1:] if reverse else name
    x, number = call.inputs[0].name, call.constant(call.number("scalar"))
    pair = (number, x) if reverse else (x, number)
    return (call.result(_computed(call, _SYNONYMS.get(name, name), *pair), call.inputs[0].dims),)


def _computed(call: Call, name: str, left: str, right: str) -> str:
    if name in _BINARY:
        return call.emit(_BINARY[name], left, right)
    special: dict[str, Callable[[Call, str, str], str]] = {"mod": _mod, "hypot": _hypot}
    if name in special:
        return special[name](call, left, right)
    if name in _COMPARISONS:
        answer = call.emit(_COMPARISONS[name], left, right)
    elif name == "not_equal":
        answer = call.emit("Not", call.emit("Equal", left, right))
    else:
        zero = call.constant(0.0)
        sides = [call.emit("Not", call.emit("Equal", side, zero)) for side in (left, right)]
        answer = call.emit(_LOGICAL[name], *sides)
    return call.emit("Cast", answer, to=1)


def _mod(call: Call, left: str, right: str) -> str:
    """The remainder with the divisor's sign; 0 where the divisor is 0."""
    zero = call.constant(0.0)
    rest = call.emit("Mod", left, right, fmod=1)
    nonzero = call.emit("Not", call.emit("Equal", rest, zero))
    across = call.emit("Xor", call.emit("Less", rest, zero), call.emit("Less", right, zero))
    moved = call.emit("Where", call.emit("And", nonzero, across), call.emit("Add", rest, right), rest)
    return call.emit("Where", call.emit("Equal", right, zero), zero, moved)


def _hypot(call: Call, left: str, right: str) -> str:
    squares = [call.emit("Mul", side, side) for side in (left, right)]
    return call.emit("Sqrt", call.emit("Add", *squares))


def _as_float(call: Call, answer: str) -> Values:
    return (call.result(call.emit("Cast", answer, to=1), call.inputs[0].dims),)
