"""`--rehearse -t aci`, whole: the command line, the stand-in, its registry, and the real runtime behind it."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import psutil
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from packager.core.state import state_home
from targets.rehearsal.layout import StageFolder
from tests.support.command import Run, in_process
from tests.support.image_layers import keep_layers
from tests.support.index import require_index
from tests.support.nets import digits
from tests.support.packages import logistic_model, make_package

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
Dray = Callable[..., Run]
KEY = "correct-horse-battery-staple"
REHEARSAL = "rehearsal: "


@pytest.fixture
def dray(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dray]:
    monkeypatch.chdir(tmp_path)
    runs = in_process(capfd)
    yield runs
    for deployment in runs("status", "--rehearse", "-o", "json").document:
        runs("delete", deployment["name"], "--rehearse", "-y")
    assert_nothing_is_left()


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


def assert_nothing_is_left(within_s: float = 20) -> None:
    """The stand-in ends by itself after its last deployment, with every process that it began."""
    home, deadline = str(state_home()), time.monotonic() + within_s
    while left := [line for line in command_lines() if home in line]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    assert not (state_home() / "rehearsals" / "aci").exists()


def command_lines() -> list[str]:
    """What a process list shows, with the folder that each process works in."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{' '.join(process.cmdline())} in {process.cwd()}")
        except psutil.Error:
            continue
    return found


def digits_file(folder: Path, strength: float) -> tuple[Path, Path, Any]:
    rows, classes = digits()[0].astype("f8"), digits()[1]
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300)).fit(
        rows[:800], classes[:800]
    )
    model, samples = folder / "digits.joblib", folder / "rows.npy"
    joblib.dump(fitted, model)
    np.save(samples, rows[800:840])
    return model, samples, fitted


