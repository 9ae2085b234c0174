import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto

from runtime.app import create_app, create_serving, read_keys
from runtime.routes.serving import Serving
from runtime.settings import SettingInvalid, Settings
from tests.support.packages import identity_model, make_package
from tests.support.servers import infer_body
from tests.support.slow_model import slow_model

ERROR_KEYS = {"error", "message", "error_code", "detail", "request_id"}
INFER = "/v2/models/iris/infer"
BODY = infer_body([[1, 2, 3, 4]])


def served(*packages: Path, load: bool = True, **settings: Any) -> Serving:
    serving = create_serving(Settings(packages=packages, threads=1, **settings))
    if load:
        serving.repository.load()
    return serving


def over(serving: Serving, talk: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """What ``talk`` returns with a client of the application."""

    async def session() -> Any:
        transport = httpx.ASGITransport(create_app(serving), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://dray") as client:
            return await talk(client)

    return asyncio.run(session())


def ask(serving: Serving, method: str, path: str, **options: Any) -> httpx.Response:
    response: httpx.Response = over(serving, lambda client: client.request(method, path, **options))
    return response


def assert_error(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error_code"]) == (status, code)
    assert body.keys() >= ERROR_KEYS
    assert body["error"] == body["message"] != ""
    assert body["request_id"] == response.headers["x-request-id"]
    return body


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("app") / "iris").root


@pytest.fixture
def iris(package: Path) -> Serving:
    return served(package)


# --- the protocol


def test_inference_answers_as_the_model_does(iris: Serving) -> None:
    response = ask(iris, "POST", INFER, json={**BODY, "id": "q1"})
    assert response.status_code == 200
    answer = response.json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("iris", "1", "q1")
    expected = iris.repository.find("iris").run({"X": np.array([[1, 2, 3, 4]], "f4")})
    by_name = {tensor["name"]: tensor for tensor in answer["outputs"]}
    assert by_name["label"]["data"] == expected["label"].tolist()
    np.testing.assert_allclose(by_name["probabilities"]["data"], expected["probabilities"][0], rtol=1e-6)


def test_outputs_come_as_asked_for(iris: Serving) -> None:
    wanted = {**BODY, "outputs": [{"name": "probabilities"}]}
    response = ask(iris, "POST", "/v2/models/iris/versions/1/infer", json=wanted)
    assert [tensor["name"] for tensor in response.json()["outputs"]] == ["probabilities"]


def test_server_metadata(iris: Serving) -> None:
    body = ask(iris, "GET", "/v2").json()
    assert (body["name"], body["extensions"]) == (
        "dray",
        ["binary_tensor_data", "model_configuration", "model_repository", "statistics"],
    )


@pytest.mark.parametrize("path", ["/v2/models/iris", "/v2/models/iris/versions/1"])
def test_model_metadata_tells_inputs_outputs_and_origin(iris: Serving, path: str) -> None:
    body = ask(iris, "GET", path).json()
    assert (body["name"], body["versions"], body["platform"]) == ("iris", ["1"], "onnxruntime_onnx")
    assert body["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}]
    assert body["outputs"][1] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}
    parameters = body["parameters"]
    assert parameters["digest"] == iris.repository.find("iris").package.digest
    assert parameters["labels"] == {"probabilities": ["setosa", "versicolor", "virginica"]}
    assert parameters["providers"] == ["CPUExecutionProvider"]
    assert parameters["runtime"].keys() == {"dray", "onnxruntime"}


@pytest.mark.parametrize("path", ["/v2/models/iris/ready", "/v2/models/iris/versions/1/ready"])
def test_model_is_ready(iris: Serving, path: str) -> None:
    assert ask(iris, "GET", path).json() == {"name": "iris", "ready": True}


# --- probes


@pytest.mark.parametrize("path", ["/livez", "/v2/health/live"])
def test_live_whatever_the_models_do(package: Path, path: str) -> None:
    assert ask(served(package, load=False), "GET", path).json() == {"live": True}


def test_root_is_healthy_for_machines(iris: Serving) -> None:
    assert ask(iris, "GET", "/").text == "Healthy"
    assert ask(iris, "HEAD", "/").status_code == 200


@pytest.mark.parametrize("path", ["/readyz", "/v2/health/ready"])
def test_ready_lists_the_models(iris: Serving, path: str) -> None:
    response = ask(iris, "GET", path)
    assert response.status_code == 200
    assert response.json()["state"] == "ready"
    model = response.json()["models"][0]
    assert (model["name"], model["version"], model["state"]) == ("iris", "1", "ready")
    assert model["provider"] == "CPUExecutionProvider"


def test_starting_is_not_ready(package: Path) -> None:
    serving = served(package, load=False)
    response = ask(serving, "GET", "/readyz")
    assert assert_error(response, 503, "E-NOT-READY")["state"] == "starting"
    assert response.headers["retry-after"] == "1"
    assert_error(ask(serving, "POST", INFER, json=BODY), 503, "E-NOT-READY")


def test_failed_self_test_says_which_output_differs(tmp_path: Path) -> None:
    serving = served(make_package(tmp_path / "bad", wrong_answers=True).root)
    body = assert_error(ask(serving, "GET", "/readyz"), 503, "E-SELF-TEST")
    assert body["state"] == "failed"
    assert "output 'probabilities' at [0, " in body["models"][0]["reason"]
    refused = assert_error(ask(serving, "POST", INFER, json=BODY), 503, "E-NOT-READY")
    assert refused["detail"]["cause"] == "E-SELF-TEST"


def test_draining_is_not_ready_and_still_answers(iris: Serving) -> None:
    iris.draining = True
    assert assert_error(ask(iris, "GET", "/readyz"), 503, "E-DRAINING")["state"] == "draining"
    assert_error(ask(iris, "GET", "/v2/models/iris/ready"), 503, "E-DRAINING")
    response = ask(iris, "POST", INFER, json=BODY)
    assert response.status_code == 200
    assert response.headers["connection"] == "close"


# --- errors


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "E-NO-ROUTE"),
        ("GET", "/v2/", 404, "E-NO-ROUTE"),
        ("GET", "/redoc", 404, "E-NO-ROUTE"),
        ("PUT", "/livez", 405, "E-METHOD"),
        ("GET", INFER, 405, "E-METHOD"),
        ("GET", "/v2/models/churn", 404, "E-NO-MODEL"),
        ("GET", "/v2/models/iris/versions/2", 404, "E-NO-MODEL"),
        ("GET", "/v2/models/iris/versions/2/ready", 404, "E-NO-MODEL"),
        ("POST", INFER, 400, "E-INPUT"),
    ],
)
def test_every_refusal_is_the_error_object(iris: Serving, method: str, path: str, status: int, code: str) -> None:
    assert_error(ask(iris, method, path), status, code)


