"""Naive Bayes, discriminants and mixtures: the logarithm of what each class gives a row, as doubles."""

from typing import Any

import numpy as np
from onnx import TensorProto

from packager.converters.sklearn.emission import Emitter, Frame
from packager.converters.sklearn.exact.answer import Answer, added_up, beside, column_of, greatest, scaled
from packager.converters.sklearn.exact.distances import distances, nearest


def emit_gaussian_bayes(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """GaussianNB."""
    value = emitter.add("Unsqueeze", emitter.matrix(frame, path), emitter.constant(np.array([1])))
    away = scaled(emitter, "Sub", value, model.theta_[None])
    ratios = scaled(emitter, "Div", emitter.add("Mul", away, away), model.var_[None])
    sums = emitter.add("ReduceSum", ratios, emitter.constant(np.array([2])), keepdims=0)
    widths = -0.5 * np.sum(np.log(2.0 * np.pi * model.var_), axis=1)
    likely = scaled(emitter, "Add", scaled(emitter, "Mul", sums, -0.5), widths[None, :])
    return _chosen(emitter, scaled(emitter, "Add", likely, np.log(model.class_prior_)[None, :]))


def emit_counting_bayes(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """MultinomialNB, ComplementNB and BernoulliNB."""
    value, factors = emitter.matrix(frame, path), np.asarray(model.feature_log_prob_, np.float64)
    prior = np.asarray(model.class_log_prior_, np.float64)
    match type(model).__name__:
        case "ComplementNB":
            prior = prior if len(model.classes_) == 1 else np.zeros(len(prior))
        case "BernoulliNB":
            if model.binarize is not None:
                present = emitter.add("Greater", value, emitter.constant(np.float64(model.binarize)))
                value = emitter.cast(present, TensorProto.DOUBLE)
            absent = np.log(1 - np.exp(factors))
            factors, prior = factors - absent, prior + absent.sum(axis=1)
    product = emitter.add("MatMul", value, emitter.constant(factors.T))
    return _chosen(emitter, scaled(emitter, "Add", product, prior[None, :]))


def emit_categorical_bayes(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """CategoricalNB; a number that is no category stops the request, as it stops the source."""
    value = emitter.cast(emitter.matrix(frame, path), TensorProto.INT64)
    joint = ""
    for feature, factors in enumerate(model.feature_log_prob_):
        table = np.asarray(factors, np.float64).T
        column = emitter.add("Gather", value, emitter.constant(np.int64(feature)), axis=1)
        below = emitter.add("Less", column, emitter.constant(np.int64(0)))
        known = emitter.add("Where", below, emitter.constant(np.int64(len(table))), column)
        label = f"a category that the model does not know, in feature {feature} of {path or 'CategoricalNB'}"
        found = emitter.add("Gather", emitter.constant(table), known, label=label, axis=0)
        joint = emitter.add("Add", joint, found) if joint else found
    return _chosen(emitter, scaled(emitter, "Add", joint, np.asarray(model.class_log_prior_)[None, :]))


def emit_quadratic(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """QuadraticDiscriminantAnalysis."""
    value, axis = emitter.matrix(frame, path), emitter.constant(np.array([1]))
    norms = []
    for rotation, scale, mean in zip(model.rotations_, model.scalings_, model.means_, strict=True):
        moved = scaled(emitter, "Sub", value, mean[None, :])
        turned = emitter.add("MatMul", moved, emitter.constant(np.asarray(rotation * scale**-0.5, np.float64)))
        norms.append(emitter.add("ReduceSum", emitter.add("Mul", turned, turned), axis))
    sizes = np.array([np.sum(np.log(scale)) for scale in model.scalings_])[None, :]
    half = scaled(emitter, "Mul", scaled(emitter, "Add", beside(emitter, norms), sizes), -0.5)
    return _chosen(emitter, scaled(emitter, "Add", half, np.log(model.priors_)[None, :]), decides=len(model.classes_))


def emit_mixture(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """GaussianMixture and BayesianGaussianMixture: which component a row belongs to."""
    value, width = emitter.matrix(frame, path), int(model.n_features_in_)
    norms = _norms(emitter, model, value)
    likely = scaled(emitter, "Mul", scaled(emitter, "Add", norms, width * np.log(2 * np.pi)), -0.5)
    # What does not hang on the row, from the model itself: its answer at each component's mean, which is 0 away.
    at_means = np.diagonal(model._estimate_weighted_log_prob(np.asarray(model.means_, np.float64)))
    rest = at_means + 0.5 * width * np.log(2 * np.pi)
    return _chosen(emitter, scaled(emitter, "Add", likely, rest[None, :]))


def _norms(emitter: Emitter, model: Any, value: str) -> str:
    """Squared distances from the means under each component's precision, (rows, components)."""
    axis, factors = emitter.constant(np.array([1])), model.precisions_cholesky_
    found = []
    for place, mean in enumerate(np.asarray(model.means_, np.float64)):
        moved = scaled(emitter, "Sub", value, mean[None, :])
        match model.covariance_type:
            case "full" | "tied":
                chosen = factors[place] if model.covariance_type == "full" else factors
                moved = emitter.add("MatMul", moved, emitter.constant(np.asarray(chosen, np.float64)))
            case _:
                moved = scaled(emitter, "Mul", moved, np.reshape(factors[place], (1, -1)))
        found.append(emitter.add("ReduceSum", emitter.add("Mul", moved, moved), axis))
    return beside(emitter, found)


def emit_nearest_centroid(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """NearestCentroid."""
    value, count = emitter.matrix(frame, path), len(model.classes_)
    prior = getattr(model, "class_prior_", None)  # since scikit-learn 1.6
    if prior is None:
        return Answer(index=nearest(emitter, value, model.centroids_, model.metric))
    widths = np.asarray(model.within_class_std_dev_, np.float64)
    widths = np.where(widths == 0, 1.0, widths)
    away = distances(
        emitter, scaled(emitter, "Div", value, widths[None, :]), model.centroids_ / widths, model.metric, path=path
    )
    scores = emitter.add("Neg", emitter.add("Mul", away, away))
    answer = _chosen(emitter, scaled(emitter, "Add", scores, 2.0 * np.log(prior)[None, :]), decides=count)
    if not np.isclose(prior, 1 / count).all():
        return answer
    index = nearest(emitter, value, model.centroids_, model.metric)
    return Answer(index=index, proba=answer.proba, decision=answer.decision)


def emit_envelope(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """EllipticEnvelope."""
    moved = scaled(emitter, "Sub", emitter.matrix(frame, path), np.asarray(model.location_)[None, :])
    # Row by row and term by term, as scipy's mahalanobis: the bound is one of the training rows' own distances.
    factors = emitter.constant(np.asarray(model.get_precision(), np.float64).T[None])
    deep = emitter.add("Unsqueeze", moved, emitter.constant(np.array([2])))
    turned = added_up(emitter, emitter.add("Mul", deep, factors))
    square = added_up(emitter, emitter.add("Mul", moved, turned))
    away = emitter.add("Sqrt", emitter.add("Reshape", square, emitter.constant(np.array([-1, 1]))))
    away = emitter.add("Mul", away, away)
    return inliers(emitter, scaled(emitter, "Sub", emitter.add("Neg", away), float(model.offset_)))


def inliers(emitter: Emitter, decision: str, *, on_bound: bool = True) -> Answer:
    """1 where the decision is not negative, else -1.

    Args:
        on_bound: A decision of 0 is an inlier too.
    """
    flat = emitter.add("Reshape", decision, emitter.constant(np.array([-1])))
    inside = emitter.add("GreaterOrEqual" if on_bound else "Greater", flat, emitter.constant(np.float64(0)))
    index = emitter.add("Where", inside, emitter.constant(np.int64(1)), emitter.constant(np.int64(-1)))
    return Answer(index=index, decision=decision)


def _chosen(emitter: Emitter, joint: str, *, decides: int = 0) -> Answer:
    """The class with the greatest joint logarithm.

    Args:
        decides: How many classes there are, where the joint logarithm is the decision; of two, their difference.
    """
    decision = joint if decides else None
    if decides == 2:
        decision = emitter.add("Sub", column_of(emitter, joint, 1), column_of(emitter, joint, 0))
    return Answer(index=greatest(emitter, joint), proba=normalised(emitter, joint), decision=decision)


def normalised(emitter: Emitter, joint: str) -> str:
    """exp(joint - logsumexp(joint)), as scikit-learn has it: a softmax differs in the last bits."""
    axis = emitter.constant(np.array([1]))
    most = emitter.add("ReduceMax", joint, axis)
    sums = emitter.add("ReduceSum", emitter.add("Exp", emitter.add("Sub", joint, most)), axis)
    whole = emitter.add("Add", most, emitter.add("Log", sums))
    return emitter.add("Exp", emitter.add("Sub", joint, whole))
