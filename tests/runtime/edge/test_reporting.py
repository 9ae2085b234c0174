from typing import Any

from runtime.edge.reporting import Reported


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def told(reported: Reported, now: dict[str, Any]) -> dict[str, Any] | None:
    patch = reported.due(now)
    if patch is not None:
        reported.told(now, patch)
    return patch


def test_only_what_changed_is_told_and_counts_rarely() -> None:
    clock = Clock()
    reported = Reported(clock)
    assert told(reported, {"state": "starting", "counts": {"n": 0}}) == {
        "dray": {"state": "starting", "counts": {"n": 0}}
    }
    clock.now_s += 1
    assert told(reported, {"state": "ready", "counts": {"n": 5}}) == {"dray": {"state": "ready"}}
    clock.now_s += 1
    assert told(reported, {"state": "ready", "counts": {"n": 9}}) is None
    clock.now_s += 10
    assert told(reported, {"state": "ready", "counts": {"n": 9}}) == {"dray": {"counts": {"n": 9}}}


def test_names_that_are_gone_are_taken_away() -> None:
    clock = Clock()
    reported = Reported(clock)
    told(reported, {"settings": {"errors": {"a": "bad", "b": "bad"}}})
    clock.now_s += 1
    assert told(reported, {"settings": {"errors": {"b": "bad"}}}) == {
        "dray": {"settings": {"errors": {"a": None, "b": "bad"}}}
    }


def test_another_connection_is_told_everything() -> None:
    clock = Clock()
    reported = Reported(clock)
    told(reported, {"state": "ready"})
    reported.forget()
    assert told(reported, {"state": "ready"}) == {"dray": {"state": "ready"}}
