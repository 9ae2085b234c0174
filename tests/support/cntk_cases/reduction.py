"""Reductions over static axes."""

import cntk as C

CASES = {}


def case(name, build, **kinds):
    """Register a case; `kinds` says how inputs are drawn."""
    CASES[name] = (build, kinds)


def x(shape=(2, 3, 4), name="x", **more):
    return C.input_variable(shape, name=name, **more)


OPS = {"sum": C.reduce_sum, "mean": C.reduce_mean, "max": C.reduce_max, "min": C.reduce_min, "prod": C.reduce_prod,
       "log_sum": C.reduce_log_sum_exp, "l1": C.reduce_l1, "l2": C.reduce_l2, "sum_square": C.reduce_sum_square}  # fmt: skip
for _name, _op in OPS.items():
    case(_name, lambda op=_op: op(x(), axis=1))
    case(_name + "_last", lambda op=_op: op(x(), axis=-1))
    case(_name + "_several", lambda op=_op: op(x(), axis=(0, 2)))
    case(_name + "_drop", lambda op=_op: op(x(), axis=1, keepdims=False))
    case(_name + "_static", lambda op=_op: op(x(), axis=C.Axis.all_static_axes()))
    case(_name + "_default", lambda op=_op: op(x()))
case("argmax", lambda: C.argmax(x(), axis=1))
case("argmax_all", lambda: C.argmax(x()))
case("argmax_vector", lambda: C.argmax(x((5,)), axis=0))
case("argmin", lambda: C.argmin(x(), axis=-1))
case("argmax_tie", lambda: C.argmax(x((4, 3)), axis=0), x="binary")
case("softmax_of_sum", lambda: C.softmax(C.reduce_sum(x(), axis=0)))
case("over_batch", lambda: C.reduce_sum(x((3,)), axis=C.Axis.default_batch_axis()))
case("over_all", lambda: C.reduce_sum(x((3,)), axis=C.Axis.all_axes()))
