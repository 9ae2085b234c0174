import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.bodies import HEADER_LENGTH, Answer, inference_binary, inference_json, read_inference, read_rows
from benchmarks.serving.peers import PEERS
from benchmarks.serving.subjects import Subject

ROW = np.array([[0.1, 2.0]], np.float32)
SUBJECT = Subject("m", Path("package"), "x", ROW, {"label": np.array([1]), "probabilities": np.array([[0.25, 0.75]])})
TENSORS = [{"name": "label", "data": [1]}, {"name": "probabilities", "data": [0.25, 0.75]}]


def test_decimals_are_as_a_client_would_write_them() -> None:
    assert json.loads(inference_json(SUBJECT))["inputs"][0]["data"] == [0.1, 2.0]


def test_a_binary_body_says_where_its_tensors_begin() -> None:
    request = inference_binary(SUBJECT, "/")

    at = int(request.headers[HEADER_LENGTH])
    assert json.loads(request.body[:at])["inputs"][0]["datatype"] == "FP32"
    assert request.body[at:] == ROW.tobytes()


def test_probabilities_are_found_behind_other_binary_outputs() -> None:
    values = {"label": np.array([1]), "probabilities": np.array([0.25, 0.75], np.float32)}
    kinds = {"label": "INT64", "probabilities": "FP32"}
    outputs = [
        {"name": name, "datatype": kinds[name], "parameters": {"binary_data_size": value.nbytes}}
        for name, value in values.items()
    ]
    head = json.dumps({"outputs": outputs}).encode()
    body = head + b"".join(value.tobytes() for value in values.values())

    assert read_inference(Answer(200, {HEADER_LENGTH.lower(): str(len(head))}, body)).tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    "document",
    [
        {"predictions": [{"label": 1, "probabilities": [0.25, 0.75]}]},
        {"predictions": [[0.25, 0.75]]},
        {"label": [1], "probabilities": [[0.25, 0.75]]},
        [[0.25, 0.75]],
    ],
)
def test_rows_are_found_in_every_form(document: object) -> None:
    answer = read_rows(Answer(200, {}, json.dumps(document).encode()))

    assert SUBJECT.wrong(answer) == ""


def test_other_probabilities_are_wrong() -> None:
    assert SUBJECT.wrong(np.array([0.25, 0.7501])) == "off by 1.00e-04"
    assert SUBJECT.wrong(np.array([0.25])) == "1 values, expected 2"


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_says_what_it_is_asked(peer: "object") -> None:
    for encoding in peer.encodings:  # type: ignore[attr-defined]
        request = peer.request(SUBJECT, encoding)  # type: ignore[attr-defined]
        assert request.path.startswith("/")
        assert len(request.body) > ROW.nbytes
