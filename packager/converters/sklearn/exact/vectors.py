"""Support vector machines, as libsvm adds them up: kernels of exact differences, votes of pairs of classes."""

from typing import Any

import numpy as np

from packager.converters.sklearn import support_vectors
from packager.converters.sklearn.emission import Emitter, Frame
from packager.converters.sklearn.exact.answer import Answer, scaled
from packager.converters.sklearn.exact.bayes import inliers
from packager.converters.sklearn.exact.kernels import kernel

_KERNELS = {"linear", "poly", "rbf", "sigmoid"}


def emit_support_classifier(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """SVC and NuSVC without probabilities."""
    found = _kernel(emitter, model, emitter.matrix(frame, path))
    index, decision = support_vectors.voted(emitter, model, found)
    return Answer(index=index, decision=decision)


def emit_support_regressor(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """SVR and NuSVR."""
    return Answer(value=_sum(emitter, model, emitter.matrix(frame, path)))


def emit_one_class(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """OneClassSVM, to which a row on the boundary is an outlier."""
    return inliers(emitter, _sum(emitter, model, emitter.matrix(frame, path)), on_bound=False)


def covers_support(model: Any) -> bool:
    """Whether its kernel is known."""
    return isinstance(model.kernel, str) and model.kernel in _KERNELS


def covers_support_classifier(model: Any) -> bool:
    """Whether its label comes from its scores, under a kernel that is known."""
    return not hasattr(model, "predict_proba") and covers_support(model)


def _sum(emitter: Emitter, model: Any, rows: str) -> str:
    duals = model.dual_coef_
    duals = np.asarray(duals.toarray() if hasattr(duals, "toarray") else duals, np.float64)
    total = emitter.add("MatMul", _kernel(emitter, model, rows), emitter.constant(duals.T))
    return scaled(emitter, "Add", total, np.asarray(model.intercept_).reshape(1, -1))


def _kernel(emitter: Emitter, model: Any, rows: str) -> str:
    return kernel(
        emitter, model.kernel, rows, model.support_vectors_,
        gamma=float(model._gamma), offset=float(model.coef0), degree=float(model.degree),
    )  # fmt: skip
