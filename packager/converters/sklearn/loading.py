"""Loading a pickled estimator, and saying plainly why it cannot be used."""

import warnings
from pathlib import Path
from typing import Any

from packager.converters.boosting.estimators import is_boosted, library_of
from packager.converters.sklearn.recognition import is_skops
from packager.core.errors import EnvironmentMissing, ModelInvalid, UnsafeModel
from packager.core.unpickling import limited_unpickling

_SAVE_AGAIN = "save the fitted estimator again with joblib.dump(estimator, 'model.joblib')"

_SAVE_NATIVE = "save it in its library's own format: booster.save_model('model.json'), 'model.txt' for LightGBM"


def load_estimator(path: Path) -> tuple[Any, tuple[str, ...]]:
    """The fitted estimator in a file, and what its loading warned of.

    Raises:
        ModelInvalid: Empty, truncated, not a pickle, of a class that is not here, not an estimator, or not fitted.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = _load(path)
    _check_is_estimator(model, path)
    _check_is_fitted(model)
    return model, _notes(caught)


def _load(path: Path) -> Any:
    import joblib

    if path.stat().st_size == 0:
        raise ModelInvalid(f"the model file {path.name!r} is empty", hint=_SAVE_AGAIN)
    if is_skops(path):
        return _load_skops(path)
    try:
        with limited_unpickling():
            return joblib.load(path)
    except (MemoryError, UnsafeModel):
        raise
    except ModuleNotFoundError as error:
        raise _module_missing(path, error) from error
    except AttributeError as error:
        raise _class_missing(path, error) from error
    except Exception as error:  # a damaged pickle fails in any way: EOFError, KeyError, zlib.error, UnpicklingError ...
        raise ModelInvalid(
            f"{path.name!r} is not a pickle that can be read, or is cut off: {type(error).__name__}: {_line(error)}",
            hint=_SAVE_AGAIN,
        ) from error


def _load_skops(path: Path) -> Any:
    """What is named in the file was checked, or trusted, before this process began."""
    try:
        import skops.io as skops
    except ImportError as error:
        raise EnvironmentMissing(
            f"{path.name!r} was saved by skops, which is not installed here", hint='pip install "dray[skops]"'
        ) from error
    try:
        return skops.load(path, trusted=skops.get_untrusted_types(file=path))
    except (MemoryError, UnsafeModel):
        raise
    except Exception as error:  # a damaged file fails in any way
        raise ModelInvalid(
            f"skops {skops_version()} cannot load {path.name!r}: {type(error).__name__}: {_line(error)}",
            hint="save the fitted estimator again with skops.io.dump(estimator, 'model.skops')",
        ) from error


def skops_version() -> str:
    """As installed here."""
    from importlib.metadata import version

    return version("skops")


def _module_missing(path: Path, error: ModuleNotFoundError) -> ModelInvalid:
    name = str(error.name or error)
    own = name.partition(".")[0] == "sklearn"
    return ModelInvalid(
        f"{path.name!r} needs the module {name!r}, which is not here",
        hint="the file was saved by another version of scikit-learn: install that version, or train again"
        if own
        else f"install it, or put the folder that holds {name.partition('.')[0]}.py on PYTHONPATH",
        detail={"module": name},
    )


def _class_missing(path: Path, error: AttributeError) -> ModelInvalid:
    text = _line(error)
    notebook = "__main__" in text
    return ModelInvalid(
        f"{path.name!r} needs a class or function that is not here: {text}",
        hint="it was defined in a notebook or script (__main__): move it to a module, import it, and save again"
        if notebook
        else "--env auto converts with the scikit-learn that saved it; of other libraries, install that version",
    )


def _check_is_estimator(model: Any, path: Path) -> None:
    from sklearn.base import BaseEstimator

    if isinstance(model, BaseEstimator) or is_boosted(model):
        return
    kind = f"the class {model.__name__}" if isinstance(model, type) else f"an object of class {type(model).__name__}"
    held = [key for key, value in model.items() if isinstance(value, BaseEstimator)] if isinstance(model, dict) else []
    raise ModelInvalid(
        f"{path.name!r} holds {kind}, not a scikit-learn estimator",
        hint=f"save its entry {held[0]!r} alone" if held else _SAVE_NATIVE if library_of(model) else _SAVE_AGAIN,
        detail={"class": f"{type(model).__module__}.{type(model).__qualname__}"},
    )


def _check_is_fitted(model: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
        for _, step in getattr(model, "steps", ()):
            if hasattr(step, "fit"):
                check_is_fitted(step)
    except NotFittedError as error:
        raise ModelInvalid(f"the {type(model).__name__} is not fitted", hint="call fit(X, y), then save it") from error
    if hasattr(model, "refit") and hasattr(model, "cv_results_") and not hasattr(model, "best_estimator_"):
        raise ModelInvalid(
            f"the {type(model).__name__} was made with refit=False and holds no fitted estimator",
            hint="search with refit=True, or fit and save the best estimator",
        )


def _notes(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """One line for each distinct warning; a mismatch of versions once, not once an estimator."""
    notes: dict[str, None] = {}
    for item in caught:
        warning = item.message
        # By its fields: the class, InconsistentVersionWarning, came with scikit-learn 1.3.
        if saved := getattr(warning, "original_sklearn_version", None):
            current = getattr(warning, "current_sklearn_version", "another version")
            notes[f"saved by scikit-learn {saved}, loaded and converted with {current}"] = None
        elif not isinstance(warning, DeprecationWarning | FutureWarning | PendingDeprecationWarning):
            notes[f"{type(warning).__name__} on loading: {_line(warning)}"] = None
    return tuple(notes)


def _line(error: Exception | Warning | str) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
