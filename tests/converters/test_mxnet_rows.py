"""Answers that MXNet gives as one list of rows times steps."""

from pathlib import Path

import numpy as np
import pytest

from packager.core.errors import ConverterMissing
from tests.support.mxnet_models import asked, converted, hint, node, opened, write_model

_HINT = (hint("data=FP32:N,4,3"),)
_DATA = np.random.default_rng(2).standard_normal((5, 4, 3)).astype(np.float32)


def test_a_list_of_rows_gets_an_axis_of_rows(tmp_path: Path) -> None:
    source = write_model(tmp_path, [node("null", "data"), node("Reshape", "flat", [0], shape="(-1, 3)")], {})
    raw = converted(source, tmp_path / "out", inputs=_HINT)
    session = opened(raw)
    assert session.get_outputs()[0].shape == ["batch", 4, 3]
    np.testing.assert_array_equal(asked(session, {"data": _DATA})[0], _DATA)
    assert "one entry a row" in raw.notes[0]


def test_a_list_of_steps_is_turned_round(tmp_path: Path) -> None:
    nodes = [node("null", "data"), node("SwapAxis", "turn", [0], dim1="0", dim2="1"),
             node("Reshape", "flat", [1], shape="(-1, 3)")]  # fmt: skip
    session = opened(converted(write_model(tmp_path, nodes, {}), tmp_path / "out", inputs=_HINT))
    assert session.get_outputs()[0].shape == ["batch", 4, 3]
    np.testing.assert_array_equal(asked(session, {"data": _DATA})[0], _DATA)


def test_a_list_from_which_no_row_can_be_taken_is_refused(tmp_path: Path) -> None:
    nodes = [node("null", "data"), node("Reshape", "flat", [0], shape="(-1, 3)"),
             node("sort", "mixed", [1], axis="0")]  # fmt: skip
    with pytest.raises(ConverterMissing, match="no row can be taken"):
        converted(write_model(tmp_path, nodes, {}), tmp_path / "out", inputs=_HINT)
