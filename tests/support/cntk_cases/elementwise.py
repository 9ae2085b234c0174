"""Elementwise primitives."""

import cntk as C
import numpy as np

CASES = {}


def case(name, build, **kinds):
    """Register a case; `kinds` says how inputs are drawn."""
    CASES[name] = (build, kinds)


def x(shape=(2, 3), name="x", **more):
    return C.input_variable(shape, name=name, **more)


UNARY = {
    "negate": (C.negate, None), "sigmoid": (C.sigmoid, (-20, 20)), "tanh": (C.tanh, None), "relu": (C.relu, None),
    "exp": (C.exp, None), "log": (C.log, (0.01, 5)), "sqrt": (C.sqrt, (0, 5)), "floor": (C.floor, (-5, 5)),
    "ceil": (C.ceil, (-5, 5)), "round": (C.round, (-5, 5)), "abs": (C.abs, None), "reciprocal": (C.reciprocal, (0.5, 3)),
    "sin": (C.sin, (-5, 5)), "cos": (C.cos, (-5, 5)), "tan": (C.tan, (-1, 1)), "asin": (C.asin, (-1, 1)),
    "acos": (C.acos, (-1, 1)), "atan": (C.atan, (-3, 3)), "sinh": (C.sinh, (-2, 2)), "cosh": (C.cosh, (-2, 2)),
    "asinh": (C.asinh, (-3, 3)), "atanh": (C.atanh, (-0.9, 0.9)), "elu": (C.elu, None), "selu": (C.selu, None),
    "leaky_relu": (C.leaky_relu, None), "softplus": (C.softplus, (-10, 10)), "softsign": (C.softsign, None),
    "softmax": (C.softmax, None), "log_softmax": (C.log_softmax, None), "hardmax": (C.hardmax, None),
    "square": (C.square, None), "dropout": (C.dropout, None), "stop_gradient": (C.stop_gradient, None),
    "alias": (C.alias, None), "element_not": (C.element_not, "binary"), "ones_like": (C.ones_like, None),
    "zeros_like": (C.zeros_like, None), "straight_through": (C.straight_through_impl, None),
}  # fmt: skip
for _name, (_op, _kind) in UNARY.items():
    case(_name, lambda op=_op: op(x()), x=_kind)

for _name, (_op, _kind) in UNARY.items():
    if _name not in ("dropout", "alias", "cosh", "sinh", "tan", "acos", "asin", "atanh"):
        case("edge_" + _name, lambda op=_op: op(x((4, 5))), x="edges")
