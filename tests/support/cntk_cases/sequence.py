"""Sequences without recurrence."""

import cntk as C
import numpy as np

CASES = {}
S = C.sequence


def case(name, build, **kinds):
    """Register a case; `kinds` says how inputs are drawn."""
    CASES[name] = (build, kinds)


def x(shape=(3,), name="x", **more):
    return S.input_variable(shape, name=name, **more)


def v(shape=(3,), name="v"):
    return C.input_variable(shape, name=name)


case("last", lambda: S.last(x()))
case("first", lambda: S.first(x()))
case("slice_head", lambda: S.slice(x(), 0, -1), lengths=(4, 2, 5, 3))
case("slice_tail", lambda: S.slice(x(), 1, 0), lengths=(4, 2, 5, 3))
case("slice_first_two", lambda: S.slice(x(), 0, 2), lengths=(4, 2, 5, 3))
case("slice_last_two", lambda: S.slice(x(), -2, 0), lengths=(4, 2, 5, 3))
case("slice_last_but_one", lambda: S.slice(x(), -2, -1), lengths=(4, 2, 5, 3))
case("slice_second", lambda: S.slice(x(), 1, 2), lengths=(4, 2, 5, 3))
case("slice_middle", lambda: S.slice(x(), 1, -1), lengths=(4, 3, 5, 3))
case("is_first", lambda: S.is_first(x()))
case("is_last", lambda: S.is_last(x()))
case("past", lambda: S.past_value(x()))
case("past2", lambda: S.past_value(x(), time_step=2))
case("past_initial", lambda: S.past_value(x(), initial_state=C.constant(np.array([1, 2, 3], "f"))))
case("past_data", lambda: S.past_value(x(), initial_state=v()))
case("past_sequence", lambda: S.past_value(x(), initial_state=C.tanh(x(name="y"))))
case("future_sequence", lambda: S.future_value(x(), initial_state=C.tanh(x(name="y"))))
case("future", lambda: S.future_value(x()))
case("future2", lambda: S.future_value(x(), initial_state=0.5, time_step=2))
case("future_data", lambda: S.future_value(x(), initial_state=v()))
case("delay0", lambda: C.relu(S.delay(x(), time_step=0)))
case("delay_minus", lambda: S.delay(x(), time_step=-1))
case("delay_layer", lambda: C.layers.Delay(2, initial_state=0.25)(x()))
case("trigram", lambda: C.layers.Sequential([tuple(C.layers.Delay(T) for T in (-1, 0, 1)), C.splice])(x()))
case("reduce_sum", lambda: S.reduce_sum(x()))
case("reduce_max", lambda: S.reduce_max(x()))
case("reduce_max_matrix", lambda: S.reduce_max(x((2, 3))))
case("softmax", lambda: S.softmax(x()))
case("softmax_scalar", lambda: S.softmax(x((1,))))
case("broadcast_as", lambda: S.broadcast_as(v(), x()))
case("broadcast_constant", lambda: S.broadcast_as(C.constant(np.array([1, 2], "f")), x()))
case("broadcast_plus", lambda: S.broadcast_as(v(), x()) + x())
case("mixed_plus", lambda: v() + x())
case("mean_over", lambda: S.reduce_sum(x()) / S.reduce_sum(S.broadcast_as(1, x())))
case("count", lambda: S.reduce_sum(S.broadcast_as(C.constant(1.0), x())))
case("static_reduce", lambda: C.reduce_sum(x((2, 3)), axis=0))
case("is_first_times", lambda: (lambda q: q * S.is_first(q))(x()))
case("static_softmax", lambda: C.softmax(x((4,))))
case("gather_last", lambda: (lambda q: S.gather(q, S.is_last(q)))(x()))
case("gather_not_first", lambda: (lambda q: S.gather(q, 1 - S.is_first(q)))(x()), lengths=(4, 2, 5, 3))
case(
    "gather_data",
    lambda: (lambda q: S.gather(q, C.greater(C.reduce_sum(q, axis=0) + 100 * C.reshape(S.is_first(q), (1,)), 0)))(x()),
)
case(
    "scatter",
    lambda: (lambda q: S.scatter(S.gather(q, 1 - S.is_first(q)), 1 - S.is_first(q)))(x()),
    lengths=(4, 2, 5, 3),
)
case("where", lambda: (lambda q: S.where(1 - S.is_last(q)))(x()), lengths=(4, 2, 5, 3))
case("unpack", lambda: (lambda q: C.combine(S.unpack(q, 0, True)))(x()))
case("unpack_mask", lambda: (lambda q: C.combine(S.unpack(q, 0).outputs))(x()))
case(
    "unpack_attention",
    lambda: (lambda q: C.times(C.transpose(S.unpack(q, 0, True), (1, 0)), S.unpack(q, 0, True)))(x()),
)
case("to_sequence_like", lambda: (lambda q: C.to_sequence_like(S.unpack(q * 2, 0, True), q))(x()))
case("splice", lambda: C.splice(x(), x(name="y")))
case("window", lambda: C.combine(C.layers.PastValueWindow(3, axis=-2)(x()).outputs))
case("conv_over_features", lambda: C.layers.Convolution2D((3, 3), 2, pad=True)(x((1, 4, 4))))
case("conv_sequential", lambda: C.layers.Convolution((3,), 2, pad=True, sequential=True, reduction_rank=1)(x((4,))))
case("max_pool_sequence", lambda: S.last(C.layers.Recurrence(C.element_max)(x())))
case("slice_first_many", lambda: S.slice(x(), 0, 30), lengths=(40, 31, 35))
case("slice_last_many", lambda: S.reduce_sum(S.slice(x(), -30, 0)), lengths=(40, 31, 35))
case("slice_last_of_short", lambda: S.slice(x(), -3, 0), lengths=(4, 2, 5, 1))
case("slice_first_of_short", lambda: S.slice(x(), 0, 3), lengths=(4, 2, 5, 1))
