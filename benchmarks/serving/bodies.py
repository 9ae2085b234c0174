"""Requests and answers in the forms that more than one server speaks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchmarks.serving.subjects import ANSWER, Array, Subject

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
_JSON: Final = {"Content-Type": "application/json"}
_DATATYPES: Final = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8"}
_NAMES: Final = {"float32": "FP32", "float64": "FP64"}


@dataclass(frozen=True, slots=True)
class Request:
    """A POST."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: _JSON)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def inference_json(subject: Subject) -> bytes:
    """Open Inference Protocol v2, JSON."""
    return json.dumps({"inputs": [{**_tensor(subject), "data": decimals(subject.row).ravel().tolist()}]}).encode()


def inference_binary(subject: Subject, path: str) -> Request:
    """Open Inference Protocol v2 with binary tensors both ways."""
    raw = subject.row.tobytes()
    tensor = {**_tensor(subject), "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return Request(path, head + raw, headers)


def rows_json(subject: Subject, key: str = "instances") -> bytes:
    """Rows under a key: KServe v1, MLflow, and what the frameworks' own examples use."""
    return json.dumps({key: decimals(subject.row).tolist()}).encode()


def read_inference(answer: Answer) -> Array:
    """The probabilities in an answer of the Open Inference Protocol, JSON or binary."""
    length = answer.headers.get(HEADER_LENGTH.lower())
    at = len(answer.body) if length is None else int(length)
    document = json.loads(answer.body[:at])
    for output in document["outputs"]:
        size = (output.get("parameters") or {}).get("binary_data_size")
        if output["name"] == ANSWER:
            if size is None:
                return np.asarray(output["data"], np.float64)
            return np.frombuffer(answer.body[at : at + size], _DATATYPES[output["datatype"]])
        at += size or 0
    raise ValueError(f"no output {ANSWER!r} in {sorted(output['name'] for output in document['outputs'])}")


def read_rows(answer: Answer) -> Array:
    """The probabilities in JSON: by name, row by row, or on their own."""
    document: Any = json.loads(answer.body)
    if isinstance(document, dict):
        document = document.get("predictions", document)
    if isinstance(document, dict):
        document = document[ANSWER]
    rows = [row[ANSWER] if isinstance(row, dict) else row for row in document]
    return np.asarray(rows, np.float64)


def decimals(row: Array) -> Array:
    """The shortest decimals that are these values, as a client would write them."""
    return np.array([float(str(value)) for value in row.ravel()]).reshape(row.shape)


def _tensor(subject: Subject) -> dict[str, Any]:
    return {"name": subject.input_name, "shape": list(subject.row.shape), "datatype": _NAMES[subject.row.dtype.name]}
