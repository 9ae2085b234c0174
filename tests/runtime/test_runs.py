import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.engine.batching import Batcher
from runtime.engine.bring_up import bring_up
from runtime.engine.runs import Adaptive, InSizes
from runtime.engine.session import SessionSettings, load_model
from tests.support.packages import make_package
from tests.support.slow_model import slow_model

ONE = SessionSettings(threads=1)


def test_a_run_with_company_takes_one_thread() -> None:
    began, end = threading.Event(), threading.Event()
    ran: list[str] = []

    def wide(*_: object) -> list[np.ndarray]:
        ran.append("wide")
        began.set()
        assert end.wait(10)
        return []

    adaptive = Adaptive(wide, noting(ran, "narrow"))
    first = threading.Thread(target=adaptive, args=([], {}, None))
    first.start()
    assert began.wait(10)
    adaptive([], {}, None)
    end.set()
    first.join()
    adaptive([], {}, None)

    assert ran == ["wide", "narrow", "wide"]


def noting(ran: list[str], name: str) -> Callable[..., list[np.ndarray]]:
    def call(*_: object) -> list[np.ndarray]:
        ran.append(name)
        return []

    return call


def test_a_run_that_fails_is_over_too() -> None:
    ran: list[str] = []

    def failing(*_: object) -> list[np.ndarray]:
        ran.append("wide")
        raise ValueError("no")

    adaptive = Adaptive(failing, noting(ran, "narrow"))
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            adaptive([], {}, None)
    assert ran == ["wide", "wide"]


@pytest.mark.parametrize(("adapt", "turns"), [(True, 30), (True, 0), (False, 30)])
def test_only_long_runs_adapt(tmp_path: Path, adapt: bool, turns: int) -> None:
    package = make_package(tmp_path / "slow", slow_model(), inputs={"x": np.array([[0.0, turns]], "f4")})
    model, costs, cases = bring_up(package, SessionSettings(threads=2, adapt=adapt))
    assert isinstance(model.call, Adaptive) is (adapt and not costs.inline)
    assert model.run({"x": np.array([[1.0, 2.0]], "f4")})["y"].tolist() == [[1.0, 2.0]]
    assert cases == 2
    assert model.statistics.rows == 1


@pytest.mark.parametrize("sizes", [(1, 4), (8,), (1,)])
@pytest.mark.parametrize("rows", [0, 1, 3, 4, 9])
def test_any_batch_is_run_in_the_sizes_that_are_prepared(tmp_path: Path, rows: int, sizes: tuple[int, ...]) -> None:
    model, ran = load_model(make_package(tmp_path / "iris"), ONE), []
    values = {"X": np.arange(4.0 * rows, dtype="f4").reshape(rows, 4)}
    expected, plain = model.run(values), model.call

    def call_of(size: int) -> Callable[..., list[np.ndarray]]:
        def call(names: Any, feeds: Any, options: Any) -> list[np.ndarray]:
            ran.append((size, len(feeds["X"])))
            return plain(names, feeds, options)

        return call

    model.call = InSizes({size: call_of(size) for size in sizes})
    answer = model.run(values)

    assert rows == 0 or all(size == given for size, given in ran)
    assert rows <= sum(given for _, given in ran) < rows + max(sizes)
    for name, value in expected.items():
        np.testing.assert_allclose(answer[name], value, rtol=1e-6)
    assert model.statistics.rows == 2 * rows


def test_a_change_of_size_that_is_dear_gives_each_size_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = make_package(tmp_path / "iris")
    monkeypatch.setattr("runtime.engine.bring_up.CUDA_BASED", frozenset({"CPUExecutionProvider"}))
    assert not isinstance(bring_up(package, ONE)[0].call, InSizes)
    monkeypatch.setattr("runtime.engine.bring_up._DEAR_S", -1.0)
    model, _, cases = bring_up(package, ONE)
    assert isinstance(model.call, InSizes)
    assert cases == 2
    assert model.run({"X": np.zeros((11, 4), "f4")})["label"].shape == (11,)


def test_a_request_larger_than_a_batch_is_split_where_rows_are_proven_apart(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris")
    whole, split = (bring_up(package, SessionSettings(threads=1, max_batch=most))[0] for most in (None, 4))
    values = {"X": np.arange(44.0, dtype="f4").reshape(11, 4)}
    expected, answer = whole.run(values), split.run(values)

    for name, value in expected.items():
        np.testing.assert_allclose(answer[name], value, rtol=1e-6)
    assert list(whole.statistics.by_batch) == [11]
    assert {size: each.count for size, each in split.statistics.by_batch.items()} == {4: 2, 3: 1}


def test_a_request_of_one_call_is_not_split(tmp_path: Path) -> None:
    package = make_package(tmp_path / "one", batched=False)
    model, costs, _ = bring_up(package, SessionSettings(threads=1, max_batch=1))
    assert model.run({"X": np.zeros((5, 4), "f4")})["label"].shape == (5,)
    assert model.statistics.succeeded.count == 1
    assert costs.inline_rows == float("inf")


def test_rows_that_would_hold_up_the_event_loop_are_no_inline_run(tmp_path: Path) -> None:
    model, costs, _ = bring_up(make_package(tmp_path / "iris"), ONE)
    batcher = Batcher(model, costs)
    few, many = (np.zeros((rows, 4), "f4") for rows in (1, int(costs.inline_rows) + 1))
    assert costs.inline
    assert batcher.suits({"X": few})
    assert not batcher.suits({"X": many})
