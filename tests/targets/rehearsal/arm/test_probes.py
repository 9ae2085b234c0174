"""Probes are really carried out, and restarts follow the policy."""

from typing import Any

import pytest
from azure.mgmt.containerinstance import ContainerInstanceManagementClient as Client
from azure.mgmt.containerinstance.models import ContainerGroup

from targets.rehearsal.arm.containers import ContainerRun, Plan
from targets.rehearsal.workload import Workload
from tests.support.arm_server import Arm, group_body
from tests.support.fake_runner import FakeRunner, Image
from tests.support.stand_in_server import wait_until

HTTP_GET = {"path": "/livez", "port": 18080, "scheme": "http", "httpHeaders": [{"name": "Host", "value": "x"}]}


def put(client: Client, **given: Any) -> ContainerGroup:
    """A small group, made."""
    body = ContainerGroup.deserialize(group_body(**given))
    made: ContainerGroup = client.container_groups.begin_create_or_update("rehearsal", "churn", body).result()
    return made


def view(client: Client) -> Any:
    """The container's instance view."""
    return client.container_groups.get("rehearsal", "churn").containers[0].instance_view


def test_a_failed_liveness_probe_is_told_and_restarts_the_container(arm: Arm, sdk: Client) -> None:
    arm.runner.images["sick"] = Image(answering=lambda path: (500 if path == "/livez" else 200, b"{}"))
    probe = {"httpGet": HTTP_GET, "periodSeconds": 1, "failureThreshold": 1}
    put(sdk, image="sick", container={"livenessProbe": probe})
    wait_until(lambda: view(sdk).restart_count)
    events = {event.name: event for event in view(sdk).events}
    assert events["Unhealthy"].message == "Liveness probe failed: HTTP probe failed with statuscode: 500"
    assert events["Unhealthy"].type == "Warning"
    assert events["Killing"].message == "Container model failed liveness probe, will be restarted"
    assert view(sdk).previous_state.state == "Terminated"


def test_a_probe_that_passes_changes_nothing(arm: Arm, sdk: Client) -> None:
    asked: list[str] = []
    arm.runner.images["well"] = Image(answering=lambda path: (asked.append(path) or 200, b"{}"))
    probe = {"httpGet": HTTP_GET, "periodSeconds": 1, "failureThreshold": 1}
    put(sdk, image="well", container={"livenessProbe": probe, "readinessProbe": probe})
    wait_until(lambda: len(asked) >= 4)
    assert set(asked) == {"/livez"}
    assert view(sdk).restart_count == 0
    assert not [event for event in view(sdk).events if event.name == "Unhealthy"]


def test_a_failed_readiness_probe_is_told_and_restarts_nothing(sdk: Client) -> None:
    probe = {"httpGet": {**HTTP_GET, "port": 18081}, "periodSeconds": 1, "failureThreshold": 1}
    put(sdk, container={"readinessProbe": probe})
    wait_until(lambda: any("connection refused" in event.message for event in view(sdk).events))
    assert (view(sdk).restart_count, view(sdk).current_state.state) == (0, "Running")


def run(policy: Any, image: Image) -> tuple[FakeRunner, ContainerRun]:
    """A container that was started once."""
    runner = FakeRunner()
    runner.images["image"] = image
    workload = Workload(id="", image="image", address="127.0.0.1", ports=())
    made = ContainerRun(Plan("model", "churn", workload, policy), runner)
    made.start()
    return runner, made


@pytest.mark.parametrize(
    ("policy", "exit_code", "starts"),
    [("Always", 0, 2), ("Always", 1, 2), ("OnFailure", 0, 1), ("OnFailure", 1, 2), ("Never", 0, 1), ("Never", 1, 1)],
)
def test_what_ends_runs_again_as_the_policy_says(policy: Any, exit_code: int, starts: int) -> None:
    runner, made = run(policy, Image(exit_code=exit_code))
    made.tick()
    assert (len(runner.started), made.restarts) == (starts, starts - 1)
    assert made.over == (starts == 1)
    assert len(runner.runs) == 1


def test_each_further_restart_waits_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 0.0
    monkeypatch.setattr("targets.rehearsal.arm.containers.time.monotonic", lambda: moment)
    runner, made = run("Always", Image(exit_code=1))
    waits = []
    for _ in range(8):
        made.tick()
        if made.waiting:
            waits.append(made.due - moment)
            moment = made.due
    assert waits == [10, 20, 40, 80]
    assert made.view()["restartCount"] == len(runner.started) - 1


def test_a_container_that_was_stopped_does_not_run_again() -> None:
    runner, made = run("Always", Image())
    made.stop()
    made.tick()
    made.start()
    assert len(runner.started) == 1
    assert made.view()["currentState"]["state"] == "Terminated"  # type: ignore[index]


def test_the_same_event_again_is_counted() -> None:
    _, made = run("Always", Image())
    for _ in range(3):
        made.events.add("Unhealthy", "no", warning=True)
    last = made.events.entries()[-1]
    assert (last["count"], last["type"], len(made.events.entries())) == (3, "Warning", 3)
