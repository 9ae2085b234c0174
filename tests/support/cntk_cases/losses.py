"""Losses and metrics, alone and beside a model."""

import cntk as C
import numpy as np
from cntk.layers import Dense

CASES = {}


def case(name, build, **kinds):
    """Register a case; `kinds` says how inputs are drawn."""
    CASES[name] = (build, kinds)


def x(shape=(4,), name="x", **more):
    return C.input_variable(shape, name=name, **more)


case("cross_entropy", lambda: C.cross_entropy_with_softmax(x(), x(name="y")), y="onehot")
case("cross_entropy_axis", lambda: C.cross_entropy_with_softmax(x((3, 4)), x((3, 4), name="y"), axis=0), y="onehot")
case("squared_error", lambda: C.squared_error(x(), x(name="y")))
case("squared_error_primitive", lambda: C.cosine_distance(x(), x(name="y")), operator=(53, 34))
case("cross_entropy_primitive", lambda: C.cosine_distance(x(), x(name="y")), y="onehot", operator=(53, 35))
case("classification_error", lambda: C.classification_error(x(), x(name="y")), y="onehot")
case("classification_error_top", lambda: C.classification_error(x(), x(name="y"), topN=2), y="onehot")
case("binary_cross_entropy", lambda: C.binary_cross_entropy(C.sigmoid(x((1,))), x((1,), name="y")), y="binary")
case(
    "weighted_binary",
    lambda: C.weighted_binary_cross_entropy(C.sigmoid(x((1,))), x((1,), name="y"), C.constant([2.0])),
    y="binary",
)
case("lambda_rank", lambda: C.lambda_rank(x((1,)), x((1,), name="g"), x((1,), name="q")))
case("ndcg", lambda: C.ndcg_at_1(x((1,)), x((1,), name="g"), x((1,), name="q")))
case(
    "edit_distance",
    lambda: C.edit_distance_error(
        C.sequence.input_variable(3, name="x"), C.sequence.input_variable(3, name="y"), squashInputs=True
    ),
)
case("nce_sampler", lambda: C.random_sample(np.array([1.0, 2, 3]), 2, True) + x((2, 3)))


def trained():
    features, label = x(name="features"), x((3,), name="label")
    z = Dense(3, name="z", init=C.normal(1, seed=1))(features)
    return C.combine(
        [z, C.cross_entropy_with_softmax(z, label, name="loss"), C.classification_error(z, label, name="error")]
    )


def trained_with_wrapped_losses():
    features, label = x(name="features"), x((3,), name="label")
    z = Dense(3, name="z", init=C.normal(1, seed=1))(features)
    loss = C.alias(C.cross_entropy_with_softmax(z, label), name="loss")
    return C.combine([z, C.reduce_max(z, name="top"), loss, C.reduce_mean(C.squared_error(z, label), name="error")])


case("model_with_loss", trained, label="onehot")
case("model_with_wrapped_loss", trained_with_wrapped_losses, label="onehot")
case(
    "loss_of_model",
    lambda: (lambda z: C.cross_entropy_with_softmax(z, x((3,), name="label")))(
        Dense(3, init=C.normal(1, seed=1))(x(name="features"))
    ),
    label="onehot",
)
