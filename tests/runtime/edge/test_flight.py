from pathlib import Path

import pytest

from runtime.edge.flight import Flight
from runtime.edge.journal import Arrival, Journal, Limits, open_journal


def filled(folder: Path, count: int) -> Journal:
    journal, _ = open_journal(folder, Limits(1000, 1 << 20))
    journal.append([Arrival(f"t/{number}", b"x", 1) for number in range(count)])
    return journal


def ids(flight: Flight, messages: int = 100) -> list[int]:
    return [entry.id for entry in flight.next_batch(messages, 1 << 20)]


def test_each_message_flies_once(tmp_path: Path) -> None:
    flight = Flight(filled(tmp_path, 5))
    assert ids(flight, 2) + ids(flight) == [1, 2, 3, 4, 5]
    assert ids(flight) == []
    assert not flight.has_more


def test_what_failed_comes_again_and_is_then_marked(tmp_path: Path) -> None:
    flight = Flight(filled(tmp_path, 3))
    first, second, _ = flight.next_batch(3, 1 << 20)
    assert not flight.landed(second)
    flight.failed(first)
    assert flight.has_more
    (again,) = flight.next_batch(3, 1 << 20)
    assert again.id == first.id
    assert flight.again(again)
    assert flight.landed(again)


def test_suspects_come_alone_and_replayed_ones_do_not_mix_with_new_ones(tmp_path: Path) -> None:
    before = filled(tmp_path, 4)
    before.mark([2])
    before.close()
    journal = filled(tmp_path, 2)
    flight = Flight(journal)
    assert [ids(flight) for _ in range(5)] == [[1], [2], [3, 4], [5, 6], []]


def test_room_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.edge.flight._MOST", 2)
    flight = Flight(filled(tmp_path, 3))
    first, _ = flight.next_batch(2, 1 << 20)
    assert not flight.has_room
    flight.landed(first)
    assert flight.has_room
    assert flight.oldest_s() > 0
