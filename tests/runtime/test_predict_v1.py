import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from runtime.routes.serving import Serving
from tests.runtime.test_app import ask, assert_error, served
from tests.support.packages import columns_model, identity_model, make_package

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 4.0, 1.2]]


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    return served(make_package(tmp_path_factory.mktemp("v1") / "iris").root)


def expected(serving: Serving, rows: Any = ROWS) -> dict[str, Any]:
    return serving.repository.find("iris").run({"X": np.array(rows, "f4")})


@pytest.mark.parametrize("path", ["/v1/models/iris:predict", "/v1/models/iris/versions/1:predict"])
def test_rows_go_in_and_records_come_out(iris: Serving, path: str) -> None:
    answer = ask(iris, "POST", path, json={"instances": ROWS}).json()

    assert list(answer) == ["predictions"]
    outputs = expected(iris)
    assert [row["label"] for row in answer["predictions"]] == outputs["label"].tolist()
    np.testing.assert_allclose([row["probabilities"] for row in answer["predictions"]], outputs["probabilities"], 1e-6)


def test_inputs_come_out_as_outputs_and_as_predictions(iris: Serving) -> None:
    answer = ask(iris, "POST", "/v1/models/iris:predict", json={"inputs": {"X": ROWS}}).json()

    outputs = expected(iris)
    assert answer["outputs"]["label"] == outputs["label"].tolist()
    np.testing.assert_allclose(answer["outputs"]["probabilities"], outputs["probabilities"], 1e-6)
    assert [row["label"] for row in answer["predictions"]] == outputs["label"].tolist()


def test_the_only_input_needs_no_name_and_the_only_output_has_none(tmp_path: Path) -> None:
    model = identity_model(TensorProto.FLOAT)
    serving = served(make_package(tmp_path / "p", model, name="same", inputs={"x": np.ones((5, 2), "f4")}).root)

    answer = ask(serving, "POST", "/v1/models/same:predict", json={"inputs": [[1, 2]]}).json()

    assert answer == {"outputs": [[1.0, 2.0]], "predictions": [[1.0, 2.0]]}


def test_base64_stands_for_text(tmp_path: Path) -> None:
    inputs = {"a": np.array([["x"]] * 5, object), "b": np.ones((5, 1), np.int64)}
    model = columns_model({"a": TensorProto.STRING, "b": TensorProto.INT64})
    serving = served(make_package(tmp_path / "p", model, name="texts", inputs=inputs).root)
    encoded = {"b64": base64.b64encode("né".encode()).decode()}

    answer = ask(serving, "POST", "/v1/models/texts:predict", json={"instances": [{"a": encoded, "b": 3}]}).json()

    assert answer["predictions"] == [{"out_a": ["né"], "out_b": [3]}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "either 'instances' or 'inputs', got an object of 0"),
        ({"instances": ROWS, "inputs": ROWS}, "got both"),
        ([], "got an array of 0"),
        ({"instances": ROWS, "signature_name": "other"}, "there is no signature 'other'"),
        ({"instances": [{"b64": "%%%"}]}, "is not base64"),
        ({"instances": [{"b64": "/w=="}]}, "is not base64 of a text in UTF-8"),
        ({"instances": [{"b64": 3}]}, "is not base64"),
        ({"instances": [[1, 2]]}, "needs the shape"),
    ],
)
def test_what_is_no_request_is_refused(iris: Serving, body: Any, message: str) -> None:
    error = assert_error(ask(iris, "POST", "/v1/models/iris:predict", json=body), 400, "E-INPUT")
    assert message in error["message"]


def test_the_default_signature_may_be_named(iris: Serving) -> None:
    body = {"instances": ROWS, "signature_name": "serving_default"}
    assert ask(iris, "POST", "/v1/models/iris:predict", json=body).status_code == 200


def test_deep_nesting_is_refused(iris: Serving) -> None:
    body = b'{"instances": ' + b"[" * 900 + b'{"b64": "eA=="}' + b"]" * 900 + b"}"
    assert_error(ask(iris, "POST", "/v1/models/iris:predict", content=body), 400, "E-INPUT")


def test_models_and_their_state_are_told(iris: Serving) -> None:
    assert ask(iris, "GET", "/v1/models").json() == {"models": ["iris"]}
    status = ask(iris, "GET", "/v1/models/iris").json()
    assert (status["name"], status["ready"]) == ("iris", True)
    assert status["model_version_status"] == [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
    assert ask(iris, "GET", "/v1/models/iris/versions/1").json() == status


def test_a_model_that_failed_is_told_as_such(tmp_path: Path) -> None:
    serving = served(make_package(tmp_path / "wrong", wrong_answers=True).root)

    status = ask(serving, "GET", "/v1/models/iris").json()

    assert status["ready"] is False
    assert status["model_version_status"][0]["state"] == "END"
    assert "self-test" in status["model_version_status"][0]["status"]["error_message"]


@pytest.mark.parametrize("path", ["/v1/models/other", "/v1/models/iris/versions/2", "/v1/models/other/metadata"])
def test_an_unknown_model_is_404(iris: Serving, path: str) -> None:
    assert_error(ask(iris, "GET", path), 404, "E-NO-MODEL")


def test_metadata_has_the_signature_in_tensorflows_words(iris: Serving) -> None:
    document = ask(iris, "GET", "/v1/models/iris/metadata").json()

    assert document["model_spec"] == {"name": "iris", "signature_name": "", "version": "1"}
    definition = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert definition["inputs"]["X"]["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in definition["inputs"]["X"]["tensor_shape"]["dim"]] == ["-1", "4"]
    assert json.dumps(definition["outputs"]["label"]).count("DT_INT64") == 1
