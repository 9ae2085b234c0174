"""Recurrent layers and steps of the user's own."""

import cntk as C
import numpy as np
from cntk.layers import (
    GRU,
    LSTM,
    Dense,
    Embedding,
    Fold,
    LayerNormalization,
    Recurrence,
    RecurrenceFrom,
    RNNStep,
    Sequential,
    UnfoldFrom,
    default_options,
)  # fmt: skip

CASES = {}
S = C.sequence


def case(name, build, **kinds):
    """Register a case; `kinds` says how inputs are drawn."""
    CASES[name] = (build, kinds)


def x(shape=(3,), name="x", **more):
    return S.input_variable(shape, name=name, **more)


def v(shape=(4,), name="v"):
    return C.input_variable(shape, name=name)


def moved(function):
    """The function with biases that are not zero."""
    r = np.random.RandomState(1)
    for parameter in function.parameters:
        parameter.value = np.asarray(parameter.value + r.normal(0, 0.3, parameter.shape), parameter.dtype)
    return function


STEPS = {
    "lstm": lambda: LSTM(4), "gru": lambda: GRU(4), "rnn": lambda: RNNStep(4), "rnn_relu": lambda: RNNStep(4, activation=C.relu),
    "rnn_tanh": lambda: RNNStep(4, activation=C.tanh), "lstm_relu": lambda: LSTM(4, activation=C.relu),
    "lstm_sigmoid": lambda: LSTM(4, activation=C.sigmoid), "gru_relu": lambda: GRU(4, activation=C.relu),
    "lstm_peepholes": lambda: LSTM(4, use_peepholes=True), "lstm_stable": lambda: LSTM(4, enable_self_stabilization=True),
    "lstm_all": lambda: LSTM(4, cell_shape=5, use_peepholes=True, enable_self_stabilization=True),
    "lstm_projected": lambda: LSTM(4, cell_shape=6), "gru_stable": lambda: GRU(4, enable_self_stabilization=True),
    "rnn_stable": lambda: RNNStep(4, enable_self_stabilization=True), "rnn_softplus": lambda: RNNStep(4, activation=C.softplus),
    "lstm_elu": lambda: LSTM(4, activation=C.elu),
}  # fmt: skip
for _name, _step in STEPS.items():
    case(_name, lambda s=_step: moved(Recurrence(s())(x())))
    case(_name + "_backwards", lambda s=_step: moved(Recurrence(s(), go_backwards=True)(x())))
    case(_name + "_fold", lambda s=_step: moved(Fold(s())(x())))
case("lstm_fold_backwards", lambda: moved(Fold(LSTM(4), go_backwards=True)(x())))
case("lstm_initial", lambda: moved(Recurrence(LSTM(4), initial_state=0.3)(x())))
case(
    "lstm_initial_vector",
    lambda: moved(
        Recurrence(
            LSTM(4),
            initial_state=(C.constant(np.array([1, 2, 3, 4], "f") / 4), C.constant(np.array([4, 3, 2, 1], "f") / 4)),
        )(x())
    ),
)
case("gru_initial", lambda: moved(Recurrence(GRU(4), initial_state=0.3)(x())))
case("lstm_full_state", lambda: moved(C.combine(Recurrence(LSTM(4), return_full_state=True)(x()).outputs)))
case("lstm_fold_full", lambda: moved(C.combine(Fold(LSTM(4), return_full_state=True)(x()).outputs)))
case("gru_fold_backwards", lambda: moved(Fold(GRU(4), go_backwards=True)(x())))
case(
    "bidirectional_lstm",
    lambda: moved(Sequential([(Recurrence(LSTM(4)), Recurrence(LSTM(4), go_backwards=True)), C.splice])(x())),
)
case(
    "bidirectional_gru",
    lambda: moved(Sequential([(Recurrence(GRU(2)), Recurrence(GRU(2), go_backwards=True)), C.splice, Dense(2)])(x())),
)
case(
    "bidirectional_fold",
    lambda: moved(Sequential([(Fold(LSTM(4)), Fold(LSTM(4), go_backwards=True)), C.splice, Dense(2)])(x())),
)
case("stacked_lstm", lambda: moved(Sequential([Recurrence(LSTM(4)), Recurrence(LSTM(3)), Dense(2)])(x())))
case(
    "stacked_mixed",
    lambda: moved(
        Sequential(
            [Recurrence(GRU(4)), Recurrence(RNNStep(3), go_backwards=True), S.last, Dense(2, activation=C.tanh)]
        )(x())
    ),
)
case("lstm_from", lambda: moved(RecurrenceFrom(LSTM(4))(v(), v(name="w"), x())))
case("gru_from", lambda: moved(RecurrenceFrom(GRU(4))(v(), x())))
case("gru_from_backwards", lambda: moved(RecurrenceFrom(GRU(4), go_backwards=True)(v(), x())))
case(
    "encoder_decoder",
    lambda: moved(
        (lambda q, e: RecurrenceFrom(LSTM(4))(S.last(e.outputs[0]), S.last(e.outputs[1]), q))(
            x(name="y"), Recurrence(LSTM(4), return_full_state=True)(x())
        )
    ),
)
case("cumulative_sum", lambda: Recurrence(C.plus, initial_state=C.constant(np.array([0, 0.5, 1], "f")))(x()))
case("cumulative_max", lambda: Fold(C.element_max)(x()))
case(
    "step_own",
    lambda: moved(Recurrence(lambda h, q: C.tanh(h * q + h))(x())),
)
case("step_dense", lambda: moved(Recurrence(GRU(4) >> Dense(4))(x())))
case("step_norm", lambda: moved(Recurrence(RNNStep(4) >> LayerNormalization())(x())))
case(
    "step_two_states",
    lambda: (
        lambda f: C.combine(
            Recurrence(f, initial_state=C.constant(np.zeros(3, "f")), return_full_state=True)(x()).outputs
        )
    )(C.Function(lambda a, b, q: (a * 0.5 + q, b + a))),
)
case(
    "embedding_lstm",
    lambda: moved(Sequential([Embedding(4), Fold(LSTM(3)), Dense(2, activation=C.softmax)])(x((6,), is_sparse=True))),
    x="onehot",
)
case(
    "embedding_dense_input",
    lambda: moved(Sequential([Embedding(4), Recurrence(GRU(3)), Dense(2)])(x((6,)))),
    x="onehot",
)
case(
    "index_input",
    lambda: moved(Sequential([lambda i: C.reshape(C.one_hot(i, 6), (6,)), Embedding(4), Fold(GRU(3))])(x((1,)))),
    x=lambda s, g: g.randint(0, 6, s),
)


