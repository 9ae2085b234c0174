"""The real module client against a real broker: what comes out for what goes in."""

import itertools
import json
import re
from typing import Any

import httpx
import pytest

from tests.support.edge_hub import EdgeHub, Output
from tests.support.servers import RunningServer, infer_body

ROW = [5.1, 3.5, 1.4, 0.2]
_numbers = itertools.count()


def ask(hub: EdgeHub, body: Any, name: str = "inference", **properties: str) -> Output:
    """The answer to one message."""
    before = len(hub.outputs)
    hub.send(body, name, **{"mid": f"ask-{next(_numbers)}", **properties})
    return hub.wait_for_outputs(before + 1)[-1]


def padded(size: int) -> bytes:
    """A request of so many bytes."""
    body = json.dumps(infer_body([ROW])).encode()
    return body[:-1] + b" " * (size - len(body)) + b"}"


def test_a_message_is_answered_with_its_correlation_and_who_answered(hub: EdgeHub, module: RunningServer) -> None:
    answer = ask(hub, infer_body([ROW]), mid="m 1", cid="c/1&x=é", site="hall 3")
    served = module.readiness()["models"][0]
    assert answer.name == "predictions"
    assert answer.json()["outputs"][0]["name"] == "label"
    assert answer.correlation_id == "c/1&x=é"
    about = {name: served[name] for name in ("version", "digest")}
    assert answer.properties == {"model": "iris", **about, "site": "hall 3"}


def test_the_id_of_a_message_is_the_correlation_of_its_answer(hub: EdgeHub, module: RunningServer) -> None:
    answer = ask(hub, infer_body([ROW]), mid="reading-7")
    assert (answer.message_id, answer.correlation_id) == ("answer:reading-7", "reading-7")


def test_messages_without_ids_get_answers_with_ids_of_their_own(hub: EdgeHub, module: RunningServer) -> None:
    before = len(hub.outputs)
    for _ in range(2):
        hub.send(infer_body([ROW]))
    found = hub.wait_for_outputs(before + 2)[before:]
    assert len({output.message_id for output in found}) == 2
    assert all(re.fullmatch(r"answer:[0-9a-f]{12}-\d+", output.message_id or "") for output in found)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ({"dataframe_split": {"columns": ["a", "b", "c", "d"], "data": [ROW]}}, "application/json"),
        ({"instances": [ROW]}, "application/json"),
        ("a,b,c,d\n5.1,3.5,1.4,0.2\n", "text/csv"),
    ],
)
def test_bodies_of_mlflow_are_answered_as_mlflow_does(
    hub: EdgeHub, module: RunningServer, body: Any, content_type: str
) -> None:
    answer = ask(hub, body, ct=content_type)
    assert answer.name == "predictions"
    assert len(answer.json()["predictions"]) == 1


def test_the_answer_is_that_of_http(hub: EdgeHub, module: RunningServer) -> None:
    body = infer_body([ROW, [1, 2, 3, 4]])
    over_http = httpx.post(f"{module.url}/v2/models/iris/infer", json=body).json()
    assert ask(hub, body).json() == over_http
    assert ask(hub, body, name="iris").json() == over_http


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        (b"\xff\x00 no JSON", "E-INPUT", "400"),
        (infer_body([[1.0, 2.0]]), "E-INPUT", "400"),
        (b"", "E-INPUT", "400"),
        (b"[" * 100_000, "E-INPUT", "400"),
    ],
)
def test_a_message_that_cannot_be_answered_goes_to_errors_and_stops_nothing(
    hub: EdgeHub, module: RunningServer, body: Any, code: str, status: str
) -> None:
    refused = ask(hub, body, mid="poison")
    assert (refused.name, refused.correlation_id) == ("errors", "poison")
    assert (refused.json()["error_code"], refused.properties["error_code"]) == (code, code)
    assert refused.properties["status"] == status
    assert ask(hub, infer_body([ROW])).name == "predictions"


def test_one_bad_message_among_many_spoils_no_other(hub: EdgeHub, module: RunningServer) -> None:
    before = len(hub.outputs)
    for number in range(60):
        hub.send(infer_body([ROW]) if number % 20 else b"{}", mid=f"among-{number}")
    found = hub.wait_for_outputs(before + 60)[before:]
    refused = sorted(int(output.correlation_id.rpartition("-")[2]) for output in found if output.name == "errors")
    assert refused == [0, 20, 40]
    assert {output.name for output in found} == {"errors", "predictions"}


def test_256_kib_are_taken_and_no_byte_more(hub: EdgeHub, module: RunningServer) -> None:
    assert ask(hub, padded(256 << 10)).name == "predictions"
    refused = ask(hub, padded((256 << 10) + 1))
    assert refused.name == "errors"
    assert refused.json()["error_code"] == "E-MESSAGE-TOO-LARGE"
    assert "262145 bytes" in refused.json()["message"]


def test_an_answer_that_no_message_holds_goes_to_errors(hub: EdgeHub, module: RunningServer) -> None:
    body = {"inputs": [{"name": "X", "shape": [8000, 4], "datatype": "FP32", "data": [1] * 32000}]}
    refused = ask(hub, body)
    assert refused.name == "errors"
    assert refused.json()["error_code"] == "E-MESSAGE-TOO-LARGE"
    assert refused.json()["message"].startswith("the answer has ")


def test_properties_that_fill_a_message_are_left_out_of_the_error(hub: EdgeHub, module: RunningServer) -> None:
    refused = ask(hub, infer_body([ROW]), mid="wide", wide="x" * 61_000)
    assert (refused.name, refused.correlation_id) == ("errors", "wide")
    assert "wide" not in refused.properties


def test_another_input_is_refused_by_name(hub: EdgeHub, module: RunningServer) -> None:
    refused = ask(hub, infer_body([ROW]), name="elsewhere")
    assert refused.name == "errors"
    assert "there is no input 'elsewhere'; this module has inference, iris" in refused.json()["message"]


def test_counts_are_in_the_metrics(hub: EdgeHub, module: RunningServer) -> None:
    ask(hub, infer_body([ROW]))
    text = httpx.get(f"{module.url}/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("dray_edge"))
    errors = sum(output.name == "errors" for output in hub.outputs)
    assert float(values["dray_edge_received_total"]) == len(hub.outputs)
    assert float(values['dray_edge_answers_total{output="errors"}']) == errors
    assert float(values["dray_edge_connections_total"]) == 1


def test_http_is_served_as_before(hub: EdgeHub, module: RunningServer) -> None:
    assert httpx.get(f"{module.url}/readyz").json()["ready"] is True
