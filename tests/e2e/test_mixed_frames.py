"""A frame of texts, gaps, whole numbers and truths, from the training notebook to an HTTP client, by column name."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import packager
from tests.support.command import dray
from tests.support.servers import RunningServer, running_server

pytestmark = pytest.mark.e2e


def trained_on() -> pd.DataFrame:
    """Codes that begin with 0, "NA" as a region, gaps in numbers and in texts, whole numbers, truths."""
    rng = np.random.default_rng(4)
    count = 300
    income = rng.normal(40_000, 9_000, count)
    income[rng.random(count) < 0.1] = np.nan
    region = rng.choice(np.array(["EU", "NA", "APAC"], object), count)
    region[rng.random(count) < 0.05] = np.nan
    return pd.DataFrame(
        {
            "branch": rng.choice(["01234", "00001", "1e5", "7"], count),
            "region": region,
            "age": rng.integers(18, 80, count),
            "income": income,
            "member": rng.random(count) < 0.5,
        }
    )


@pytest.fixture(scope="module")
def model() -> Pipeline:
    frame = trained_on()
    texts = make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [
            ("texts", texts, ["branch", "region"]),
            ("numbers", numbers, ["income"]),
            ("rest", "passthrough", ["age", "member"]),
        ]
    )
    churned = np.where((frame["branch"] == "01234") ^ (frame["region"] == "NA") ^ frame["member"], "goes", "stays")
    return Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=5000))]).fit(frame, churned)


@pytest.fixture(scope="module")
def packages(model: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same model, packaged from the command line with CSV and with Parquet, and from Python with a frame."""
    folder = tmp_path_factory.mktemp("churn")
    joblib.dump(model, folder / "churn.joblib")
    rows = trained_on().head(120)
    rows.to_csv(folder / "rows.csv", index=False)
    rows.to_parquet(folder / "rows.parquet")
    made: dict[str, Path] = {}
    for suffix in ("csv", "parquet"):
        run = dray(
            "package",
            folder / "churn.joblib",
            "--samples",
            folder / f"rows.{suffix}",
            "--out",
            folder / suffix,
            "-o",
            "json",
        )
        assert run.status == 0, run.out
        made[suffix] = Path(run.document["package"])
    document = packager.package(model, samples=rows, name="churn", version="9", out=folder / "frame")
    return {**made, "frame": Path(document.package)}


@pytest.fixture(scope="module")
def server(packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(packages["csv"], log=tmp_path_factory.mktemp("log") / "server.log") as running:
        running.wait_for_state("ready")
        yield running


def asked() -> pd.DataFrame:
    """Rows of every kind: known and unknown texts, gaps, and what looks like something else."""
    return pd.DataFrame(
        {
            "branch": ["01234", "1234", "1e5", "100000", "00001", "7"],
            "region": ["NA", "EU", np.nan, "nowhere", "APAC", "NA"],
            "age": [40, 18, 79, 55, 33, 61],
            "income": [41_000.5, np.nan, 38_250.25, 0.1, np.nan, 1e5],
            "member": [True, False, False, True, True, False],
        }
    )


def expected(model: Pipeline, frame: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    return model.predict(frame).tolist(), model.predict_proba(frame)


def check(answer: httpx.Response, model: Pipeline, frame: pd.DataFrame) -> None:
    assert answer.status_code == 200, answer.text
    records = answer.json()["predictions"]
    labels, chances = expected(model, frame)
    assert [record["label"] for record in records] == labels
    np.testing.assert_allclose([record["probabilities"] for record in records], chances, atol=1e-5)


def without_nan(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(object).where(frame.notna(), None)


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_every_way_of_giving_samples_makes_the_same_model(kind: str, packages: dict[str, Path]) -> None:
    document = dray("inspect", packages[kind], "-o", "json").document

    specs = {spec["name"]: spec["dtype"] for spec in document["signature"]["inputs"]}
    assert (specs["branch"], specs["region"], specs["age"], specs["member"]) == ("BYTES", "BYTES", "INT64", "BOOL")
    assert document["certificate"]["parity"]["user_visible"]["outputs"]["label"]["labels_differing"] == 0
    assert document["onnx"]["sha256"] == dray("inspect", packages["csv"], "-o", "json").document["onnx"]["sha256"]


@pytest.mark.parametrize(
    "order", [["branch", "region", "age", "income", "member"], ["member", "income", "age", "region", "branch"]]
)
def test_split_and_records_answer_by_name(order: list[str], server: RunningServer, model: Pipeline) -> None:
    frame = asked()
    sent = without_nan(frame)[order]

    split = {"columns": order, "data": sent.to_numpy().tolist()}
    check(httpx.post(f"{server.url}/invocations", json={"dataframe_split": split}), model, frame)
    check(httpx.post(f"{server.url}/invocations", json={"dataframe_records": sent.to_dict("records")}), model, frame)


def test_csv_keeps_what_the_columns_are(server: RunningServer, model: Pipeline) -> None:
    frame = asked()
    text = io.StringIO()
    frame[["income", "member", "branch", "age", "region"]].to_csv(text, index=False)

    answer = httpx.post(f"{server.url}/invocations", content=text.getvalue(), headers={"content-type": "text/csv"})

    check(answer, model, frame)


def test_the_inference_protocol_takes_a_tensor_a_column(server: RunningServer, model: Pipeline) -> None:
    frame = asked().fillna({"region": ""})
    metadata = httpx.get(f"{server.url}/v2/models/churn").json()
    inputs = [
        {**spec, "shape": [len(frame), 1], "data": without_nan(frame)[spec["name"]].tolist()}
        | {"datatype": spec["datatype"]}
        for spec in metadata["inputs"]
    ]

    answer = httpx.post(f"{server.url}/v2/models/churn/infer", json={"inputs": inputs})

    outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    assert outputs["label"] == expected(model, asked())[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="region"), "region"),
        (lambda frame: frame.assign(age=["forty"] * len(frame)), "age"),
        (lambda frame: frame.assign(age=[40.5] * len(frame)), "age"),
        (lambda frame: frame.assign(member=["perhaps"] * len(frame)), "member"),
        (lambda frame: frame.assign(branch=[1234] * len(frame)), "branch"),
    ],
)
def test_what_does_not_fit_is_named(change: Any, words: str, server: RunningServer) -> None:
    sent = without_nan(change(asked()))

    answer = httpx.post(f"{server.url}/invocations", json={"dataframe_records": sent.to_dict("records")})

    assert answer.status_code == 400
    assert words in answer.json()["message"]


def test_a_column_too_many_is_left_aside_or_named(server: RunningServer, model: Pipeline) -> None:
    sent = without_nan(asked().assign(comment="none"))

    answer = httpx.post(f"{server.url}/invocations", json={"dataframe_records": sent.to_dict("records")})

    if answer.status_code == 200:
        check(answer, model, asked())
    else:
        assert "comment" in answer.json()["message"]
