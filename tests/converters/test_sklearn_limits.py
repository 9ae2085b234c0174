from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from packager.core.conversion import RawConversion
from tests.support.models import iris


def with_gaps() -> tuple[np.ndarray, np.ndarray]:
    rows, classes = iris()
    rows = rows.copy()
    rows[::7] = np.nan
    return rows, classes


@pytest.mark.parametrize(
    ("model", "data", "taken"),
    [
        (LogisticRegression(max_iter=500), iris, "none"),
        (make_pipeline(SimpleImputer(), LogisticRegression(max_iter=500)), with_gaps, "nan"),
        (RandomForestClassifier(5, random_state=0), with_gaps, "nan"),
        (HistGradientBoostingClassifier(max_iter=5), iris, "any"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_input_takes_of_nan_and_infinity_what_the_model_takes(
    model: Any, data: Any, taken: str, convert: Any
) -> None:
    rows, classes = data()
    raw: RawConversion = convert(model.fit(rows, classes))

    assert dict(raw.non_finite) == {"X": taken}
