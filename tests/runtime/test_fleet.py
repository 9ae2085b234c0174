import time

import pytest

from runtime.server.fleet import Backoff, fate


def delays(ages_s: list[float]) -> list[float]:
    """How long the next worker waits after each of these deaths, in seconds."""
    backoff, found = Backoff(), []
    for age_s in ages_s:
        backoff.died(lived_s=age_s)
        found.append(round(max(0.0, backoff.not_before - time.monotonic()), 1))
    return found


def test_the_first_that_dies_is_replaced_at_once_and_young_ones_later_and_later() -> None:
    assert delays([0.1] * 5) == [0.0, 0.1, 0.2, 0.4, 0.8]


def test_the_delay_is_bounded() -> None:
    assert delays([0.1] * 30)[-1] == 10.0


def test_one_that_lived_for_a_while_is_replaced_at_once() -> None:
    assert delays([60.0, 60.0, 60.0]) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "signal SIGKILL"), (-11, "signal SIGSEGV"), (3, "exit status 3"), (-99, "signal 99")]
)
def test_the_end_of_a_worker_is_told_in_words(code: int, words: str) -> None:
    assert fate(code) == words
