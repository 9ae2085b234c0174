"""Kernels between rows and the points that a model keeps, and the estimators that are sums of them."""

from typing import Any

import numpy as np

from packager.converters.sklearn.emission import Emitter, Frame
from packager.converters.sklearn.exact.answer import Answer, Array, scaled
from packager.converters.sklearn.exact.distances import cosine, distances, squared
from packager.core.errors import ConverterMissing

KERNELS = frozenset({"linear", "poly", "polynomial", "rbf", "sigmoid", "laplacian", "cosine"})


def kernel(emitter: Emitter, name: str, rows: str, points: Any, *, gamma: float, offset: float, degree: float) -> str:
    """Kernel values, (rows, points)."""
    points = np.asarray(points.toarray() if hasattr(points, "toarray") else points, np.float64)
    match name:
        case "rbf":
            return emitter.add("Exp", scaled(emitter, "Mul", squared(emitter, rows, points), -gamma))
        case "laplacian":
            return emitter.add("Exp", scaled(emitter, "Mul", distances(emitter, rows, points, "manhattan"), -gamma))
        case "cosine":
            return cosine(emitter, rows, points)
    product = emitter.add("MatMul", rows, emitter.constant(points.T))
    if name == "linear":
        return product
    inner = scaled(emitter, "Add", scaled(emitter, "Mul", product, gamma), offset)
    return emitter.add("Tanh", inner) if name == "sigmoid" else power(emitter, inner, degree)


def power(emitter: Emitter, value: str, exponent: float) -> str:
    """A power; of small whole numbers by multiplication, as libsvm has it."""
    if exponent != int(exponent) or not 1 <= exponent <= 4:
        return scaled(emitter, "Pow", value, exponent)
    result = value
    for _ in range(int(exponent) - 1):
        result = emitter.add("Mul", result, value)
    return result


