from pathlib import Path

import pytest

from benchmarks.serving.cells import cell
from benchmarks.serving.log import TurnLog
from tests.benchmarks.figures import turn

CELL = cell("cnn-binary-8")


def test_a_run_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "turns.jsonl"
    TurnLog(path, seconds=2, resume=False).keep("dray", CELL, 0, turn(100))

    log = TurnLog(path, seconds=2, resume=True)

    assert log.known("dray", CELL, 0) == turn(100)
    assert log.known("dray", CELL, 1) is None


def test_a_new_run_forgets(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    TurnLog(path, seconds=2, resume=False).keep("dray", CELL, 0, turn(100))
    TurnLog(path, seconds=2, resume=False)

    assert TurnLog(path, seconds=2, resume=True).known("dray", CELL, 0) is None


def test_turns_of_another_length_are_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    TurnLog(path, seconds=2, resume=False)

    with pytest.raises(ValueError, match="this one has"):
        TurnLog(path, seconds=3, resume=True)
