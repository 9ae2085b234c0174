from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from onnx import TensorProto

from runtime.routes.serving import Serving
from tests.runtime.test_app import ask, assert_error, served
from tests.support.packages import columns_model, make_package

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 4.0, 1.2]]
NAMES = ("sepal length", "sepal width", "petal length", "petal width")
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    return served(make_package(tmp_path_factory.mktemp("azure") / "iris", columns={"X": NAMES}).root)


def labels(serving: Serving) -> list[int]:
    found: list[int] = serving.repository.find("iris").run({"X": np.array(ROWS, "f4")})["label"].tolist()
    return found


def score(serving: Serving, body: Any, **options: Any) -> httpx.Response:
    return ask(serving, "POST", "/score", json=body, **options)


def predictions(answer: Any) -> list[dict[str, Any]]:
    """The list in an answer of any of the three forms."""
    if isinstance(answer, list):
        return answer
    inner = answer.get("result") or answer["Results"]
    found: list[dict[str, Any]] = inner["WebServiceOutput0"] if isinstance(inner, dict) else inner
    return found


@pytest.mark.parametrize(
    ("body", "wrapped_in"),
    [
        ({"data": ROWS}, "result"),
        ({"data": RECORDS}, "result"),
        ({"data": {"columns": list(NAMES[::-1]), "data": [row[::-1] for row in ROWS]}}, "result"),
        ({"Inputs": {"data": RECORDS}, "GlobalParameters": {"method": "predict"}}, "Results"),
        ({"Inputs": {"WebServiceInput0": RECORDS}, "GlobalParameters": {}}, "Results"),
        ({"Inputs": ROWS}, "Results"),
        ({"input_data": {"columns": list(NAMES), "index": [0, 1], "data": ROWS}}, None),
        ({"input_data": RECORDS}, None),
        ({"input_data": ROWS, "params": {}}, None),
    ],
)
def test_every_form_of_azures_clients_is_answered_in_kind(iris: Serving, body: Any, wrapped_in: str | None) -> None:
    answer = score(iris, body).json()

    assert isinstance(answer, list) if wrapped_in is None else list(answer) == [wrapped_in]
    assert [row["label"] for row in predictions(answer)] == labels(iris)
    assert all(len(row["probabilities"]) == 3 for row in predictions(answer))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "one of 'data', 'Inputs', 'input_data', got an object of 0"),
        ({"data": ROWS, "Inputs": ROWS}, "got 'data' and 'Inputs'"),
        ("text", "got 'text'"),
        ({"data": 3}, "'data' must be an array of rows"),
        ({"data": [{"sepal length": 1}]}, "sepal width"),
        ({"Inputs": {"WebServiceInput0": [[1, 2]]}}, "needs"),
    ],
)
def test_what_is_no_request_is_refused(iris: Serving, body: Any, message: str) -> None:
    assert message in assert_error(score(iris, body), 400, "E-INPUT")["message"]


def test_a_column_may_be_called_as_the_envelope_is(tmp_path: Path) -> None:
    model = columns_model({"data": TensorProto.FLOAT})
    serving = served(make_package(tmp_path / "p", model, inputs={"data": np.ones((5, 1), "f4")}).root)

    assert score(serving, {"Inputs": {"data": [1, 2]}}).json() == {"Results": [[1.0], [2.0]]}


def test_azures_request_id_is_echoed(iris: Serving) -> None:
    headers = {"x-ms-client-request-id": "abc-1", "x-request-id": "r-2"}
    answer = score(iris, {"data": ROWS}, headers=headers)
    assert (answer.headers["x-ms-client-request-id"], answer.headers["x-request-id"]) == ("abc-1", "r-2")


def test_a_request_id_that_could_do_harm_is_not_echoed(iris: Serving) -> None:
    answer = score(iris, {"data": ROWS}, headers={"x-ms-client-request-id": "<script>"})
    assert "x-ms-client-request-id" not in answer.headers


@pytest.mark.parametrize(("version", "spelt"), [(None, "2.0"), ("2", "2.0"), ("3", "3.0.3"), ("3.1", "3.1.0")])
def test_the_description_is_of_this_model_with_examples_that_it_answers(
    iris: Serving, version: str | None, spelt: str
) -> None:
    document = ask(iris, "GET", "/swagger.json" + (f"?version={version}" if version else "")).json()

    assert document.get("swagger", document.get("openapi")) == spelt
    schemas = document["definitions"] if spelt == "2.0" else document["components"]["schemas"]
    taken, given = schemas["ServiceInput"], schemas["ServiceOutput"]
    assert taken["properties"]["data"]["items"]["required"] == list(NAMES)
    jsonschema.validate(taken["example"], taken)
    answer = score(iris, taken["example"]).json()
    jsonschema.validate(answer, given)
    assert [row["label"] for row in answer["result"]] == [row["label"] for row in given["example"]["result"]]


def test_a_version_that_there_is_not_is_refused(iris: Serving) -> None:
    assert_error(ask(iris, "GET", "/swagger.json?version=1.2"), 400, "E-INPUT")


def test_openapi_has_the_examples_of_every_dialect(iris: Serving) -> None:
    paths = ask(iris, "GET", "/openapi.json").json()["paths"]

    for path, name in (("/score", "data"), ("/v1/models/{model}:predict", "instances")):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        jsonschema.validate(content["example"], content["schema"])
        assert ask(iris, "POST", path.replace("{model}", "iris"), json=content["example"]).status_code == 200
        assert list(content["example"]) == [name]
