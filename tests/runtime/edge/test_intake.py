"""When a message is acknowledged: only when it is kept, whatever the journal's state."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.edge import intake as module
from runtime.edge.intake import Intake
from runtime.edge.journal import Arrival, Journal, Limits, open_journal
from runtime.telemetry import Messages


class Acknowledged:
    """Which messages were acknowledged, in their order."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._changed = threading.Condition()

    def of(self, number: int) -> Callable[[], None]:
        def note() -> None:
            with self._changed:
                self.numbers.append(number)
                self._changed.notify_all()

        return note

    def wait(self, count: int, timeout_s: float = 10) -> list[int]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.numbers) >= count, timeout_s), self.numbers
            return list(self.numbers)


@pytest.fixture
def acknowledged() -> Acknowledged:
    return Acknowledged()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Journal, Intake]]:
    journal, _ = open_journal(tmp_path, Limits(messages=10, size_bytes=1 << 20))
    intake = Intake(journal, Messages(), lambda entries: None, lambda: None)
    yield journal, intake
    intake.close()


def arrival(number: int) -> Arrival:
    return Arrival(f"t/{number}", b"x", 1)


def send(intake: Intake, acknowledged: Acknowledged, numbers: range) -> None:
    for number in numbers:
        intake.arrived(arrival(number), acknowledged.of(number))


def test_messages_are_acknowledged_in_order_once_they_are_kept(
    opened: tuple[Journal, Intake], acknowledged: Acknowledged
) -> None:
    journal, intake = opened
    send(intake, acknowledged, range(5))
    assert acknowledged.wait(5) == [0, 1, 2, 3, 4]
    assert journal.count == 5


def test_what_does_not_fit_waits_until_answers_make_room(
    opened: tuple[Journal, Intake], acknowledged: Acknowledged
) -> None:
    journal, intake = opened
    send(intake, acknowledged, range(12))
    assert len(acknowledged.wait(10)) == 10
    intake.answered(journal.take(0, messages=3, size_bytes=1 << 20))
    assert acknowledged.wait(12) == list(range(12))
    assert journal.count == 9


def test_a_full_disk_acknowledges_nothing_until_there_is_room(
    opened: tuple[Journal, Intake], acknowledged: Acknowledged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.02)
    journal, intake = opened
    failed = threading.Event()

    def full(arrivals: object) -> list[int]:
        failed.set()
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "append", full)
        send(intake, acknowledged, range(2))
        assert failed.wait(5)
        assert acknowledged.numbers == []
    assert acknowledged.wait(2) == [0, 1]
    assert intake.trouble == ""


def test_beyond_the_bound_messages_are_let_go_and_not_acknowledged(
    opened: tuple[Journal, Intake], acknowledged: Acknowledged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_HELD", 4)
    journal, intake = opened
    send(intake, acknowledged, range(20))
    assert acknowledged.wait(10) == list(range(10))
    assert intake.overflowed
    intake.answered(journal.take(0, messages=10, size_bytes=1 << 20))
    assert acknowledged.wait(14) == list(range(14))


def test_without_a_journal_the_answer_acknowledges(acknowledged: Acknowledged) -> None:
    journal = Journal(None, Limits(10, 1 << 20))
    kept = threading.Event()
    intake = Intake(journal, Messages(), lambda entries: None, kept.set)
    send(intake, acknowledged, range(1))
    assert kept.wait(5)
    assert acknowledged.numbers == []
    intake.answered(journal.take(0, messages=1, size_bytes=1))
    assert acknowledged.wait(1) == [0]
    intake.disconnected()
    intake.close()
