"""``POST /invocations`` and its probes, in the application and over a real server."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto

from runtime.app import create_app, create_serving
from runtime.codec.mlflow import BodyForm, body_form
from runtime.errors import EncodingRefused
from runtime.routes.serving import Serving
from runtime.settings import Settings
from tests.support.packages import columns_model, identity_model, logistic_model, make_package
from tests.support.servers import running_server

FEATURES = ("sepal length", "sepal width", "petal length", "petal width")
TYPED: dict[str, tuple[int, list[Any]]] = {
    "zip": (TensorProto.STRING, ["01234", "NA", "", "x,\n\"y\"", "é"]),
    "age": (TensorProto.INT64, [1, -2, 2**53 + 1, 0, 5]),
    "fare": (TensorProto.DOUBLE, [0.1, None, 1e300, -0.0, 3.0]),
    "weight": (TensorProto.FLOAT, [0.25, None, 1.0, 2.0, 3.0]),
    "member": (TensorProto.BOOL, [True, False, True, False, True]),
}  # fmt: skip


def ask(serving: Serving, method: str, path: str, **options: Any) -> httpx.Response:
    import asyncio

    async def session() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(serving), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://dray") as client:
            return await client.request(method, path, **options)

    return asyncio.run(session())


def served(*packages: Path, load: bool = True, **settings: Any) -> Serving:
    serving = create_serving(Settings(packages=packages, threads=1, **settings))
    if load:
        serving.repository.load()
    return serving


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error_code"]) == (status, code), body
    assert body["request_id"] == response.headers["x-request-id"]
    return body


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that was trained on named columns."""
    return make_package(tmp_path_factory.mktemp("named") / "iris", columns={"X": FEATURES}).root


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One input a column, of five types, each given back."""
    numpy_types = {"zip": object, "age": "i8", "fare": "f8", "weight": "f4", "member": bool}
    inputs = {name: np.array(cells, numpy_types[name]).reshape(-1, 1) for name, (_, cells) in TYPED.items()}
    model = columns_model({name: dtype for name, (dtype, _) in TYPED.items()})
    return make_package(tmp_path_factory.mktemp("typed") / "typed", model, name="typed", inputs=inputs).root


@pytest.fixture
def serving(iris: Path) -> Serving:
    return served(iris)


def table(names: tuple[str, ...] = FEATURES) -> dict[str, Any]:
    return {"dataframe_split": {"columns": names, "data": [[1, 2, 3, 4], [4, 3, 2, 1]]}}


def text_of(columns: dict[str, list[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([columns.keys(), *zip(*columns.values(), strict=True)])  # None is an empty cell
    return text.getvalue()


# --- answers


def test_columns_are_found_by_name_and_every_output_is_answered(serving: Serving) -> None:
    straight = ask(serving, "POST", "/invocations", json=table()).json()["predictions"]
    turned = ask(serving, "POST", "/invocations", json=table(FEATURES[::-1])).json()["predictions"]
    expected = serving.repository.find("iris").run({"X": np.array([[1, 2, 3, 4], [4, 3, 2, 1]], "f4")})
    assert [row["label"] for row in straight] == expected["label"].tolist()
    np.testing.assert_allclose([row["probabilities"] for row in straight], expected["probabilities"], rtol=1e-6)
    assert turned == straight[::-1]


def test_csv_answers_as_json_does(serving: Serving) -> None:
    text = ",".join(("id", *FEATURES)) + "\n7,1,2,3,4\n8,4,3,2,1\n"
    response = ask(serving, "POST", "/invocations", content=text, headers={"content-type": "text/csv; charset=utf-8"})
    assert response.json() == ask(serving, "POST", "/invocations", json=table()).json()
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")


def test_typed_columns_come_back_as_they_went_in_through_a_real_server(typed: Path, tmp_path: Path) -> None:
    columns = {name: cells for name, (_, cells) in TYPED.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    expected = [{f"out_{name}": [cell] for name, cell in row.items()} for row in rows]
    split = {"columns": list(columns), "data": [list(row.values()) for row in rows]}
    csv_type = {"content-type": "text/csv"}
    with running_server(typed, log=tmp_path / "log") as server:
        url = f"{server.url}/invocations"
        answers = [
            httpx.post(url, content=text_of(columns).encode(), headers=csv_type).json(),
            httpx.post(url, json={"dataframe_records": rows}).json(),
            httpx.post(url, json={"dataframe_split": split}).json(),
            httpx.post(url, json={"inputs": columns}).json(),
        ]
        assert httpx.get(f"{server.url}/ping").content == b"\n"
    assert answers == [{"predictions": expected}] * 4


def test_infinite_answer_is_an_error(tmp_path: Path) -> None:
    model = identity_model(TensorProto.FLOAT)
    serving = served(make_package(tmp_path / "same", model, name="same", inputs={"x": np.ones((5, 2), "f4")}).root)
    response = ask(serving, "POST", "/invocations", content="inf,1\n", headers={"content-type": "text/csv"})
    assert "binary form" in refused(response, 422, "E-NON-FINITE")["detail"]["hint"]


# --- refusals


def test_wrong_cell_names_line_and_column(typed: Path) -> None:
    columns = {name: cells[:2] for name, (_, cells) in TYPED.items()}
    text = text_of({**columns, "age": [1, 1.5]})
    response = ask(served(typed), "POST", "/invocations", content=text, headers={"content-type": "text/csv"})
    body = refused(response, 400, "E-INPUT")
    assert body["error"] == "column 'age' needs whole numbers (INT64), got '1.5' in line 3"
    assert body["detail"].items() >= {"column": "age", "row": 1, "line": 3, "tensor": "age"}.items()


def test_missing_column_is_named(serving: Serving) -> None:
    body = refused(ask(serving, "POST", "/invocations", json=table(("a", *FEATURES[1:]))), 400, "E-INPUT")
    assert body["error"].startswith("column 'sepal length' is missing; the frame has 'a', 'sepal width'")


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        (None, BodyForm(csv=False)),
        ("application/json; charset=UTF-8", BodyForm(csv=False)),
        ("Text/CSV", BodyForm(csv=True)),
        ('text/csv; charset="utf-8"; header=Absent', BodyForm(csv=True, header="absent")),
    ],
)
def test_content_types_that_are_read(content_type: str | None, form: BodyForm) -> None:
    assert body_form(content_type) == form


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "text/csv; charset=latin-1", "application/json; format=pandas-split",
     "text/csv; header=maybe", "application/json; header=present", ""][:5],
)  # fmt: skip
def test_content_types_that_are_not_read_have_a_cure(serving: Serving, content_type: str) -> None:
    with pytest.raises(EncodingRefused, match="is not read here") as caught:
        body_form(content_type)
    assert "'Content-Type: text/csv'" in caught.value.hint
    response = ask(serving, "POST", "/invocations", content="x", headers={"content-type": content_type})
    refused(response, 415, "E-ENCODING")


def test_path_without_a_name_cannot_mean_one_of_several_models(iris: Path, typed: Path) -> None:
    body = refused(ask(served(iris, typed), "POST", "/invocations", json=table()), 404, "E-NO-MODEL")
    assert body["error"] == "this path names no model, and several are served: iris, typed"
    assert "/v2/models/NAME/infer" in body["detail"]["hint"]


def test_highest_version_answers(tmp_path: Path, iris: Path) -> None:
    newer = make_package(tmp_path / "newer", logistic_model(5), version="10").root
    response = ask(served(iris, newer), "POST", "/invocations", json={"instances": [[1, 2, 3, 4, 5]]})
    assert response.status_code == 200


def test_model_that_is_not_ready_is_said_to_be_so(iris: Path) -> None:
    serving = served(iris, load=False)
    refused(ask(serving, "POST", "/invocations", json=table()), 503, "E-NOT-READY")
    assert refused(ask(serving, "GET", "/ping"), 503, "E-NOT-READY")["error"].startswith("the server is starting")


# --- limits, shared with the other dialects


def test_limits_hold_here_too(iris: Path) -> None:
    small = served(iris, max_body_mib=1)
    refused(ask(small, "POST", "/invocations", content=bytes(2 << 20)), 413, "E-TOO-LARGE")
    full = served(iris, max_queue=1)
    with full.queue.enter():
        response = ask(full, "POST", "/invocations", json=table())
    refused(response, 503, "E-OVERLOADED")
    assert response.headers["retry-after"] == "1"
    assert full.queue.taken == 0


def test_keys_guard_everything_but_the_probes(iris: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("secret\n")
    serving = served(iris, api_keys_file=tmp_path / "keys")
    refused(ask(serving, "POST", "/invocations", json=table()), 401, "E-UNAUTHORISED")
    refused(ask(serving, "GET", "/version"), 401, "E-UNAUTHORISED")
    assert [ask(serving, "GET", path).status_code for path in ("/ping", "/health")] == [200, 200]


# --- probes and description


def test_probes_answer_as_those_of_mlflow(serving: Serving) -> None:
    for path in ("/ping", "/health"):
        response = ask(serving, "GET", path)
        assert (response.status_code, response.content) == (200, b"\n")
    assert ask(serving, "GET", "/version").text == ask(serving, "GET", "/v2").json()["version"]


@pytest.mark.parametrize("which", ["iris", "typed"])
def test_examples_of_the_description_are_answered(request: pytest.FixtureRequest, which: str) -> None:
    import jsonschema

    serving = served(request.getfixturevalue(which))
    document = ask(serving, "GET", "/openapi.json").json()
    operation = document["paths"]["/invocations"]["post"]
    content = operation["requestBody"]["content"]
    schema = content["application/json"]["schema"]
    answers = operation["responses"]["200"]["content"]["application/json"]["schema"]
    text = content["text/csv"]["example"].encode()
    first = ask(serving, "POST", "/invocations", content=text, headers={"content-type": "text/csv"}).json()
    assert set(content["application/json"]["examples"]) == {"dataframe_split", "dataframe_records"}
    for example in content["application/json"]["examples"].values():
        jsonschema.Draft202012Validator(schema).validate(example["value"])
        answer = ask(serving, "POST", "/invocations", json=example["value"]).json()
        jsonschema.Draft202012Validator(answers).validate(answer)
        assert answer == first


def test_model_that_takes_no_table_is_described_without_one(tmp_path: Path) -> None:
    model = identity_model(TensorProto.FLOAT, ("batch", 2, 2))
    serving = served(make_package(tmp_path / "t", model, name="t", inputs={"x": np.ones((5, 2, 2), "f4")}).root)
    document = ask(serving, "GET", "/openapi.json").json()
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert content.keys() == {"application/json"}
    assert "dataframe_split" not in json.dumps(content)
