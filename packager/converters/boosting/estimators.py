"""The scikit-learn wrappers of boosting libraries: recognised by their class, read from the model that they hold."""

from typing import Any

import numpy as np

from packager.converters.boosting.catboost_json import document_of, read_catboost
from packager.converters.boosting.lightgbm_text import read_lightgbm
from packager.converters.boosting.model import BoostedModel, plain_labels, unconvertible
from packager.converters.boosting.xgboost_json import attributes_of, read_xgboost

_LIBRARIES = ("catboost", "lightgbm", "xgboost")


def is_boosted(estimator: Any) -> bool:
    """Whether a class of a boosting library made the estimator, or one derived from it."""
    return library_of(estimator) is not None and hasattr(estimator, "predict") and hasattr(estimator, "get_params")


def library_of(estimator: Any) -> str | None:
    """The boosting library whose class the estimator has, by the nearest of its bases."""
    for base in type(estimator).__mro__:
        root = base.__module__.partition(".")[0]
        if root in _LIBRARIES:
            return root
    return None


def ranks(estimator: Any) -> bool:
    """Whether the estimator gives scores to rank by, which are neither classes nor a regression to scikit-learn."""
    return is_boosted(estimator) and not hasattr(estimator, "predict_proba")


def boosted_model(estimator: Any) -> BoostedModel:
    """What a fitted wrapper answers with.

    Raises:
        ConverterMissing: A part of it has no faithful form; names it.
        ModelInvalid: It holds a model of an unknown form.
    """
    readers = {"catboost": _catboost, "lightgbm": _lightgbm, "xgboost": _xgboost}
    return readers[str(library_of(estimator))](estimator)


def _classes(estimator: Any) -> tuple[Any, ...] | None:
    if not hasattr(estimator, "predict_proba"):
        return None
    classes = np.asarray(estimator.classes_)
    if classes.ndim != 1 or classes.dtype.kind not in "biuOUSf":
        raise unconvertible(
            f"its labels are of the type {classes.dtype}", hint="train with strings or whole numbers as labels"
        )
    return plain_labels(classes)


def _lightgbm(estimator: Any) -> BoostedModel:
    if callable(getattr(estimator, "objective_", None)):
        raise unconvertible("its objective is a function of yours", hint="train with one of LightGBM's own objectives")
    booster = estimator.booster_
    # Early stopping keeps later rounds, and predicts without them.
    text = booster.model_to_string(num_iteration=booster.best_iteration or -1)
    return read_lightgbm(text, classes=_classes(estimator))


def _xgboost(estimator: Any) -> BoostedModel:
    if callable(getattr(estimator, "objective", None)):
        raise unconvertible("its objective is a function of yours", hint="train with one of XGBoost's own objectives")
    text = bytes(estimator.get_booster().save_raw(raw_format="json"))
    best = attributes_of(text).get("best_iteration")
    missing = estimator.missing
    return read_xgboost(
        text,
        rounds=None if best is None else int(best) + 1,
        classes=_classes(estimator),
        regresses=not hasattr(estimator, "predict_proba"),
        missing_value=None if missing is None or np.isnan(missing) else float(missing),
    )


def _catboost(estimator: Any) -> BoostedModel:
    return read_catboost(document_of(estimator))
