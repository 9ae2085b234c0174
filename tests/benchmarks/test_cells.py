import pytest

from benchmarks.serving.cells import DEFAULT, cell, matrix, select
from benchmarks.serving.subjects import MODELS


def test_a_name_is_read_back() -> None:
    assert all(cell(one.name) == one for one in matrix(list(MODELS)))


def test_about_a_dozen_cells_of_every_model_are_the_default() -> None:
    assert 10 <= len(set(DEFAULT)) <= 14
    assert {one.model for one in DEFAULT} == set(MODELS)
    assert set(DEFAULT) <= set(matrix(list(MODELS)))


def test_patterns_select() -> None:
    chosen = select(["gbdt-json-*", "cnn-binary-8"], list(MODELS))

    assert [one.name for one in chosen] == ["gbdt-json-1", "gbdt-json-8", "gbdt-json-32", "cnn-binary-8"]


def test_a_pattern_that_selects_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no cell is called 'logreg-json-33'"):
        select(["logreg-json-33"], list(MODELS))