def test_refused_method_names_the_allowed_one(iris: Serving) -> None:
    assert ask(iris, "GET", INFER).headers["allow"] == "POST"


def test_wrong_input_names_tensor_expected_and_actual(iris: Serving) -> None:
    body = assert_error(ask(iris, "POST", INFER, json=infer_body([[1, 2]])), 400, "E-INPUT")
    assert body["error"] == "input 'X' needs the shape [batch, 4], got [1, 2]"
    assert body["detail"] == {"tensor": "X", "expected": "the shape [batch, 4]", "actual": "[1, 2]"}


def test_infinite_answer_is_an_error(tmp_path: Path) -> None:
    model = identity_model(TensorProto.FLOAT)
    serving = served(make_package(tmp_path / "same", model, name="same", inputs={"x": np.ones((5, 2), "f4")}).root)
    content = b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [Infinity, NaN]}]}'
    body = assert_error(ask(serving, "POST", "/v2/models/same/infer", content=content), 422, "E-NON-FINITE")
    assert "binary form" in body["detail"]["hint"]


def test_compression_that_is_not_read_here_is_refused(iris: Serving) -> None:
    headers = {"content-encoding": "br"}
    assert_error(ask(iris, "POST", INFER, content=b"x", headers=headers), 415, "E-ENCODING")


