"""Transformers whose arithmetic is written out: splines, quantiles, functions, and functions of booleans."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, Perceptron
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from packager.convert.verification import Verified
from packager.core.conversion import RawConversion
from packager.core.errors import SampleError

Convert = Callable[..., RawConversion]
Prove = Callable[[RawConversion], Verified]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 2)) * [1.0, 1e9]
Y = X[:, 0] + X[:, 1] / 1e9
FAR = RNG.normal(size=(400, 2)) * [2.0, 2e9]

CURVES: dict[str, Any] = {
    "spline, constant": SplineTransformer(4, extrapolation="constant"),
    "spline, linear": SplineTransformer(4, extrapolation="linear", knots="quantile"),
    "spline, continued": SplineTransformer(4, degree=2, extrapolation="continue", include_bias=False),
    "quantiles": QuantileTransformer(n_quantiles=20),
    "normal quantiles": QuantileTransformer(n_quantiles=20, output_distribution="normal"),
    "cube root": FunctionTransformer(np.cbrt),
    "arc tangent": FunctionTransformer(np.arctan),
    "hats": SplineTransformer(4, degree=1, extrapolation="linear"),
    "two hats": SplineTransformer(2, degree=1, extrapolation="linear"),
}
CLASSIFIERS = {
    "boosting": GradientBoostingClassifier(n_estimators=5),
    "perceptron": Perceptron(),
    "one a class": OneVsRestClassifier(LinearSVC()),
    "one a pair": OneVsOneClassifier(LinearSVC()),
}


def answered(verified: Verified, rows: np.ndarray) -> list[Any]:
    session = verified.graph.session
    kind = np.float64 if session.get_inputs()[0].type == "tensor(double)" else np.float32
    return session.run(None, {"X": rows.astype(kind)})


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_answers_as_its_source_far_from_the_training_rows(name: str, convert: Convert, proven: Prove) -> None:
    model = make_pipeline(CURVES[name], StandardScaler(), LinearRegression()).fit(X, Y)

    (given,) = answered(proven(convert(model)), FAR)

    np.testing.assert_allclose(given, model.predict(FAR), rtol=1e-5, atol=1e-5)


def test_half_way_between_two_quantiles_a_tree_decides_as_its_source(convert: Convert, proven: Prove) -> None:
    model = make_pipeline(QuantileTransformer(n_quantiles=20), HistGradientBoostingRegressor(max_iter=5)).fit(X, Y)
    known = np.sort(X, axis=0)
    rows = (known[1:] + known[:-1]) / 2

    (given,) = answered(proven(convert(model)), rows)

    np.testing.assert_allclose(given, model.predict(rows), rtol=1e-6)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_scores_and_labels_are_those_of_the_source(name: str, convert: Convert, proven: Prove) -> None:
    target = np.digitize(Y, [-1, 1])
    model = make_pipeline(StandardScaler(), CLASSIFIERS[name]).fit(X, target)

    label, scores = answered(proven(convert(model)), FAR)

    assert (label == model.predict(FAR)).all()
    wanted = model.predict_proba(FAR) if hasattr(model, "predict_proba") else model.decision_function(FAR)
    np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-5)


def flagged(*behind: Any) -> tuple[Any, pd.DataFrame]:
    frame = pd.DataFrame({"flag": X[:, 0] > 0, "city": np.where(X[:, 1] > 0, "Oslo", "Rome"), "size": X[:, 0]})
    parts = [
        ("logs", make_pipeline(FunctionTransformer(np.log1p), *behind), ["flag"]),
        ("rest", StandardScaler(), ["size"]),
        ("city", OneHotEncoder(), ["city"]),
    ]
    return make_pipeline(ColumnTransformer(parts), LinearRegression()).fit(frame, Y), frame


def test_a_logarithm_of_a_column_that_may_be_boolean_asks_for_samples(convert: Convert) -> None:
    with pytest.raises(SampleError, match=r"whether column 'flag' of FunctionTransformer .* is boolean") as caught:
        convert(flagged()[0])
    assert "--samples" in str(caught.value.hint)


def test_a_logarithm_of_booleans_is_rounded_to_float16_as_numpy_does(
    convert: Convert, tmp_path: Path, proven: Prove
) -> None:
    model, frame = flagged()
    frame.to_parquet(tmp_path / "rows.parquet")

    session = proven(convert(model, samples=tmp_path / "rows.parquet")).graph.session
    feeds = {"flag": frame[["flag"]].to_numpy(), "city": frame[["city"]].to_numpy(object)}
    kind = np.float64 if session.get_inputs()[2].type == "tensor(double)" else np.float32
    (given,) = session.run(None, {**feeds, "size": frame[["size"]].to_numpy(kind)})

    np.testing.assert_allclose(given, model.predict(frame), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("behind", [StandardScaler(), PolynomialFeatures(), PCA(1)], ids=str)
def test_what_numpy_goes_on_with_in_float16_is_answered_as_it_does(
    behind: Any, convert: Convert, tmp_path: Path, proven: Prove
) -> None:
    model, frame = flagged(behind)
    frame.to_parquet(tmp_path / "rows.parquet")

    session = proven(convert(model, samples=tmp_path / "rows.parquet")).graph.session
    feeds = {name: frame[[name]].to_numpy(object if name == "city" else None) for name in frame.columns}
    (given,) = session.run(None, feeds)

    np.testing.assert_allclose(given, model.predict(frame), rtol=1e-9)