def emit_kernel_ridge(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """KernelRidge."""
    gamma = 1.0 / model.X_fit_.shape[1] if model.gamma is None else float(model.gamma)
    found = kernel(
        emitter, model.kernel, emitter.matrix(frame, path), model.X_fit_,
        gamma=gamma, offset=float(model.coef0), degree=float(model.degree),
    )  # fmt: skip
    duals = np.asarray(model.dual_coef_, np.float64)
    return Answer(value=emitter.add("MatMul", found, emitter.constant(duals.reshape(len(duals), -1))))


def covers_kernel_ridge(model: Any) -> bool:
    """Whether its kernel is known."""
    return isinstance(model.kernel, str) and model.kernel in KERNELS


def emit_process(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """GaussianProcessRegressor: its mean."""
    rows = emitter.matrix(frame, path)
    weights = np.asarray(model.alpha_, np.float64)
    mean = emitter.add(
        "MatMul",
        process_kernel(emitter, model.kernel_, rows, model.X_train_, path),
        emitter.constant(weights.reshape(len(weights), -1)),
    )
    mean = scaled(emitter, "Mul", mean, np.reshape(model._y_train_std, (1, -1)))
    return Answer(value=scaled(emitter, "Add", mean, np.reshape(model._y_train_mean, (1, -1))))


def covers_process(model: Any) -> bool:
    """Whether it was fitted, and does not answer from its prior."""
    return hasattr(model, "X_train_")


def process_kernel(emitter: Emitter, given: Any, rows: str, points: Array, path: str) -> str:
    """A Gaussian process's kernel between rows and points.

    Raises:
        ConverterMissing: A kernel without a form here; names it.
    """
    name = type(given).__name__
    if name in {"Sum", "Product"}:
        sides = [process_kernel(emitter, side, rows, points, path) for side in (given.k1, given.k2)]
        return emitter.add("Add" if name == "Sum" else "Mul", *sides)
    match name:
        case "Exponentiation":
            return scaled(emitter, "Pow", process_kernel(emitter, given.kernel, rows, points, path), given.exponent)
        case "ConstantKernel" | "WhiteKernel":
            value = float(given.constant_value) if name == "ConstantKernel" else 0.0
            like = emitter.add("MatMul", scaled(emitter, "Mul", rows, 0.0), emitter.constant(np.zeros(points.T.shape)))
            return scaled(emitter, "Add", like, value)
        case "DotProduct":
            product = emitter.add("MatMul", rows, emitter.constant(np.asarray(points, np.float64).T))
            return scaled(emitter, "Add", product, float(given.sigma_0) ** 2)
        case "RBF" | "Matern" | "RationalQuadratic" | "ExpSineSquared":
            return _of_distance(emitter, given, rows, points, path)
    raise _unknown(given, path)


def process_variance(emitter: Emitter, given: Any, rows: str, path: str) -> str:
    """A kernel between each row and itself, (rows, 1)."""
    name = type(given).__name__
    if name in {"Sum", "Product"}:
        sides = [process_variance(emitter, side, rows, path) for side in (given.k1, given.k2)]
        return emitter.add("Add" if name == "Sum" else "Mul", *sides)
    axis = emitter.constant(np.array([1]))
    if name == "Exponentiation":
        return scaled(emitter, "Pow", process_variance(emitter, given.kernel, rows, path), given.exponent)
    if name == "DotProduct":
        squares = emitter.add("ReduceSum", emitter.add("Mul", rows, rows), axis)
        return scaled(emitter, "Add", squares, float(given.sigma_0) ** 2)
    known = {"ConstantKernel": "constant_value", "WhiteKernel": "noise_level"}
    value = float(getattr(given, known[name])) if name in known else 1.0
    none = emitter.add("ReduceSum", scaled(emitter, "Mul", rows, 0.0), axis)
    return scaled(emitter, "Add", none, value)


def _of_distance(emitter: Emitter, given: Any, rows: str, points: Array, path: str) -> str:
    name, lengths = type(given).__name__, np.asarray(given.length_scale, np.float64)
    if name in {"RBF", "Matern"}:
        rows, points = scaled(emitter, "Div", rows, lengths.reshape(1, -1)), np.asarray(points, np.float64) / lengths
    square = squared(emitter, rows, points)
    if name == "RBF" or (name == "Matern" and given.nu == np.inf):
        return emitter.add("Exp", scaled(emitter, "Mul", square, -0.5))
    if name == "RationalQuadratic":
        moved = scaled(emitter, "Div", square, 2 * float(given.alpha) * float(lengths) ** 2)
        return scaled(emitter, "Pow", scaled(emitter, "Add", moved, 1.0), -float(given.alpha))
    away = emitter.add("Sqrt", square)
    if name == "ExpSineSquared":
        turned = emitter.add("Sin", scaled(emitter, "Mul", away, np.pi / float(given.periodicity)))
        ratio = scaled(emitter, "Div", turned, float(lengths))
        return emitter.add("Exp", scaled(emitter, "Mul", emitter.add("Mul", ratio, ratio), -2.0))
    if given.nu not in (0.5, 1.5, 2.5):
        raise _unknown(given, path)
    moved = scaled(emitter, "Mul", away, np.sqrt(2 * given.nu))
    fading = emitter.add("Exp", emitter.add("Neg", moved))
    if given.nu == 0.5:
        return fading
    rising = scaled(emitter, "Add", moved, 1.0)
    if given.nu == 2.5:
        rising = emitter.add("Add", rising, scaled(emitter, "Div", emitter.add("Mul", moved, moved), 3.0))
    return emitter.add("Mul", rising, fading)


def _unknown(given: Any, path: str) -> ConverterMissing:
    return ConverterMissing(
        f"there is no ONNX form of the kernel {given!r} of {path or 'the model'}",
        hint="use sums and products of RBF, Matern(nu=0.5, 1.5, 2.5), RationalQuadratic, DotProduct and ConstantKernel",
    )
