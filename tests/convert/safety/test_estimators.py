"""No model of scikit-learn's own is taken for malicious, however it is saved."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import all_estimators

from packager.convert.safety import cleared

RNG = np.random.default_rng(0)
ROWS = RNG.random((60, 4))
CLASSES = (ROWS[:, 0] > 0.5).astype(int)
TARGETS = (CLASSES, ROWS[:, 1], np.c_[CLASSES, CLASSES], None)
ARGUMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"estimator": LogisticRegression()},
    {"estimators": [("a", LogisticRegression()), ("b", LogisticRegression())]},
    {"estimator": Ridge()},
    {"estimators": [("a", Ridge()), ("b", Ridge())]},
)
SAVE: dict[str, Callable[[Any, Path], object]] = {
    "joblib": joblib.dump,
    "joblib, compressed": lambda model, path: joblib.dump(model, path, compress=3),
    "pickle": lambda model, path: path.write_bytes(pickle.dumps(model)),
}


def fitted(kind: type) -> Any:
    """The estimator fitted on whatever it takes; None where that is none of these."""
    for arguments in ARGUMENTS:
        for target in TARGETS:
            try:
                return kind(**arguments).fit(ROWS, target)
            except (TypeError, ValueError, AttributeError, IndexError, NotImplementedError, ImportError):
                continue
    return None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_fitted_estimator_of_scikit_learn_passes(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = {name: model for name, kind in all_estimators() if (model := fitted(kind)) is not None}

    for name, model in models.items():
        for form, save in SAVE.items():
            folder = tmp_path / name / form
            (folder / "copy").mkdir(parents=True)
            save(model, folder / "m.joblib")
            assert cleared(folder / "m.joblib", folder / "copy").trusted == (), f"{name} as {form}"
    assert len(models) > 180
