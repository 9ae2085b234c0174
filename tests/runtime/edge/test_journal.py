import sqlite3
from pathlib import Path

import pytest

from runtime.edge.journal import Arrival, Journal, Limits, open_journal

PLENTY = Limits(1000, 1 << 20)


def arrival(number: int, size: int = 10) -> Arrival:
    return Arrival(f"devices/d/modules/m/inputs/inference/n={number}", b"x" * size, size)


def journal(folder: Path, limits: Limits = PLENTY) -> Journal:
    opened, problem = open_journal(folder, limits)
    assert problem == ""
    return opened


def test_messages_come_back_in_their_order_with_ids_that_rise(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    ids = kept.append([arrival(0), arrival(1)]) + kept.append([arrival(2)])
    entries = kept.take(0, messages=10, size_bytes=1 << 20)
    assert ids == sorted(ids) == [entry.id for entry in entries]
    assert [entry.arrival for entry in entries] == [arrival(0), arrival(1), arrival(2)]
    assert [entry.id for entry in kept.take(ids[0], messages=1, size_bytes=1)] == [ids[1]]


def test_what_was_not_removed_is_there_for_the_next_process(tmp_path: Path) -> None:
    first = journal(tmp_path)
    first.append([arrival(0), arrival(1)])
    first.remove(first.take(0, messages=1, size_bytes=1))
    first.close()
    second = journal(tmp_path)
    assert (second.count, second.inherited, second.uid) == (1, 1, first.uid)
    second.append([arrival(2)])
    taken = second.take(0, messages=10, size_bytes=1 << 20)
    assert [(entry.arrival, entry.replayed) for entry in taken] == [(arrival(1), True), (arrival(2), False)]


def test_an_id_is_never_used_again(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    (last,) = kept.append([arrival(0)])
    kept.remove(kept.take(0, messages=1, size_bytes=1))
    kept.close()
    assert journal(tmp_path).append([arrival(1)])[0] > last


def test_a_batch_is_bounded_by_its_bytes_and_holds_one_at_least(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.append([arrival(number, size=1000) for number in range(5)])
    assert len(kept.take(0, messages=10, size_bytes=2500)) == 2
    assert len(kept.take(0, messages=10, size_bytes=1)) == 1


def test_room_ends_at_either_bound_and_comes_back(tmp_path: Path) -> None:
    kept = journal(tmp_path, Limits(messages=3, size_bytes=1000))
    assert kept.has_room(5000)  # an empty journal takes a message of any size
    kept.append([arrival(0)])
    assert kept.has_room(500, messages=2)
    assert not kept.has_room(500, messages=3)
    assert not kept.has_room(900)
    kept.append([arrival(1), arrival(2)])
    assert not kept.has_room(1)
    kept.remove(kept.take(0, messages=2, size_bytes=1 << 20))
    assert kept.has_room(1)
    assert kept.size_bytes == arrival(2).kept_bytes


def test_attempts_outlive_a_process_that_ends_over_a_message(tmp_path: Path) -> None:
    for expected in range(3):
        kept = journal(tmp_path)
        if expected == 0:
            kept.append([arrival(0)])
        (entry,) = kept.take(0, messages=1, size_bytes=1)
        assert entry.attempts == expected
        kept.mark([entry.id])
        kept.close()
    survived = journal(tmp_path)
    survived.unmark([entry.id])
    assert survived.take(0, messages=1, size_bytes=1)[0].attempts == 0


def test_a_second_process_gets_a_journal_in_memory_and_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.edge.journal._BUSY_S", 0.05)
    first = journal(tmp_path)
    first.append([arrival(0)])
    second, problem = open_journal(tmp_path, PLENTY)
    assert not second.durable
    assert problem.endswith("cannot be written: database is locked")


def test_a_full_disk_keeps_nothing_of_a_batch(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.append([arrival(0)])
    kept._connection.execute("PRAGMA max_page_count=1")  # what SQLite does at the end of a disk
    with pytest.raises(sqlite3.OperationalError, match="full"):
        kept.append([arrival(1, size=10), arrival(2, size=500_000)])
    assert kept.count == 1
    assert len(kept.take(0, messages=10, size_bytes=1 << 20)) == 1
