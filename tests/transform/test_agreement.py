import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.transform.agreement import agreement_of
from runtime.contract.transformation import OutputAgreement


def agreement(want: object, got: object, *, labelled: bool = False) -> OutputAgreement:
    names = frozenset({"y"}) if labelled else frozenset[str]()
    return agreement_of({"y": np.asarray(want)}, [{"y": np.asarray(got)}], labelled=names)["y"]


def scores(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32) * 5


@pytest.mark.parametrize("labels", [["a", "b", "c", "c"], [1, 2, 3, 3], [True, False, True, True]])
def test_labels_agree_by_share(labels: list[object]) -> None:
    found = agreement(labels, [labels[0], labels[1], labels[1], labels[3]])
    assert (found.agreement, found.measures, found.max_abs_error) == (0.75, {"labels": 0.75}, None)


def test_probabilities_agree_by_their_highest_class() -> None:
    found = agreement([[0.9, 0.1], [0.4, 0.6]], [[0.7, 0.3], [0.6, 0.4]])
    assert found.measures == {"classes": 0.5}
    assert found.max_abs_error == pytest.approx(0.2)


def test_a_tie_of_the_source_may_fall_to_either_side() -> None:
    assert agreement([[0.5, 0.5], [0.2, 0.8]], [[0.49, 0.51], [0.3, 0.7]]).agreement == 1


def test_scores_of_unknown_meaning_are_judged_as_classes_and_as_quantities() -> None:
    want = scores(100, 5)
    found = agreement(want, want + 1)
    assert set(found.measures) == {"classes", "variance"}
    assert found.measures["classes"] == 1
    assert found.agreement == found.measures["variance"] < 0.97


def test_scores_of_known_classes_are_judged_as_classes() -> None:
    want = scores(100, 5)
    assert agreement(want, want + 1, labelled=True).measures == {"classes": 1}


def test_a_regressor_agrees_by_explained_variance() -> None:
    want = np.arange(100.0)
    found = agreement(want, want + np.where(np.arange(100) % 2, 1, -1))
    assert found.measures == {"variance": pytest.approx(1 - 1 / want.var(), abs=1e-6)}


def test_a_single_probability_is_judged_by_its_side_too() -> None:
    found = agreement([[0.1], [0.9], [0.45], [0.8]], [[0.1], [0.9], [0.55], [0.8]])
    assert found.measures["classes"] == 0.75


def test_embeddings_agree_by_their_direction_and_name_the_worst() -> None:
    want = scores(50, 128)
    got = want.copy()
    got[7] = -got[7]
    found = agreement(want, got)
    assert found.measures == {"cosine": pytest.approx(0.96)}
    assert found.worst_cosine == pytest.approx(-1)


def test_constant_answers_have_to_be_met() -> None:
    want = np.full((10, 1), 3.0)
    assert agreement(want, want + 1e-6).agreement == 1
    assert agreement(want, want + 0.5).agreement == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_agrees_with_nothing(wrong: float) -> None:
    want = scores(4, 3)
    got = want.copy()
    got[0, 0] = wrong
    assert agreement(want, got).agreement == 0
    assert agreement(got, got).agreement == 1


def test_another_shape_agrees_with_nothing() -> None:
    assert agreement(scores(4, 3), scores(4, 2)).agreement == 0


def test_the_worst_batch_size_counts() -> None:
    want = {"y": np.array([1, 2])}
    found = agreement_of(want, [want, {"y": np.array([1, 3])}, want])
    assert found["y"].agreement == 0.5


@given(st.integers(1, 30), st.integers(1, 80), st.floats(0, 100), st.integers(0, 1000))
def test_every_answer_agrees_with_itself_and_none_more_than_that(
    rows: int, columns: int, noise: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    want = rng.normal(size=(rows, columns)).astype(np.float32)
    got = (want + rng.normal(size=want.shape) * noise).astype(np.float32)
    assert agreement(want, want).agreement == 1
    assert 0 <= max(0.0, agreement(want, got).agreement) <= 1
