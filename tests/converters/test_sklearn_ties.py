"""Ensembles whose answers jump: two classes with the same votes, medians at a bound, votes of labels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris, load_wine
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingClassifier,
    ExtraTreesClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from packager.convert.verification import Verified
from packager.core.conversion import RawConversion

Convert = Callable[..., RawConversion]
Prove = Callable[[RawConversion], Verified]
SHALLOW = DecisionTreeClassifier(max_depth=2, random_state=0)
VOTERS = [("a", RandomForestClassifier(5, max_depth=3, random_state=1)), ("b", GaussianNB()), ("c", LinearSVC())]
ENSEMBLES = {
    "few trees": RandomForestClassifier(4, max_depth=2, random_state=3),
    "many shallow trees": ExtraTreesClassifier(30, max_depth=2, random_state=3),
    "bagged forests": BaggingClassifier(ExtraTreesClassifier(7, random_state=0), 4, random_state=0),
    "bagged features": BaggingClassifier(SHALLOW, 6, max_features=2, max_samples=0.1, random_state=0),
    "bagged labels": BaggingClassifier(RidgeClassifier(), 4, random_state=0),
    "votes of labels": VotingClassifier(VOTERS, voting="hard"),
    "weighted votes": VotingClassifier(VOTERS, voting="hard", weights=[2, 1, 1]),
    "soft votes": VotingClassifier(VOTERS[:2], voting="soft", weights=[1, 1]),
    "one voter left out": VotingClassifier([*VOTERS[:2], ("d", "drop")], voting="soft"),
}


def tied_rows(count: int = 2000) -> np.ndarray:
    """Rows between the classes, many of which share their leaves."""
    rows = load_iris().data
    rng = np.random.default_rng(5)
    share = np.round(rng.random((count, 1)), 1)
    mixed = rows[rng.integers(0, 150, count)] * share + rows[rng.integers(0, 150, count)] * (1 - share)
    return np.round(mixed, 1).astype(np.float32).astype(np.float64)


def answers(verified: Verified, rows: np.ndarray) -> dict[str, Any]:
    session = verified.graph.session
    kind = np.float64 if session.get_inputs()[0].type == "tensor(double)" else np.float32
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": rows.astype(kind)}), strict=True))


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ties_go_to_the_class_that_scikit_learn_chooses(name: str, convert: Convert, proven: Prove) -> None:
    data, target = load_iris(return_X_y=True)
    names = np.array(["virginica", "setosa", "versicolor"])[target]
    model = ENSEMBLES[name].fit(data, names)
    rows = tied_rows()

    given = answers(proven(convert(model)), rows)

    assert (given["label"] == model.predict(rows)).all()
    if "probabilities" in given:
        np.testing.assert_allclose(given["probabilities"], model.predict_proba(rows), atol=1e-6)


def test_a_weighted_median_is_that_of_the_same_member(convert: Convert, proven: Prove) -> None:
    data, target = load_wine(return_X_y=True)
    model = AdaBoostRegressor(n_estimators=23, random_state=0).fit(data[:, :4], data[:, 5] + target)
    rng = np.random.default_rng(0)
    rows = (data[rng.integers(0, len(data), 2000), :4] * rng.uniform(0.9, 1.1, (2000, 4))).astype(np.float32)

    given = answers(proven(convert(model)), rows)["prediction"]

    np.testing.assert_allclose(given, model.predict(rows), atol=1e-5)
