"""A CNTK model from its file to an endpoint, on a machine that has no CNTK."""

import importlib.util
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.cntk_files import FIXTURES
from tests.support.command import dray

pytestmark = pytest.mark.e2e
MODEL = FIXTURES / "lstm_last" / "model.model"


def test_there_is_no_cntk_here() -> None:
    assert importlib.util.find_spec("cntk") is None


def test_without_answers_deploying_needs_a_word_and_the_endpoint_answers_as_cntk_did(tmp_path: Path) -> None:
    package = dray("package", MODEL, "-o", "json", "--name", "digits", cwd=tmp_path).document["package"]

    refused = dray("deploy", package, "-t", "local", "-o", "json", cwd=tmp_path)
    assert refused.status != 0
    assert "--accept-unverified" in refused.document["error"]["hint"]

    run = dray("deploy", package, "-t", "local", "--accept-unverified", "-o", "json", cwd=tmp_path)
    assert run.status == 0, run.err
    rows, expected = (
        np.load(FIXTURES / "lstm_last" / "inputs.npz")["x"],
        np.load(FIXTURES / "lstm_last" / "expected.npz"),
    )
    tensor = {"name": "rows", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
    endpoint = f"{run.document['endpoint']}/v2/models/digits/infer"
    answer = httpx.post(endpoint, json={"inputs": [tensor]}, trust_env=False).json()["outputs"][0]
    assert answer["name"] == "prob"
    np.testing.assert_allclose(np.reshape(answer["data"], answer["shape"]), expected["y"], atol=1e-5)


def test_expected_answers_prove_the_package(tmp_path: Path) -> None:
    folder = FIXTURES / "cnn_residual"
    np.savez(tmp_path / "expected.npz", prob=np.load(folder / "expected.npz")["y"])
    run = dray(
        "package", folder / "model.model", "--samples", folder / "inputs.npz", "--expected", tmp_path / "expected.npz",
        "-o", "json", cwd=tmp_path,
    )  # fmt: skip
    assert run.status == 0, run.err
    assert run.document["parity"]["samples"] == 32

    np.savez(tmp_path / "expected.npz", prob=np.load(folder / "expected.npz")["y"] + 0.01)
    other = dray(
        "package", folder / "model.model", "--samples", folder / "inputs.npz", "--expected", tmp_path / "expected.npz",
        "-o", "json", cwd=tmp_path,
    )  # fmt: skip
    assert other.status == 3
    assert other.document["error"]["code"] == "E-PARITY"
