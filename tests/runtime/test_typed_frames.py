"""A pipeline over a mixed pandas frame answers over HTTP as ``predict`` does, in every form of the frame."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.support.packages import make_package
from tests.support.servers import running_server

TYPES = {"zip": StringTensorType, "answer": StringTensorType, "age": Int64TensorType, "fare": FloatTensorType}
CSV = {"content-type": "text/csv"}


def mixed_frame(rows: int = 60) -> pd.DataFrame:
    """Texts that look like numbers and like missing values, missing numbers, and integers."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "zip": rng.choice(["01234", "1234", "00501"], rows),
            "answer": rng.choice(["NA", "yes", ""], rows),
            "age": rng.integers(18, 80, rows),
            "fare": rng.normal(30, 9, rows).astype("f4"),
        }
    )
    frame.loc[::7, "fare"] = np.nan
    return frame


def fitted(frame: pd.DataFrame) -> Pipeline:
    target = np.where((frame["zip"] == "01234") | (frame["answer"] == "NA"), "stays", "goes")
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["zip", "answer"]),
            ("fare", numbers, ["fare"]),
            ("age", StandardScaler(), ["age"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression()).fit(frame, target)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return mixed_frame()


@pytest.fixture(scope="module")
def pipeline(frame: pd.DataFrame) -> Pipeline:
    return fitted(frame)


@pytest.fixture(scope="module")
def package(frame: pd.DataFrame, pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kinds = [(name, kind([None, 1])) for name, kind in TYPES.items()]
    model = to_onnx(pipeline, initial_types=kinds, options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    inputs = {name: frame[[name]].to_numpy() for name in TYPES}
    return make_package(tmp_path_factory.mktemp("mixed") / "mixed", model, name="mixed", inputs=inputs).root


def bodies(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The frame as pandas itself writes it."""
    text = io.StringIO()
    frame.to_csv(text)  # with its index, a column that the model does not know
    records = json.loads(frame.to_json(orient="records"))
    with_nan = json.dumps({"dataframe_split": frame.to_dict(orient="split")})  # the literal NaN
    return [
        {"content": text.getvalue().encode(), "headers": CSV},
        {"json": {"dataframe_records": records}},
        {"content": with_nan},
    ]


def test_every_form_answers_as_predict_does(
    frame: pd.DataFrame, pipeline: Pipeline, package: Path, tmp_path: Path
) -> None:
    turned = frame[["fare", "zip", "age", "answer"]]
    with running_server(package, log=tmp_path / "log") as server:
        answers = [httpx.post(f"{server.url}/invocations", **body).json()["predictions"] for body in bodies(turned)]

    assert answers[0] == answers[1] == answers[2]
    assert [row["label"] for row in answers[0]] == pipeline.predict(frame).tolist()
    scores = [row["probabilities"] for row in answers[0]]
    np.testing.assert_allclose(scores, pipeline.predict_proba(frame), rtol=1e-4, atol=1e-5)
