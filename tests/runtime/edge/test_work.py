"""From the journal to the hub, without either a broker or a client: what happens when sending or running goes wrong."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runtime.app import create_serving
from runtime.edge.connection import Sent
from runtime.edge.journal import Arrival, Journal, Limits, open_journal
from runtime.edge.messages import Answer
from runtime.edge.twin import Wishes
from runtime.edge.work import Work
from runtime.engine.session import OnnxModel
from runtime.routes.serving import Serving
from runtime.settings import Settings
from runtime.telemetry import Messages
from tests.support.servers import infer_body

ROW = [5.1, 3.5, 1.4, 0.2]


@dataclass
class FakeConnection:
    """Takes answers as the hub does, or fails as it is told, once for each entry of ``failures``."""

    failures: list[Exception] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    alive: bool = True

    def send(self, answer: Answer, sent: Sent) -> None:
        if self.failures:
            sent(self.failures.pop(0))
            return
        self.answers.append(answer)
        sent(None)


@pytest.fixture(scope="module")
def serving(package: Path) -> Iterator[Serving]:
    made = create_serving(Settings(packages=(package,), threads=1, request_timeout_s=0.3))
    made.repository.load()
    yield made
    made.close()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    opened, _ = open_journal(tmp_path, Limits(1000, 1 << 20))
    return opened


def arrival(number: int, rows: int = 1) -> Arrival:
    body = json.dumps(infer_body([ROW] * rows)).encode()
    return Arrival(f"devices/d/modules/m/inputs/inference/%24.mid=m{number}", body, len(body))


def worked(
    serving: Serving, journal: Journal, connection: FakeConnection, until: Callable[[], bool]
) -> tuple[Messages, list[str]]:
    """The counts, and how often another connection was asked for."""
    counts, broken = Messages(), []

    async def run() -> None:
        work = Work(serving, journal, counts, Wishes, lambda: broken.append("broken"))
        work.connection, work.allowed = connection, lambda: True  # type: ignore[assignment]
        task = asyncio.ensure_future(work.run())
        await _until(until)
        await _until(lambda: journal.count == 0)
        task.cancel()
        await asyncio.to_thread(work.intake.close)

    asyncio.run(run())
    return counts, broken


async def _until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


def test_answers_go_out_in_the_order_in_which_messages_came(serving: Serving, journal: Journal) -> None:
    journal.append([arrival(number) for number in range(150)])
    hub = FakeConnection()
    counts, broken = worked(serving, journal, hub, lambda: len(hub.answers) == 150)
    assert [answer.message_id for answer in hub.answers] == [f"answer:m{number}" for number in range(150)]
    assert (counts.answered, counts.errors, counts.repeated, broken) == (150, 0, 0, [])


def test_an_answer_that_was_not_sent_is_sent_again_by_another_connection(serving: Serving, journal: Journal) -> None:
    journal.append([arrival(0), arrival(1)])
    hub = FakeConnection(failures=[ConnectionError("gone")])
    counts, broken = worked(serving, journal, hub, lambda: len(hub.answers) == 2)
    again = next(answer for answer in hub.answers if answer.message_id == "answer:m0")
    assert again.properties["duplicate"] == "possible"
    assert (counts.answered, counts.repeated, broken) == (2, 1, ["broken"])


def test_an_answer_that_the_client_refuses_becomes_an_error(serving: Serving, journal: Journal) -> None:
    journal.append([arrival(0)])
    hub = FakeConnection(failures=[ValueError("invalid topic")])
    counts, broken = worked(serving, journal, hub, lambda: len(hub.answers) == 1)
    assert hub.answers[0].output == "errors"
    assert "the client does not send the answer: invalid topic" in json.loads(hub.answers[0].body)["message"]
    assert (counts.answered, counts.errors, broken) == (1, 1, [])


def test_only_the_message_that_takes_too_long_is_refused(
    serving: Serving, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OnnxModel.run

    def slow(model: OnnxModel, inputs: Any, *args: Any, cancellation: Any = None) -> Any:
        while len(inputs["X"]) >= 3 and not cancellation.cancelled():  # alone, or in company
            pass
        return run(model, inputs, *args)

    monkeypatch.setattr(OnnxModel, "run", slow)
    journal.append([arrival(0), arrival(1, rows=3), arrival(2)])
    hub = FakeConnection()
    worked(serving, journal, hub, lambda: len(hub.answers) == 3)
    assert [answer.output for answer in hub.answers] == ["predictions", "errors", "predictions"]
    assert json.loads(hub.answers[1].body)["error_code"] == "E-TIMEOUT"


def test_what_an_earlier_process_left_is_marked_while_it_runs(
    serving: Serving, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append([arrival(0), arrival(1)])
    journal.close()
    second, _ = open_journal(tmp_path, Limits(1000, 1 << 20))
    second.append([arrival(2)])
    attempts: list[list[int]] = []
    run = OnnxModel.run

    def watched(*args: Any, **kwargs: Any) -> Any:
        attempts.append([entry.attempts for entry in second.take(0, messages=9, size_bytes=1 << 20)])
        return run(*args, **kwargs)

    monkeypatch.setattr(OnnxModel, "run", watched)
    hub = FakeConnection()
    counts, _ = worked(serving, second, hub, lambda: len(hub.answers) == 3)
    assert attempts[0] == [1, 1, 0]  # should it end now, these two are suspects
    assert 1 not in attempts[1]
    assert counts.replayed == 2
