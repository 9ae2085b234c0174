"""Kubernetes without a cluster, as a user has it: ship, updates that work, fail and collide, rollback, delete."""

import os
import sys
import time
from collections.abc import Callable, Iterator
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
from targets.rehearsal.layout import StageFolder
from tests.support.command import Run, dray, in_process
from tests.support.image_layers import keep_layers
from tests.support.index import require_index
from tests.support.nets import digits
from tests.support.packages import logistic_model, make_package

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="pods need a loopback address each"),
]

SECRETS = {"MODEL_KEYS": "first-s3cret-key\nsecond-s3cret-key", "MODEL_PASSWORD": "s3cret-password"}
SETTINGS = ("--set", "api_keys=env:MODEL_KEYS", "--set", "secret_env.DATABASE=env:MODEL_PASSWORD")


class User:
    """Runs commands, and remembers everything that could have told a secret.

    Attributes:
        told: What commands wrote, and how processes were called.
    """

    def __init__(self, folder: Path, here: Callable[..., Run]) -> None:
        self.folder = folder
        self.here = here
        self.told: list[str] = []

    def __call__(self, *arguments: str | Path) -> Run:
        """As a process."""
        return self._noted(dray(*arguments, "-v", "--rehearse", cwd=self.folder))

    def quickly(self, *arguments: str | Path) -> Run:
        """In this process."""
        return self._noted(self.here(*arguments, "-v", "--rehearse"))

    def deploy(self, package: str, *arguments: str) -> Run:
        return self.quickly("deploy", package, "-n", "tumour", "-t", "aks", *SETTINGS, "-o", "json", *arguments)

    def _noted(self, done: Run) -> Run:
        self.told += [done.out, done.err, *(" ".join(each) for each in command_lines().values())]
        return done


def command_lines() -> dict[int, list[str]]:
    return {each.pid: each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"])}


def stand_ins() -> list[int]:
    """Processes of the stand-ins of this test's state folder."""
    home = os.environ["DRAY_HOME"]
    return [
        pid
        for pid, line in command_lines().items()
        if "targets.rehearsal" in line and any(home in part for part in line)
    ]


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> User:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return User(tmp_path, in_process(capsys))


def failed(done: Run) -> tuple[int, str]:
    return done.status, done.document["error"]["code"]


def take_a_field(version: int) -> None:
    """Change the deployment's history limit as somebody else would."""
    from targets.kit.kubernetes.access import token_access
    from targets.kit.kubernetes.cluster import Cluster

    folder = StageFolder.of("aks")
    facts = folder.facts()
    assert facts is not None
    with Cluster(token_access(facts.api, folder.token(), ca_file=folder.ca_file), "default") as cluster:
        [name] = [each["metadata"]["name"] for each in cluster.list("Deployment", {})]
        body: dict[str, Any] = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
        body["metadata"]["namespace"], body["spec"] = "default", {"progressDeadlineSeconds": version}
        cluster.apply(body, force=True, manager="kubectl-edit")


def test_a_model_is_shipped_updated_brought_back_and_leaves_nothing(model: Path, user: User) -> None:
    shipped = user("ship", model, "-t", "aks", *SETTINGS, "-o", "json")
    assert shipped.status == 0, shipped.err
    first = shipped.document
    assert (first["state"], first["smoke"]["passed"], first["rehearsal"]) == ("running", True, True)
    token = StageFolder.of("aks").token()

    strategy = ("--strategy", "blue-green", "--set", "drain_s=0")
    updated = user("ship", model, "-t", "aks", *SETTINGS, *strategy, "-o", "json")
    assert updated.status == 0, updated.err
    assert updated.document["endpoint"] == first["endpoint"]

    assert failed(user.deploy(first["package"], "--fault", "oom")) == (5, "E-OOM")
    [row] = user.quickly("status", "tumour", "-o", "json").document
    assert (row["state"], row["version"]) == ("running", "2")

    take_a_field(77)
    collided = user.deploy(first["package"])
    assert failed(collided) == (5, "E-FIELD-CONFLICT"), collided.err
    assert "progressDeadlineSeconds (kubectl-edit)" in collided.document["error"]["message"]
    forced = user.deploy(first["package"], "--force-conflicts")
    assert (forced.status, forced.document["version"]) == (0, "1"), forced.err

    back = user.quickly("rollback", "tumour", "-y", "-o", "json")
    assert (back.status, back.document["smoke"]["passed"]) == (0, True), back.err
    for form in ("yaml", "json", "text"):
        plan = user.quickly("plan", first["package"], "-n", "tumour", "-t", "aks", *SETTINGS, "-o", form)
        assert plan.status == 0, plan.err
        if form == "yaml":
            kinds = [each["kind"] for each in yaml.safe_load_all(plan.out)]
            assert kinds == ["ServiceAccount", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"]
    assert user.quickly("logs", "tumour").status == 0

    assert user.quickly("delete", "tumour", "-y").status == 0
    until = time.monotonic() + 20
    while stand_ins() and time.monotonic() < until:
        time.sleep(0.2)
    assert stand_ins() == []
    told = "".join([*user.told, *kept(user.folder, Path(os.environ["DRAY_HOME"]))])
    assert [each for each in ("s3cret", token) if each in told] == []


KEY = "correct-horse-battery-staple"


def test_a_life_in_pods_of_real_containers(
    engine: Any, base_layout: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_index()
    monkeypatch.setenv("DRAY_HOME", str(keep_layers(tmp_path / "home")))
    monkeypatch.setenv("MODEL_KEYS", KEY)
    monkeypatch.chdir(tmp_path)
    runs, rows, held = in_process(capfd), digits()[0], {each.id for each in engine.images.list()}
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
    assert (engine.containers.list(all=True), engine.volumes.list()) == ([], [])
    assert {each.id for each in engine.images.list()} <= held


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


def kept(*folders: Path) -> Iterator[str]:
    """Whatever stands in files."""
    for each in folders:
        yield from (path.read_bytes().decode("latin-1") for path in each.rglob("*") if path.is_file())
