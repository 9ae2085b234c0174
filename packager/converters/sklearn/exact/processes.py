"""Gaussian process classifiers: Laplace's approximation, one a class or a pair of classes."""

from typing import Any

import numpy as np

from packager.converters.sklearn.emission import Emitter, Frame
from packager.converters.sklearn.emit_functions import Formulas
from packager.converters.sklearn.exact.answer import Answer, Array, above, both, scaled
from packager.converters.sklearn.exact.kernels import process_kernel, process_variance
from packager.converters.sklearn.exact.members import answer_of


def emit_process_classifier(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """GaussianProcessClassifier: its one member of two classes, or its members of several."""
    return answer_of(emitter, model.base_estimator_, frame, path)


def emit_binary_process(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """The classifier of two classes. Source: algorithm 3.2 of Rasmussen and Williams, as scikit-learn has it."""
    rows = emitter.matrix(frame, path)
    found = process_kernel(emitter, model.kernel_, rows, model.X_train_, path)
    weights = np.asarray(model.y_train_ - model.pi_, np.float64)
    # Not MatMul: its fused additions leave a remainder, whose sign would be the label, where two terms cancel out.
    terms = emitter.add("Mul", found, emitter.constant(weights[None, :]))
    mean = emitter.add("ReduceSum", terms, emitter.constant(np.array([1])))
    solved = np.linalg.solve(np.asarray(model.L_, np.float64), np.diag(np.asarray(model.W_sr_, np.float64)))
    spread = emitter.add("MatMul", found, emitter.constant(solved.T))
    lost = emitter.add("ReduceSum", emitter.add("Mul", spread, spread), emitter.constant(np.array([1])))
    variance = emitter.add("Sub", process_variance(emitter, model.kernel_, rows, path), lost)
    chance = _averaged(emitter, mean, variance)
    return Answer(index=above(emitter, mean), proba=both(emitter, chance))


def _averaged(emitter: Emitter, mean: str, variance: str) -> str:
    """The logistic function's mean under a normal distribution, by five error functions, (rows, 1)."""
    slopes, shares = _laplace()
    moved = scaled(emitter, "Mul", mean, slopes)
    widened = scaled(emitter, "Add", scaled(emitter, "Mul", variance, 2 * slopes**2), 1.0)
    steps = Formulas(emitter).erf(emitter.add("Div", moved, emitter.add("Sqrt", widened)))
    total = emitter.add("ReduceSum", scaled(emitter, "Mul", steps, 0.5 * shares), emitter.constant(np.array([1])))
    return scaled(emitter, "Add", total, 0.5 * float(shares.sum()))


def _laplace() -> tuple[Array, Array]:
    from sklearn.gaussian_process import _gpc

    return np.asarray(_gpc.LAMBDAS, np.float64).reshape(1, -1), np.asarray(_gpc.COEFS, np.float64).reshape(1, -1)