case("sigmoid_primitive", lambda: C.sigmoid(x()), x=(-20, 20), operator=(75, 1))
case("pass_primitive", lambda: C.alias(x()), operator=(62, 56))
case("log_softmax_primitive", lambda: C.softmax(x((5,))), operator=(10, 51))
case("log_softmax_primitive_matrix", lambda: C.softmax(x()), operator=(10, 51))
case("edge_element_divide", lambda: C.element_divide(x((6,)), x((6,), name="y")), x="whole", y="whole")
case("edge_pow", lambda: C.pow(x((40,)), x((40,), name="y")), x="whole", y="whole")
case("edge_pow_half", lambda: C.pow(x((40,)), x((40,), name="y")), x="whole", y=lambda s, g: g.randint(-3, 4, s) / 2)
case("edge_log_plus", lambda: C.log_add_exp(x((6,)), x((6,), name="y")), x="edges", y="edges")
case("edge_select", lambda: C.element_select(x(name="c"), x(), x(name="y")), c=(-1, 1))
case("edge_clip", lambda: C.clip(x((6,)), 0.5, -0.5))
case("elu_alpha", lambda: C.elu(x(), alpha=0.3))
case("selu_scaled", lambda: C.selu(x(), scale=1.5, alpha=0.7))
case("leaky_relu_alpha", lambda: C.leaky_relu(x(), alpha=0.3))
case("param_relu", lambda: C.param_relu(C.parameter((3,), init=np.array([0.1, 0.2, -0.3], "f")), x()))
case("softplus_steep", lambda: C.softplus(x(), steepness=4))
case("hard_sigmoid", lambda: C.hard_sigmoid(x(), 0.2, 0.5), x=(-5, 5))
case("dropout_rate", lambda: C.dropout(x(), 0.5))
case("hardmax_vector", lambda: C.hardmax(x((5,))))
case("hardmax_tie", lambda: C.hardmax(x((4,))), x="whole")
case("softmax_axis0", lambda: C.softmax(x(), axis=0))
case("softmax_axis1", lambda: C.softmax(x(), axis=1))
case("softmax_vector", lambda: C.softmax(x((5,))))
case("log_softmax_vector", lambda: C.log_softmax(x((5,))))
case("softmax_scalar", lambda: C.softmax(x((1,))))
case("log_softmax_axis0", lambda: C.log_softmax(x(), axis=0))
case("clip", lambda: C.clip(x(), -0.5, 0.5))
case(
    "clip_vector", lambda: C.clip(x(), C.constant(np.array([-1, 0, 0.2], "f")), C.constant(np.array([0, 1, 0.4], "f")))
)
case("select", lambda: C.element_select(x(name="c"), x(), x(name="y")), c="binary")
case("select_broadcast", lambda: C.element_select(x((3,), name="c"), x(), x((2, 1), name="y")), c="binary")
case("pow", lambda: C.pow(x(), x(name="y")), x=(0.1, 3))
case("pow_scalar", lambda: C.pow(x(), 2.0))
case("log_plus", lambda: C.log_add_exp(x(), x(name="y")), x=(-30, 30), y=(-30, 30))
BINARY = {
    "plus": C.plus, "minus": C.minus, "element_times": C.element_times, "element_divide": C.element_divide,
    "element_max": C.element_max, "element_min": C.element_min, "less": C.less, "less_equal": C.less_equal,
    "equal": C.equal, "not_equal": C.not_equal, "greater": C.greater, "greater_equal": C.greater_equal,
}  # fmt: skip
for _name, _op in BINARY.items():
    _kinds = {"x": "whole", "y": "whole"} if "qual" in _name or _name in ("less", "greater") else {}
    if _name == "element_divide":
        _kinds = {"y": (0.5, 2)}
    case(_name, lambda op=_op: op(x(), x(name="y")), **_kinds)
    case(_name + "_broadcast", lambda op=_op: op(x((4, 1, 3)), x((2, 1), name="y")), **_kinds)
    case(_name + "_scalar", lambda op=_op: op(x(), 1.5))
for _name in ("element_and", "element_or", "element_xor"):
    case(_name, lambda op=getattr(C, _name): op(x(), x(name="y")), x="binary", y="binary")
case("plus_many", lambda: C.plus(x(), x(name="y"), x(name="z"), 2))
case("mean_many", lambda: C.mean(x(), x(name="y"), x(name="z")))
case("sum_many", lambda: C.sum(x(), x(name="y"), x(name="z")))
case("plus_rank0", lambda: C.plus(x(()), x((2,), name="y")))
case("plus_param", lambda: x() + C.parameter((5, 2, 3), init=np.arange(30).reshape(5, 2, 3).astype("f")))
case("double", lambda: C.tanh(C.input_variable((3,), dtype=np.float64, name="x") * np.array([1.0, 2, 3])))
case("cast", lambda: C.cast(x(), np.float64))
case("constant_only_branch", lambda: x() + C.exp(C.constant(np.array([1, 2, 3], "f"))) * C.parameter((2, 3), init=0.5))
case("input_no_batch", lambda: x() + C.input_variable((3,), dynamic_axes=[], name="k"))
case("image_scaler", lambda: C.image_scaler(x((3, 2, 2)), 0.5, [1.0, 2.0, 3.0]))
case(
    "normalize",
    lambda: C.per_dim_mean_variance_normalize(
        x((3,)), C.constant(np.array([1, 2, 3], "f")), C.constant(np.array([2, 1, 0.5], "f"))
    ),
)
case("mean_variance", lambda: C.mean_variance_normalization(x((3, 4, 5))))
case("mean_variance_across", lambda: C.mean_variance_normalization(x((3, 4, 5)), use_stats_across_channels=True))
case("mean_variance_only_mean", lambda: C.mean_variance_normalization(x((3, 4, 5)), do_variance_scaling=False))
case("lrn", lambda: C.local_response_normalization(x((5, 3, 3)), 1, 1.0, 0.4, 0.75))
case(
    "eye_like", lambda: C.eye_like(C.input_variable((3, 3), dynamic_axes=[], name="k"), sparse_output=False) + x((3, 3))
)
case("random", lambda: x() + C.random.normal_like(x(name="y")))
case("assign", lambda: C.assign(C.parameter((2, 3), init=1.0), C.parameter((2, 3), init=2.0)) + x())
