import json
import os
import signal
import subprocess
import time
from pathlib import Path

import httpx
import joblib
import numpy as np
import psutil
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.support.command import DRAY, dray
from tests.support.packages import make_package

pytestmark = pytest.mark.e2e


def answers(endpoint: str, name: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    tensor = {"name": "X", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
    response = httpx.post(f"{endpoint}/v2/models/{name}/infer", json={"inputs": [tensor]}, trust_env=False)
    response.raise_for_status()
    return {out["name"]: np.reshape(out["data"], out["shape"]) for out in response.json()["outputs"]}


def test_ship_ends_with_one_document_and_the_models_own_answers(model: Path, samples: Path, pipeline: Pipeline) -> None:
    run = dray("ship", model, "-t", "local", "--samples", samples, "-o", "json", cwd=model.parent)

    assert run.status == 0, run.err
    document = run.document
    assert document.keys() >= {"name", "target", "state", "endpoint", "package", "image", "smoke"}
    assert (document["name"], document["target"], document["state"]) == ("tumour", "local", "running")
    assert document["smoke"]["passed"]
    assert Path(document["package"]).is_absolute()
    rows = load_breast_cancer().data[:5]
    served = answers(document["endpoint"], "tumour", rows)
    np.testing.assert_array_equal(served["label"], pipeline.predict(rows))
    np.testing.assert_allclose(served["probabilities"], pipeline.predict_proba(rows), atol=1e-5, rtol=1e-4)


def test_package_prints_its_path_and_the_certificate_beside_it(model: Path, samples: Path) -> None:
    run = dray("package", model, "--samples", samples, cwd=model.parent)

    assert run.status == 0, run.err
    assert run.out == f"{model.parent / 'tumour-1'}\n"
    assert "certificate of tumour 1" in run.err
    assert "80 (given by the user)" in run.err


def test_the_package_document_keeps_its_promises(model: Path) -> None:
    document = dray("package", model, "-o", "json", cwd=model.parent).document

    assert document.keys() >= {"package", "name", "version", "digest", "parity", "batch_safety"}
    assert document["parity"]["synthetic"] is True
    assert document["batch_safety"]["batchable"] is True
    assert document["parity"]["batch_sizes"] == [1, 3, 64]


def test_the_same_model_gives_the_same_digest_twice(model: Path) -> None:
    first, second = (
        dray("package", model, "-o", "json", "--version", "1", "--out", model.parent / out).document for out in "ab"
    )

    assert first["digest"] == second["digest"]


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x80\x05\x95", b"\x1f\x8b\x08\x00\x00"])
def test_a_broken_file_is_exit_3_with_a_code_and_a_hint(tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "broken.joblib"
    broken.write_bytes(content)

    run = dray("package", broken, "-o", "json", cwd=tmp_path)

    assert run.status == 3
    assert run.document["error"]["code"] == "E-MODEL-INVALID"
    assert run.document["error"]["hint"]
    assert list(tmp_path.iterdir()) == [broken]


def test_a_model_that_was_not_fitted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blank.joblib"
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression()), path)

    run = dray("package", path, "-o", "json", cwd=tmp_path)

    assert (run.status, run.document["error"]["code"]) == (3, "E-MODEL-INVALID")
    assert "fit" in run.document["error"]["message"] + run.document["error"]["hint"]


def test_samples_of_the_wrong_width_are_refused_and_nothing_is_written(model: Path) -> None:
    rows = model.parent / "narrow.npy"
    np.save(rows, np.zeros((4, 7)))

    run = dray("package", model, "--samples", rows, "-o", "json", cwd=model.parent)

    assert (run.status, run.document["error"]["code"]) == (3, "E-SAMPLES")
    assert "30" in run.document["error"]["message"]
    assert not (model.parent / "tumour-1").exists()


@pytest.mark.parametrize("file", ["model.onnx", "manifest.json", "certificate.json", "test_data_set_0/output_0.pb"])
def test_one_flipped_byte_is_refused_by_inspect_and_serve_and_deploy(tmp_path: Path, file: str) -> None:
    package = make_package(tmp_path / "package").root
    content = bytearray((package / file).read_bytes())
    content[len(content) // 2] ^= 1
    (package / file).write_bytes(content)

    for command in (["inspect"], ["serve"], ["deploy", "-t", "local"]):
        run = dray(command[0], package, *command[1:], "-o", "json")
        assert run.status == 3, run.out + run.err
        assert run.document["error"]["code"] in {"E-PACKAGE-DIGEST", "E-PACKAGE-INVALID"}


def test_an_update_keeps_the_url_and_a_rollback_brings_the_first_back(model: Path) -> None:
    first = dray("ship", model, "-t", "local", "-o", "json", cwd=model.parent).document
    features, classes = load_breast_cancer(return_X_y=True)
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(features, classes), model)
    second = dray("ship", model, "-t", "local", "-o", "json", cwd=model.parent).document
    back = dray("rollback", "tumour", "-o", "json").document

    assert first["endpoint"] == second["endpoint"] == back["endpoint"]
    assert first["digest"] != second["digest"]
    assert back["digest"] == first["digest"]
    assert (first["version"], second["version"]) == ("1", "2")


def test_deploying_what_runs_already_changes_nothing(model: Path) -> None:
    shipped = dray("ship", model, "-t", "local", "-o", "json", cwd=model.parent).document

    plan = dray("plan", shipped["package"], "-t", "local", "--exit-code", "-o", "json")
    again = dray("deploy", shipped["package"], "-t", "local", "-o", "json").document

    assert plan.status == 0
    assert plan.document["changes_anything"] is False
    assert again["detail"].get("pid") == shipped["detail"].get("pid")


def test_plan_of_a_model_changes_nothing_and_says_so_twice_alike(model: Path, state_folder: Path) -> None:
    first = dray("plan", model, "-t", "local", "--exit-code", "-o", "json", cwd=model.parent)
    second = dray("plan", model, "-t", "local", "-o", "json", cwd=model.parent)

    assert first.status == 10, first.err
    assert first.out == second.out
    assert {action["verb"] for action in first.document["actions"]} == {"create"}
    assert sorted(path.name for path in model.parent.iterdir()) == ["tumour.joblib"]
    assert dray("status", "-o", "json").document == []
    assert dray("package", model, "-o", "json", cwd=model.parent).document["version"] == "1"


def test_a_notebook_ships_a_fitted_object(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from packager import ship

    monkeypatch.chdir(tmp_path)
    rows = load_breast_cancer().data[:20]

    shipped = ship(pipeline, name="notebook", samples=rows)

    assert shipped.smoke.passed
    assert shipped.endpoint is not None
    np.testing.assert_array_equal(answers(shipped.endpoint, "notebook", rows)["label"], pipeline.predict(rows))


def test_a_team_ships_what_dray_yaml_says(model: Path, samples: Path) -> None:
    (model.parent / "dray.yaml").write_text(
        "name: churn\nmodel: tumour.joblib\nsamples: rows.csv\n"
        "targets: {staging: {target: local, log_level: warning}}\n"
    )

    document = dray("ship", "-t", "staging", "-o", "json", cwd=model.parent).document

    assert (document["name"], document["target"]) == ("churn", "local")
    assert json.loads(dray("status", "churn", "-o", "json").out)[0]["state"] == "running"


def test_ctrl_c_ends_with_130_and_leaves_nothing(model: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [str(DRAY), "package", str(model), "-o", "json"],
        cwd=model.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    children = wait_for_children(process.pid)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)

    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "E-INTERRUPTED"
    assert sorted(path.name for path in model.parent.iterdir()) == ["tumour.joblib"]
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def wait_for_children(pid: int) -> list[psutil.Process]:
    """The processes that convert, once there are some."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if children := psutil.Process(pid).children(recursive=True):
            return children
        time.sleep(0.02)
    raise AssertionError(f"process {os.getpgid(pid)} started no child")


@pytest.mark.needs("jq")
def test_the_document_goes_through_jq(model: Path) -> None:
    command = f"{DRAY} ship {model} -t local -o json 2>/dev/null | jq -e '.smoke.passed and .state == \"running\"'"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=model.parent, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout
    assert done.stdout.strip() == "true"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v2/models/tumour/infer",
            {"inputs": [{"name": "X", "shape": [1, 30], "datatype": "FP32", "data": [None] * 30}]},
        ),
        ("/invocations", {"instances": [[None] * 30]}),
    ],
)
def test_what_the_model_refuses_the_server_refuses_in_every_dialect(
    model: Path, path: str, body: dict[str, object]
) -> None:
    endpoint = dray("ship", model, "-t", "local", "-o", "json", cwd=model.parent).document["endpoint"]

    response = httpx.post(endpoint + path, json=body, trust_env=False)

    assert response.status_code == 400
    assert response.json()["error_code"] == "E-INPUT"
    assert "finite numbers" in response.json()["message"]
