"""Triton's own client, unmodified, against the real server; and the extensions that it asks for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as tritonclient
from onnx import TensorProto

from runtime.contract.dtypes import DTYPES, Datatype
from runtime.routes.serving import Serving
from tests.runtime.test_app import ask, assert_error, served
from tests.support.packages import columns_model, identity_model, make_package
from tests.support.servers import RunningServer, running_server

ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 4.0, 1.2]], "f4")
VALUES = {
    "BYTES": np.array([["a", ""], ["né", "12"]], object),
    "BOOL": np.array([[True, False], [False, True]]),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("triton")
    packages = [make_package(folder / "iris").root]
    for name in DTYPES:
        model = identity_model(DTYPES[name].onnx)
        packages.append(make_package(folder / name, model, name=name, inputs={"x": values_of(name)}).root)
    with running_server(*packages, log=folder / "log") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with tritonclient.InferenceServerClient(server.url.removeprefix("http://")) as made:
        yield made


def values_of(name: Datatype) -> np.ndarray:
    if name in VALUES:
        return VALUES[name]
    return np.array([[0, 1], [2, 3]], DTYPES[name].numpy)


def tensor(name: str, values: np.ndarray, dtype: str, **options: Any) -> Any:
    made = tritonclient.InferInput(name, list(values.shape), dtype)
    made.set_data_from_numpy(values, **options)
    return made


@pytest.mark.parametrize(
    ("name", "binary"),
    # Triton's client writes no FP16 as JSON.
    [(name, binary) for name in DTYPES for binary in (True, False) if binary or name != "FP16"],
)
def test_every_type_goes_there_and_back(client: Any, name: Datatype, binary: bool) -> None:
    values = values_of(name)
    outputs = [tritonclient.InferRequestedOutput("y", binary_data=binary)]

    result = client.infer(name, [tensor("x", values, name, binary_data=binary)], outputs=outputs, request_id="q")

    assert result.get_response()["id"] == "q"
    found = result.as_numpy("y")
    texts = [item.decode() if isinstance(item, bytes) else item for item in found.ravel().tolist()]
    assert (texts if name == "BYTES" else found.ravel().tolist()) == values.ravel().tolist()


@pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
def test_the_clients_defaults_work_compressed_or_not(client: Any, server: RunningServer, algorithm: str | None) -> None:
    result = client.infer("iris", [tensor("X", ROWS, "FP32")], request_compression_algorithm=algorithm)

    assert result.as_numpy("label").shape == (2,)
    np.testing.assert_allclose(result.as_numpy("probabilities").sum(axis=1), 1, rtol=1e-5)


def test_the_client_asks_for_metadata_configuration_and_health(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("iris", "1")
    assert client.get_server_metadata()["name"] == "dray"
    assert client.get_model_metadata("iris")["inputs"][0]["shape"] == [-1, 4]
    config = client.get_model_config("iris")
    assert config["input"] == [{"name": "X", "data_type": "TYPE_FP32", "dims": [-1, 4]}]
    assert client.get_model_config("BYTES", "1")["input"][0]["data_type"] == "TYPE_STRING"


def test_the_index_lists_every_model(client: Any) -> None:
    index = client.get_model_repository_index()
    assert {"name": "iris", "version": "1", "state": "READY", "reason": ""} in index
    assert len(index) == 1 + len(DTYPES)


def test_errors_come_as_the_client_expects_them(client: Any) -> None:
    with pytest.raises(tritonclient.InferenceServerException, match="needs the shape"):
        client.infer("iris", [tensor("X", ROWS[:, :2].copy(), "FP32")])
    with pytest.raises(tritonclient.InferenceServerException, match="no model 'other'"):
        client.get_model_metadata("other")


# --- statistics


@pytest.fixture
def iris(tmp_path: Path) -> Serving:
    return served(make_package(tmp_path / "iris").root)


def infer(serving: Serving, rows: int) -> None:
    body = {"name": "X", "shape": [rows, 4], "datatype": "FP32", "data": [0.5] * rows * 4}
    assert ask(serving, "POST", "/v2/models/iris/infer", json={"inputs": [body]}).status_code == 200


def test_statistics_count_requests_and_not_the_self_test(iris: Serving) -> None:
    stats = ask(iris, "GET", "/v2/models/iris/stats").json()["model_stats"][0]
    assert (stats["inference_count"], stats["execution_count"], stats["last_inference"]) == (0, 0, 0)

    for rows in (1, 3, 3, 100):
        infer(iris, rows)

    stats = ask(iris, "GET", "/v2/models/stats").json()["model_stats"][0]
    assert (stats["name"], stats["inference_count"], stats["execution_count"]) == ("iris", 107, 4)
    assert stats["inference_stats"]["success"]["count"] == 4
    assert stats["inference_stats"]["success"]["ns"] > 0
    assert [(batch["batch_size"], batch["compute_infer"]["count"]) for batch in stats["batch_stats"]] == [
        (1, 1), (3, 2), (128, 1)
    ]  # fmt: skip
    assert stats["last_inference"] > 1_700_000_000_000


def test_statistics_count_what_the_model_refused(tmp_path: Path) -> None:
    model = columns_model({"a": TensorProto.FLOAT})
    model.graph.node[0].op_type = "Reshape"
    del model.graph.node[0].input[:]
    model.graph.node[0].input.extend(["a", "shape"])
    model.graph.initializer.append(_shape([1, 1]))
    model.graph.output[0].type.tensor_type.shape.dim[0].ClearField("dim_param")
    package = make_package(tmp_path / "p", model, inputs={"a": np.ones((1, 1), "f4")})
    serving = served(package.root)
    body = {"name": "a", "shape": [2, 1], "datatype": "FP32", "data": [1, 2]}

    assert_error(ask(serving, "POST", "/v2/models/iris/infer", json={"inputs": [body]}), 422, "E-MODEL-REFUSED")

    stats = ask(serving, "GET", "/v2/models/iris/versions/1/stats").json()["model_stats"][0]
    assert (stats["inference_stats"]["fail"]["count"], stats["inference_count"]) == (1, 0)


def _shape(sizes: list[int]) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(sizes, np.int64), "shape")


@pytest.mark.parametrize(
    "path", ["/v2/models/other/stats", "/v2/models/other/config", "/v2/models/iris/versions/9/stats"]
)
def test_an_unknown_model_is_404(iris: Serving, path: str) -> None:
    assert_error(ask(iris, "GET", path), 404, "E-NO-MODEL")


@pytest.mark.parametrize(("body", "count"), [(b"", 2), (b"{}", 2), (b'{"ready": true}', 1), (b'{"ready": false}', 2)])
def test_the_index_may_be_of_ready_models_only(body: bytes, count: int, tmp_path: Path) -> None:
    good = make_package(tmp_path / "good").root
    bad = make_package(tmp_path / "bad", name="bad", wrong_answers=True).root

    index = ask(served(good, bad), "POST", "/v2/repository/index", content=body).json()

    assert len(index) == count
    if count == 2:
        assert index[1]["state"] == "UNAVAILABLE"
        assert "self-test" in index[1]["reason"]


def test_an_index_asked_for_with_something_else_is_refused(iris: Serving) -> None:
    assert_error(ask(iris, "POST", "/v2/repository/index", content=b"[1]"), 400, "E-INPUT")
