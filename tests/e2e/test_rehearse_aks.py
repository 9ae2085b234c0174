"""Kubernetes without a cluster, as a user has it: ship, update, an update that fails, rollback, delete."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.support.command import Run, dray

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
