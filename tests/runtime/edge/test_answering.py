"""Messages to answers without a hub: what each carries, and what may not disturb the others."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.app import create_serving
from runtime.edge.answering import Answerer, confidence_of
from runtime.edge.journal import Arrival, Entry
from runtime.edge.messages import MOST_BYTES, read_message
from runtime.engine.session import OnnxModel
from runtime.routes.serving import Serving
from runtime.settings import Settings
from tests.support.servers import infer_body

ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture(scope="module")
def serving(package: Path) -> Iterator[Serving]:
    made = create_serving(Settings(packages=(package,), threads=1))
    made.repository.load()
    yield made
    made.close()


def entry(body: Any, number: int = 1, **said: Any) -> Entry:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    properties = "&".join(
        f"{quote(key.replace('_', '$.'), safe='')}={quote(value, safe='')}" for key, value in said.items()
    )
    arrival = Arrival(f"devices/d/modules/m/inputs/inference/{properties}", content, len(content))
    return Entry(number, arrival, 0, 0, replayed=False)


def test_rows_of_several_messages_share_runs_and_each_gets_its_own(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    run = OnnxModel.run
    monkeypatch.setattr(
        OnnxModel, "run", lambda *args, **kwargs: rows.append(len(args[1]["X"])) or run(*args, **kwargs)
    )
    bodies = [infer_body([[*ROW[:3], float(number)]] * (number % 3 + 1)) for number in range(12)]
    together = Answerer(serving, "j").answer([entry(body, at) for at, body in enumerate(bodies)])
    assert rows == [24]
    rows.clear()
    alone = Answerer(serving, "j").answer([entry(body, at) for at, body in enumerate(bodies)], max_batch=1)
    assert sorted(rows) == sorted(number % 3 + 1 for number in range(12))
    for one, other in zip(together, alone, strict=True):
        ours, theirs = (json.loads(each.body)["outputs"][1] for each in (one, other))
        assert ours["shape"] == theirs["shape"]
        np.testing.assert_allclose(ours["data"], theirs["data"], rtol=1e-5)


def test_a_message_over_which_processes_have_ended_is_not_run_again(serving: Serving) -> None:
    poison = replace(entry(infer_body([ROW]), _mid="bad"), attempts=3)
    refused, answered = Answerer(serving, "j").answer([poison, entry(infer_body([ROW]))])
    assert (refused.output, answered.output) == ("errors", "predictions")
    assert json.loads(refused.body)["error_code"] == "E-POISON-MESSAGE"
    assert (refused.correlation_id, refused.properties["status"]) == ("bad", "422")


def test_a_bug_that_one_message_meets_is_told_and_the_others_are_answered(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_manifest: object, outputs: Any) -> float:
        if len(outputs["label"]) == 2:
            raise RuntimeError("a bug")
        return 1.0

    monkeypatch.setattr("runtime.edge.answering.confidence_of", broken)
    entries = [entry(infer_body([ROW] * rows), rows, _mid=f"m{rows}") for rows in (1, 2, 3)]
    answers = Answerer(serving, "j").answer(entries, min_confidence=0.1)
    assert [answer.output for answer in answers] == ["predictions", "errors", "predictions"]
    assert json.loads(answers[1].body)["error_code"] == "E-UNEXPECTED"


def test_an_answer_has_the_same_id_whenever_it_is_given(serving: Serving) -> None:
    for said in ({"_mid": "m 1"}, {"_mid": "x" * 200}, {}):
        first, second = (Answerer(serving, "j").answer([entry(infer_body([ROW]), **said)])[0] for _ in range(2))
        assert first.message_id == second.message_id
        assert len(first.message_id) <= 128
    assert first.message_id == "answer:j-1"


def test_an_answer_that_may_be_the_second_says_so(serving: Serving) -> None:
    (answer,) = Answerer(serving, "j").answer([replace(entry(infer_body([ROW])), replayed=True)])
    assert answer.properties["duplicate"] == "possible"


def test_the_least_certain_row_decides(serving: Serving) -> None:
    manifest = serving.repository.only().manifest
    outputs = {"probabilities": np.array([[0.1, 0.8, 0.1], [0.4, 0.3, 0.3]], dtype=np.float32)}
    assert confidence_of(manifest, outputs) == pytest.approx(0.4)
    assert confidence_of(manifest.model_copy(update={"labels": None}), outputs) is None


@given(body=st.binary(max_size=60), topic=st.text(max_size=60))
def test_whatever_comes_there_is_one_answer_that_the_hub_takes(serving: Serving, body: bytes, topic: str) -> None:
    arrival = Arrival(topic, body, len(body))
    (answer,) = Answerer(serving, "j").answer([Entry(1, arrival, 0, 0, replayed=False)])
    assert answer.output == "errors"
    assert answer.sendable


def test_an_id_as_long_as_a_topic_is_left_out_of_the_error(serving: Serving) -> None:
    (answer,) = Answerer(serving, "j").answer([entry(infer_body([ROW]), _cid="c" * 60_500)])
    assert (answer.output, answer.correlation_id, answer.sendable) == ("errors", None, True)


def test_properties_are_read_as_the_hub_writes_them() -> None:
    message = read_message(entry(b"", _mid="a/b", _cid="c&d", _ct="text/csv", _to="x", site="h=1"))
    assert (message.message_id, message.correlation_id, message.content_type) == ("a/b", "c&d", "text/csv")
    assert message.properties == {"site": "h=1"}
    assert MOST_BYTES == 262_144
