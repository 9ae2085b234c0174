from collections.abc import Iterator

import pytest

from runtime.errors import SelfTestFailed
from runtime.routes.counts import Counts
from runtime.server.channel import Channel, pair
from runtime.server.messages import Answer, Count, Counted


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    both = pair()
    yield both
    for each in both:
        each.close()


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    mine, other = ends
    sent = [Count(1), Counted(1, Counts(by_status={("v2", 200): 3})), Count(2)]
    for message in sent:
        mine.send(message)
    assert other.receive() == sent
    assert other.receive() == []


def test_an_error_keeps_its_class_hint_and_detail(ends: tuple[Channel, Channel]) -> None:
    mine, other = ends
    mine.send(Answer(7, SelfTestFailed("it differs", hint="look", detail={"problem": "at [0]"})))
    (answer,) = other.receive()
    assert type(answer.result) is SelfTestFailed
    assert answer.result.as_dict() == {
        "code": "E-SELF-TEST", "message": "it differs", "hint": "look", "detail": {"problem": "at [0]"},
    }  # fmt: skip


def test_what_the_other_side_does_not_take_yet_is_kept(ends: tuple[Channel, Channel]) -> None:
    mine, other = ends
    large = Answer(1, SelfTestFailed("x" * 3_000_000))
    mine.send(large)
    assert mine.unsent
    received = []
    while not received:
        received = other.receive()
        mine.flush()
    assert received[0].result.message == large.result.message  # type: ignore[union-attr]
    assert not mine.unsent


def test_the_end_of_the_other_side_is_seen_after_its_last_words(ends: tuple[Channel, Channel]) -> None:
    mine, other = ends
    mine.send(Count(1))
    mine.close()
    assert other.receive() == [Count(1)]
    assert other.closed
    other.send(Count(2))  # lost, and no error