def raw(go_back=False, step=1):
    q = x()
    h = C.placeholder(shape=(3,), dynamic_axes=q.dynamic_axes)
    delay = S.future_value if go_back else S.past_value
    y = C.tanh(
        C.times(delay(h, initial_state=0.1, time_step=step), C.parameter((3, 3), init=np.eye(3, dtype="f") * 0.7)) + q
    )
    return y.replace_placeholders({h: y.output})


case("raw_loop", raw)
case("raw_loop_back", lambda: raw(True))
case("raw_loop_step2", lambda: raw(step=2))


def both():
    q = x()
    a, b = (
        C.placeholder(shape=(3,), dynamic_axes=q.dynamic_axes),
        C.placeholder(shape=(3,), dynamic_axes=q.dynamic_axes),
    )
    u = C.tanh(S.past_value(a) + q)
    w = C.sigmoid(S.past_value(b, initial_state=1) * u)
    f = C.combine([(u + w).replace_placeholders({a: u.output, b: w.output})])
    return f


case("raw_two_loops", both)


def crossed():
    q = x()
    b = C.placeholder(shape=(3,), dynamic_axes=q.dynamic_axes)
    u = C.tanh(S.past_value(b) + q)
    w = C.sigmoid(u * 2 + S.past_value(u, initial_state=0.5))
    return w.replace_placeholders({b: w.output})


case("raw_crossed", crossed)
case(
    "loop_with_static",
    lambda: (lambda q, c: Recurrence(C.Function(lambda h, z: C.tanh(h + z)))(q + S.broadcast_as(c, q)))(x(), v((3,))),
)
case("double_lstm", lambda: (lambda q: Recurrence(C.plus)(q * 2.0))(S.input_variable((3,), dtype=np.float32, name="x")))
case(
    "lstm_matrix_input",
    lambda: moved(Recurrence(RNNStep(4))(C.reshape(x((2, 3)), (6,)))),
)
case(
    "dropout_between",
    lambda: moved(
        Sequential([Recurrence(LSTM(4)), C.layers.Dropout(0.5), Fold(GRU(3)), C.layers.BatchNormalization(), Dense(2)])(
            x()
        )
    ),
)
case("stabilized_stack", lambda: moved(stabilized()))


def stabilized():
    with default_options(enable_self_stabilization=True):
        return Sequential([C.layers.Stabilizer(), Recurrence(LSTM(4)), C.layers.Stabilizer(), Dense(2)])(x())


case(
    "unfold_from",
    lambda: moved(UnfoldFrom(lambda h: C.tanh(h * 0.5), until_predicate=None)(v((3,)), x())),
)
case("attention", lambda: attention())


def attention():
    q, k = x(name="q"), S.input_variable((3,), name="x", sequence_axis=C.Axis.new_unique_dynamic_axis("enc"))
    a = C.layers.AttentionModel(4)
    return a(k, q)


case(
    "lstm_from_sequence",
    lambda: moved(
        (lambda e, q: RecurrenceFrom(LSTM(4))(e.outputs[0], e.outputs[1], q))(
            Recurrence(LSTM(4), return_full_state=True)(x()), x(name="y")
        )
    ),
)
case(
    "gru_from_sequence_backwards",
    lambda: moved(RecurrenceFrom(GRU(4), go_backwards=True)(Recurrence(GRU(4))(x()), x(name="y"))),
)
