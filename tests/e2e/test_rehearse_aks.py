"""Kubernetes without a cluster, as a user has it: ship, update, an update that fails, rollback, delete."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import psutil
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from packager.core.state import state_home
from tests.support.command import Run, dray, in_process
from tests.support.image_layers import keep_layers
from tests.support.index import require_index
from tests.support.nets import digits
from tests.support.packages import logistic_model, make_package

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="rehearsals need POSIX"),
]


def rehearsed(*arguments: str | Path, cwd: Path) -> Run:
    return dray(*arguments, "--rehearse", cwd=cwd)


def stand_ins() -> list[int]:
    """Processes of the stand-ins of this test's state folder."""
    home = os.environ["DRAY_HOME"]
    lines = {each.pid: each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"])}
    return [pid for pid, line in lines.items() if "targets.rehearsal" in line and any(home in part for part in line)]


def test_a_model_is_shipped_updated_brought_back_and_leaves_nothing(model: Path, tmp_path: Path) -> None:
    shipped = rehearsed("ship", model, "-t", "aks", "-o", "json", cwd=tmp_path)
    assert shipped.status == 0, shipped.err
    first = shipped.document
    assert (first["state"], first["smoke"]["passed"], first["rehearsal"]) == ("running", True, True)

    updated = rehearsed("ship", model, "-t", "aks", "--strategy", "blue-green", "-o", "json", cwd=tmp_path)
    assert updated.status == 0, updated.err
    assert updated.document["endpoint"] == first["endpoint"]

    failed = rehearsed(
        "deploy", first["package"], "-n", "tumour", "-t", "aks", "--fault", "oom", "-o", "json", cwd=tmp_path
    )
    assert (failed.status, failed.document["error"]["code"]) == (5, "E-OOM")
    [row] = rehearsed("status", "tumour", "-o", "json", cwd=tmp_path).document
    assert (row["state"], row["version"]) == ("running", "2")

    back = rehearsed("rollback", "tumour", "-y", "-o", "json", cwd=tmp_path)
    assert back.status == 0, back.err
    assert back.document["smoke"]["passed"]

    plan = rehearsed("plan", first["package"], "-n", "tumour", "-t", "aks", "-o", "yaml", cwd=tmp_path)
    kinds = [each["kind"] for each in yaml.safe_load_all(plan.out)]
    assert kinds == ["ServiceAccount", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"]

    assert rehearsed("delete", "tumour", "-y", cwd=tmp_path).status == 0
    until = time.monotonic() + 20
    while stand_ins() and time.monotonic() < until:
        time.sleep(0.2)
    assert stand_ins() == []


KEY = "correct-horse-battery-staple"


def test_a_life_in_pods_of_real_containers(
    engine: Any, base_layout: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_index()
    monkeypatch.setenv("DRAY_HOME", str(keep_layers(tmp_path / "home")))
    monkeypatch.setenv("MODEL_KEYS", KEY)
    monkeypatch.chdir(tmp_path)
    runs, rows = in_process(capfd), digits()[0]
    own = ("--set", "api_keys=env:MODEL_KEYS", "--set", "tmp_mib=96")
    put = ("-t", "aks", "--rehearse", "--base", base_layout, *own, "-y", "-o", "json")
    joblib.dump(LogisticRegression(max_iter=100).fit(rows[:800], digits()[1][:800]), tmp_path / "digits.joblib")
    np.save(tmp_path / "rows.npy", rows[800:840])

    shipped = runs("ship", "digits.joblib", "--samples", "rows.npy", *put)
    assert shipped.status == 0, shipped.err
    url, first = shipped.document["endpoint"], shipped.document["package"]
    assert (shipped.document["smoke"]["passed"], "it runs real containers" in shipped.err) == (True, True)
    [pod] = engine.containers.list()
    assert (pod.attrs["Config"]["User"], pod.attrs["HostConfig"]["ReadonlyRootfs"]) == ("65532:65532", True)
    assert "size=96m" in pod.attrs["HostConfig"]["Tmpfs"]["/tmp"]
    answers = answer(url, rows[:5])

    # It fits the model's inputs, and is another model.
    second = make_package(tmp_path / "second", logistic_model(64, seed=7), name="digits", version="2").root
    updated = runs("deploy", second, *put)
    assert (updated.status, updated.document["endpoint"]) == (0, url), updated.err
    changed = answer(url, rows[:5])
    assert changed != answers

    # No fault is staged: the kernel ends what needs more memory than its container may have.
    failed = runs("deploy", first, *put, "--set", "memory_mib=32")
    assert (failed.status, failed.document["error"]["code"]) == (5, "E-OOM"), failed.out + failed.err
    assert answer(url, rows[:5]) == changed

    back = runs("rollback", "digits", "--rehearse", "-y", "-o", "json")
    assert (back.status, back.document["version"], back.document["endpoint"]) == (0, "1", url), back.out + back.err
    assert answer(url, rows[:5]) == answers
    assert '"status": 200' in runs("logs", "digits", "--rehearse").out
    assert runs("delete", "digits", "--rehearse", "-y").status == 0
    until = time.monotonic() + 20
    while (stand_ins() or (state_home() / "rehearsals" / "aks").exists()) and time.monotonic() < until:
        time.sleep(0.1)
    assert stand_ins() == []
    assert not (state_home() / "rehearsals" / "aks").exists()
    assert (engine.containers.list(all=True), engine.images.list(), engine.volumes.list()) == ([], [], [])


def answer(url: str, rows: np.ndarray) -> Any:
    """What is served for these rows."""
    tensor = {"name": "X", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
    asked = httpx.post(
        f"{url}/v2/models/digits/infer",
        json={"inputs": [tensor]},
        headers={"authorization": f"Bearer {KEY}"},
        trust_env=False,
        timeout=20,
    )
    return [each["data"] for each in asked.raise_for_status().json()["outputs"]]