def test_unforeseen_failure_is_500_with_the_request_id(
    iris: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("runtime.routes.dialects.decode_request", lambda *_, **__: 1 / 0)
    body = assert_error(ask(iris, "POST", INFER, json=BODY, headers={"x-request-id": "r1"}), 500, "E-UNEXPECTED")
    assert "r1" in body["detail"]["hint"]
    assert "division" not in json.dumps(body)


# --- request ids and the log


def test_request_id_is_echoed(iris: Serving) -> None:
    assert ask(iris, "GET", "/livez", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb", "<script>"])
def test_request_id_that_could_do_harm_is_replaced(iris: Serving, given: str) -> None:
    made = ask(iris, "GET", "/livez", headers={"x-request-id": given}).headers["x-request-id"]
    assert len(made) == 32
    assert made.isalnum()


def test_requests_are_logged_with_status_and_id(iris: Serving, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "runtime.requests"):
        ask(iris, "POST", INFER, json=BODY, headers={"x-request-id": "r7"})
        ask(iris, "GET", "/readyz")
    lines = [vars(record)["fields"] for record in caplog.records if record.name == "runtime.requests"]
    assert [(line["path"], line["status"], line["request_id"]) for line in lines] == [(INFER, 200, "r7")]


# --- limits


def test_body_above_the_limit_is_refused_by_its_length(package: Path) -> None:
    serving = served(package, max_body_mib=1)
    body = assert_error(ask(serving, "POST", INFER, content=bytes(2 << 20)), 413, "E-TOO-LARGE")
    assert body["detail"]["limit_bytes"] == 1 << 20


def test_body_without_a_length_is_refused_at_the_limit(package: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(300_000)

    serving = served(package, max_body_mib=1)
    response = over(serving, lambda client: client.post(INFER, content=endless()))
    assert_error(response, 413, "E-TOO-LARGE")
    assert serving.queue.taken == 0


@pytest.fixture(scope="module")
def slow_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("app-slow") / "slow"
    return make_package(root, slow_model(), name="slow", inputs={"x": np.zeros((5, 2), "f4")}).root


ENDLESS = infer_body([[1e9, 0]], name="x")


def test_run_beyond_the_time_limit_is_stopped(slow_package: Path) -> None:
    serving = served(slow_package, request_timeout_s=0.2)
    response = ask(serving, "POST", "/v2/models/slow/infer", json=ENDLESS)
    assert "DRAY_REQUEST_TIMEOUT_S" in assert_error(response, 504, "E-TIMEOUT")["detail"]["hint"]


def test_body_that_does_not_arrive_is_given_up(package: Path) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30)

    serving = served(package, request_timeout_s=0.2)
    response = over(serving, lambda client: client.post(INFER, content=stuck()))
    assert_error(response, 408, "E-BODY-TIMEOUT")
    assert serving.queue.taken == 0


def test_full_queue_refuses_at_once_with_retry_after(slow_package: Path) -> None:
    serving = served(slow_package, max_queue=1, request_timeout_s=1.0)

    async def two_at_once(client: httpx.AsyncClient) -> httpx.Response:
        first = asyncio.create_task(client.post("/v2/models/slow/infer", json=ENDLESS))
        while not serving.queue.taken:
            await asyncio.sleep(0.01)
        second = await client.post("/v2/models/slow/infer", json=ENDLESS)
        assert (await client.get("/livez")).status_code == 200
        await first
        return second

    response = over(serving, two_at_once)
    assert_error(response, 503, "E-OVERLOADED")
    assert response.headers["retry-after"] == "1"


# --- API keys


@pytest.fixture
def guarded(package: Path, tmp_path: Path) -> Serving:
    (tmp_path / "keys").write_text("# rotated in May\nold-key\n\n  new-key \n")
    return served(package, api_keys_file=tmp_path / "keys")


@pytest.mark.parametrize("authorization", ["Bearer old-key", "bearer new-key"])
def test_either_key_opens(guarded: Serving, authorization: str) -> None:
    response = ask(guarded, "POST", INFER, json=BODY, headers={"authorization": authorization})
    assert response.status_code == 200


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer other", "Basic old-key", "old-key", "Bearer é"])
def test_without_a_key_nothing_opens(guarded: Serving, authorization: str) -> None:
    headers = {"authorization": authorization.encode()} if authorization else {}
    for path in (INFER, "/openapi.json", "/v2", "/nowhere"):
        response = ask(guarded, "POST", path, json=BODY, headers=headers)
        assert_error(response, 401, "E-UNAUTHORISED")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/"])
def test_probes_need_no_key(guarded: Serving, path: str) -> None:
    assert ask(guarded, "GET", path).status_code == 200


def test_keys_file_without_a_key_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# none yet\n\n")
    with pytest.raises(SettingInvalid) as caught:
        read_keys(tmp_path / "keys")
    assert caught.value.code == "E-SETTING"
    assert "holds no key" in caught.value.message
    assert "one key a line" in caught.value.hint


def test_line_that_is_no_key_is_named_by_number_only(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("fine\nsecret with spaces\n")
    with pytest.raises(SettingInvalid) as caught:
        read_keys(tmp_path / "keys")
    assert "line 2" in caught.value.message
    assert "secret" not in caught.value.message + caught.value.hint


# --- OpenAPI


def test_openapi_describes_this_model_with_its_samples(iris: Serving) -> None:
    document = ask(iris, "GET", "/openapi.json").json()
    operation = document["paths"]["/v2/models/{model}/infer"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/iris.1.Request"}
    assert operation["parameters"][0]["schema"] == {"type": "string", "enum": ["iris"]}
    example = content["examples"]["iris.1"]["value"]
    assert ask(iris, "POST", INFER, json=example).status_code == 200
    assert "http" not in json.dumps(document).replace("http_", "")


def test_answers_follow_their_own_schema(iris: Serving) -> None:
    import jsonschema

    document = ask(iris, "GET", "/openapi.json").json()
    for body, side in ((BODY, "Request"), (ask(iris, "POST", INFER, json=BODY).json(), "Response")):
        schema = {**document["components"]["schemas"][f"iris.1.{side}"], "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(body)
    error = ask(iris, "GET", "/nowhere").json()
    jsonschema.Draft202012Validator(document["components"]["schemas"]["Error"]).validate(error)


def test_openapi_works_before_anything_is_loaded(package: Path) -> None:
    assert ask(served(package, load=False), "GET", "/openapi.json").status_code == 200