def served(endpoint: str, rows: np.ndarray) -> np.ndarray:
    tensor = {"name": "X", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
    answer = httpx.post(f"{endpoint}/v2/models/digits/infer", json={"inputs": [tensor]}, trust_env=False, timeout=20)
    outputs = {out["name"]: out for out in answer.raise_for_status().json()["outputs"]}
    return np.reshape(outputs["probabilities"]["data"], outputs["probabilities"]["shape"])


def live(dray: Dray) -> dict[str, Any]:
    [found] = dray("status", "--rehearse", "-o", "json").document
    return dict(found)


def lead_a_life(dray: Dray, folder: Path, *more: object) -> None:
    """Plan, deploy, update, a failed update, rollback, delete; the numbers are the original's all along."""
    rows = digits()[0][840:850].astype("f8")
    model, samples, first = digits_file(folder, 1.0)
    ship = ("ship", model, "-t", "aci", "--rehearse", "--samples", samples, "-y", "-o", "json", *more)
    planned = dray("plan", model, "-t", "aci", "--rehearse", "--samples", samples, "-o", "json", *more)
    assert [action["verb"] for action in planned.document["actions"]] == ["create"], planned.err
    one = dray(*ship)
    assert one.status == 0, one.out + one.err
    assert (one.document["state"], one.document["smoke"]["passed"], one.document["rehearsal"]) == (
        "running",
        True,
        True,
    )
    url = one.document["endpoint"]
    np.testing.assert_allclose(served(url, rows), first.predict_proba(rows), rtol=1e-4, atol=1e-5)

    _, _, second = digits_file(folder, 0.01)
    two = dray(*ship)
    assert (two.status, two.document["endpoint"]) == (0, url), two.out + two.err
    np.testing.assert_allclose(served(url, rows), second.predict_proba(rows), rtol=1e-4, atol=1e-5)

    digits_file(folder, 0.0001)
    failed = dray(*ship, "--fault", "wrong-answer")
    assert (failed.status, failed.document["error"]["code"]) == (6, "E-SMOKE")
    assert (live(dray)["version"], live(dray)["endpoint"]) == ("2", url)
    np.testing.assert_allclose(served(url, rows), second.predict_proba(rows), rtol=1e-4, atol=1e-5)
    assert dray("test", "digits", "--rehearse").status == 0

    back = dray("rollback", "digits", "--rehearse", "-y", "-o", "json")
    assert (back.status, back.document["version"], back.document["endpoint"]) == (0, "1", url), back.out + back.err
    np.testing.assert_allclose(served(url, rows), first.predict_proba(rows), rtol=1e-4, atol=1e-5)
    assert "request" in dray("logs", "digits", "--rehearse").out
    assert dray("delete", "digits", "--rehearse", "-y").status == 0


def test_a_life_without_account_or_engine(dray: Dray, no_engine: None, tmp_path: Path) -> None:
    lead_a_life(dray, tmp_path)


@pytest.mark.slow
def test_a_life_in_real_containers(
    dray: Dray, engine: Any, base_layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_index()
    monkeypatch.setenv("DRAY_HOME", str(keep_layers(tmp_path / "home")))

    lead_a_life(dray, tmp_path, "--base", base_layout)

    assert_nothing_is_left()
    assert engine.containers.list(all=True) == []


def test_every_line_says_that_it_is_a_rehearsal(dray: Dray, no_engine: None, tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris").root
    commands = (
        ("plan", package, "-t", "aci"), ("deploy", package, "-t", "aci", "-y"), ("status",), ("test", "iris"),
        ("invoke", "iris", "-i", "X=[[5.1, 3.5, 1.4, 0.2]]"), ("logs", "iris"), ("delete", "iris", "-y"),
    )  # fmt: skip
    for command in commands:
        ran = dray(*command, "--rehearse")
        assert ran.status == 0, ran.err
        lines = [line for line in (ran.out + ran.err).splitlines() if line.strip()]
        assert lines
        assert all(line.startswith(REHEARSAL) for line in lines), command


def test_plans_are_the_same_twice_and_show_what_a_hand_changed(dray: Dray, no_engine: None, tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris").root
    plan = ("plan", package, "-t", "aci", "--rehearse", "--exit-code", "-o", "json")
    before, again = dray(*plan), dray(*plan)
    assert (before.status, before.out) == (10, again.out)

    assert dray("deploy", package, "-t", "aci", "--rehearse", "-y").status == 0
    assert [action["verb"] for action in dray(*plan).document["actions"]] == ["keep"]
    assert dray(*plan).status == 0

    change_by_hand(verbose=True)
    changed = dray(*plan)
    assert changed.status == 10
    [action] = changed.document["actions"]
    [(field, change)] = action["changes"].items()
    assert (action["verb"], change) == ("update", [{"name": "VERBOSE", "value": "1"}, None])
    assert field.endswith("environmentVariables[VERBOSE]")


def test_what_azure_cannot_change_in_place_is_asked_about(dray: Dray, no_engine: None, tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris").root
    assert dray("deploy", package, "-t", "aci", "--rehearse", "-y").status == 0
    first = live(dray)

    refused = dray("deploy", package, "-t", "aci", "--rehearse", "--set", "cpu=2", "-o", "json")
    agreed = dray("deploy", package, "-t", "aci", "--rehearse", "--set", "cpu=2", "-o", "json", "-y")

    assert (refused.status, refused.document["error"]["code"]) == (2, "E-USAGE")
    assert "the URL changes" in refused.document["error"]["message"]
    assert agreed.status == 0, agreed.err
    assert live(dray)["endpoint"] == agreed.document["endpoint"] != first["endpoint"]
    assert dray("rollback", "iris", "--rehearse", "-y").status == 0


def change_by_hand(*, verbose: bool) -> None:
    """What somebody does in the portal: the group written again with another variable, dray's tags as they are."""
    from azure.mgmt.containerinstance.models import EnvironmentVariable

    from packager import plugins
    from packager.core.rehearsal import Rehearsal
    from targets.aci import AciTarget

    rehearsal = plugins.rehearsals()["aci"]
    assert isinstance(rehearsal, Rehearsal)
    stage = rehearsal.find()
    assert stage is not None
    assert isinstance(stage.target, AciTarget)
    assert stage.target.access is not None
    with client_of(stage.target.access) as client:
        [group] = list(client.container_groups.list())
        group = client.container_groups.get("rehearsal", group.name)
        group.containers[0].environment_variables.append(EnvironmentVariable(name="VERBOSE", value=str(int(verbose))))
        for credential in group.image_registry_credentials or ():
            credential.password = stage.credentials.credential(credential.server).password
        client.container_groups.begin_create_or_update("rehearsal", group.name, group).result()


def client_of(access: Any) -> Any:
    from azure.mgmt.containerinstance import ContainerInstanceManagementClient

    return ContainerInstanceManagementClient(subscription_id=access.subscription, **access.client_options())


# What each fault must end in when it strikes the first deployment of a name; "" is one that is lived through.
ENDS = {
    "quota": "E-QUOTA", "pull-auth": "E-IMAGE-PULL-AUTH", "image-missing": "E-IMAGE-MISSING",
    "registry": "E-REGISTRY-UNAVAILABLE", "arch": "E-IMAGE-ARCH", "crash": "E-CONTAINER-CRASH", "oom": "E-OOM",
    "slow": "E-NOT-READY", "wrong-answer": "E-SMOKE", "throttle": "E-THROTTLED", "forbidden": "E-FORBIDDEN",
    "unauthorized": "E-AUTH", "transitioning": "E-TRANSITIONING", "dns": "E-NAME-TAKEN",
    "invalid": "E-REQUEST-REFUSED", "server-error": "E-CLOUD", "pull:1": "", "throttle:1": "", "transitioning:1": "",
    "server-error:1": "", "no-group": "E-NO-RESOURCE-GROUP",
}  # fmt: skip


@pytest.mark.slow
def test_each_fault_ends_in_its_own_code_and_no_secret_is_told(
    dray: Dray, no_engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEYS", KEY)
    old = make_package(tmp_path / "old", version="1").root
    new = make_package(tmp_path / "new", logistic_model(seed=7), version="2").root
    told = []
    deploy = ("-t", "aci", "--rehearse", "-y", "--set", "api_keys=env:MODEL_KEYS", "--timeout", "6")
    told.append(dray("deploy", old, *deploy))
    assert told[0].status == 0, told[0].err
    seen = {}
    for number, fault in enumerate(ENDS):
        ran = dray("deploy", new, "-n", f"strikes-{number}", *deploy, "--fault", fault, "-o", "json")
        error = ran.document.get("error", {"code": "", "message": "", "hint": ""})
        seen[fault] = error["code"]
        assert not error["code"] or (error["message"] and error["hint"]), fault
        told.append(ran)
    text = dray("deploy", new, "-n", "text", *deploy, "--fault", "quota", "-v")
    told += [text, dray("status", "--rehearse"), dray("logs", "iris", "--rehearse")]

    assert seen == ENDS
    assert "error E-QUOTA" in text.err
    assert "hint: " in text.err
    assert {each["name"] for each in dray("status", "--rehearse", "-o", "json").document} == {
        "iris", *(f"strikes-{number}" for number, fault in enumerate(ENDS) if not ENDS[fault]),
    }  # fmt: skip
    stage = StageFolder.of("aci")
    for secret in (KEY, stage.token()):
        assert not [ran for ran in told if secret in ran.out + ran.err]
        assert not [line for line in command_lines() if secret in line]
        assert [path for path in records() if secret.encode() in path.read_bytes()] == (
            [] if secret == KEY else [stage.token_file]
        )


def records() -> list[Path]:
    """All that is written down; but for the files of the container's secret volume, which are what it is there for."""
    return [
        path
        for path in state_home().rglob("*")
        if path.is_file() and "workloads" not in path.relative_to(state_home()).parts
    ]
