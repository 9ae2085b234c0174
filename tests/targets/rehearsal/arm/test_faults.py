"""Each fault ends in what Azure would send or show, and strikes as often as it was told to."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ServiceResponseError
from azure.mgmt.containerinstance import ContainerInstanceManagementClient as Client
from azure.mgmt.containerinstance.models import ContainerGroup, EnvironmentVariable

from packager.core.errors import UsageError
from targets.rehearsal.arm import FAULTS, containers
from targets.rehearsal.workload import Workload
from tests.support.arm_server import Arm, group_body, group_path
from tests.support.stand_in_server import wait_until

GROUP = "rehearsal"


def put(client: Client, **given: Any) -> ContainerGroup:
    """A small group, made."""
    body = ContainerGroup.deserialize(group_body(**given))
    made: ContainerGroup = client.container_groups.begin_create_or_update(GROUP, "churn", body).result()
    return made


@pytest.mark.parametrize(
    ("fault", "status", "code", "words"),
    [
        ("quota", 400, "ContainerGroupQuotaReached", "Limit: '10', Usage: '10' Requested: '1'"),
        ("capacity", 409, "ServiceUnavailable", "Resource requested: '1' CPU '1.5' GB memory 'Linux' OS"),
        ("pull-auth", 400, "InaccessibleImage", "is not accessible. Please check the image and registry credential."),
        ("pull", 400, "InaccessibleImage", "in container group 'churn' is not accessible"),
        ("registry", 409, "RegistryErrorResponse", "docker registry 'registry.example'. Please retry later."),
        ("throttle", 429, "SubscriptionRequestsThrottled", "Number of 'write' requests"),
        ("forbidden", 403, "AuthorizationFailed", "action 'Microsoft.ContainerInstance/containerGroups/write'"),
        ("unauthorized", 401, "ExpiredAuthenticationToken", "is earlier than current UTC time"),
        ("transitioning", 409, "ContainerGroupTransitioning", "is still transitioning, please retry later."),
        ("dns", 409, "DnsNameLabelAlreadyTaken", "The DNS name label 'churn-label' in container group 'churn'"),
        ("invalid", 400, "InvalidRequestContent", "Could not find member 'rehearsed'"),
        ("server-error", 500, "InternalServerError", "The tracking activity ID is"),
    ],
)
def test_a_refusal_has_azures_status_code_and_words(
    arm: Arm, sdk: Client, fault: str, status: int, code: str, words: str
) -> None:
    arm.faults.set((f"{fault}:1",))
    with pytest.raises(HttpResponseError) as caught:
        put(sdk, label="churn-label")
    assert (caught.value.status_code, caught.value.error.code) == (status, code)
    assert words in caught.value.error.message
    assert arm.runner.started == []
    assert put(sdk, label="churn-label").instance_view.state == "Running"


def test_a_throttled_request_says_when_to_come_again(arm: Arm) -> None:
    arm.faults.set(("throttle:1",))
    with arm.http() as http:
        answer = http.put(group_path("churn"), json=group_body())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.headers["x-ms-ratelimit-remaining-subscription-writes"] == "0"


def test_an_expired_token_is_challenged(arm: Arm) -> None:
    arm.faults.set(("unauthorized:1",))
    with arm.http() as http:
        assert "invalid_token" in http.get(group_path("churn")).headers["www-authenticate"]


@pytest.mark.parametrize(
    ("fault", "exit_code", "detail"), [("crash", 1, "Error"), ("oom", 137, "OOMKilled"), ("arch", 1, "Error")]
)
def test_a_container_comes_to_a_bad_end(arm: Arm, sdk: Client, fault: str, exit_code: int, detail: str) -> None:
    arm.faults.set((f"{fault}:1",))
    assert put(sdk, restartPolicy="Never").provisioning_state == "Succeeded"
    wait_until(lambda: sdk.container_groups.get(GROUP, "churn").instance_view.state == "Failed")
    state = sdk.container_groups.get(GROUP, "churn").containers[0].instance_view.current_state
    assert (state.state, state.exit_code, state.detail_status) == ("Terminated", exit_code, detail)
    assert arm.runner.started == []


@pytest.mark.parametrize(
    ("fault", "last"), [("crash", "onnxruntime"), ("oom", "listening"), ("arch", "exec format error")]
)
def test_its_log_ends_with_words_that_a_runtime_would_have(arm: Arm, sdk: Client, fault: str, last: str) -> None:
    arm.faults.set((fault,))
    put(sdk, restartPolicy="Never")
    wait_until(lambda: sdk.container_groups.get(GROUP, "churn").instance_view.state == "Failed")
    assert last in sdk.containers.list_logs(GROUP, "churn", "model", tail=1).content


def test_a_crashing_container_is_restarted_and_then_waited_with(
    arm: Arm, sdk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "FIRST_BACKOFF_S", 60.0)
    arm.faults.set(("crash",))
    put(sdk)
    # Before its first start it waits too, for nothing; between its end and the next start it is at neither.
    wait_until(lambda: "CrashLoopBackOff" in (_view(sdk).current_state.detail_status or ""))
    view = _view(sdk)
    assert view.current_state.detail_status == "CrashLoopBackOff: Back-off 60s restarting failed"
    assert (view.restart_count, view.previous_state.state, view.previous_state.exit_code) == (1, "Terminated", 1)
    assert view.events[-1].name == "BackOff"
    assert sdk.container_groups.get(GROUP, "churn").instance_view.state == "Running"


def _view(sdk: Client) -> Any:
    return sdk.container_groups.get(GROUP, "churn").containers[0].instance_view


def test_a_fault_of_a_container_strikes_one_deployment_and_not_the_next(arm: Arm, sdk: Client) -> None:
    arm.faults.set(("crash:1",))
    put(sdk)
    wait_until(lambda: _view(sdk).restart_count)
    put(sdk)
    assert (_view(sdk).current_state.state, _view(sdk).restart_count) == ("Running", 0)


def test_a_slow_container_lives_and_is_never_ready(arm: Arm, sdk: Client) -> None:
    arm.faults.set(("slow:1",))
    probe = {"httpGet": {"path": "/readyz", "port": 18080}, "periodSeconds": 1}
    made = put(sdk, container={"readinessProbe": probe})
    url = f"http://{made.ip_address.ip}:18080"
    assert httpx.get(f"{url}/livez").status_code == 200
    assert httpx.get(f"{url}/v2/health/ready").status_code == 503
    assert httpx.post(f"{url}/v2/models/m/infer", json={}).status_code == 503
    wait_until(lambda: "HTTP probe failed with statuscode: 503" in str(_view(sdk).events[-1].message))
    assert _view(sdk).current_state.state == "Running"
    sdk.container_groups.begin_delete(GROUP, "churn").result()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/livez")


def test_a_wrong_answer_has_another_number_and_the_same_shape(arm: Arm, sdk: Client) -> None:
    arm.faults.set(("wrong-answer:1",))
    url = f"http://{put(sdk).ip_address.ip}:18080"
    wrong = httpx.post(f"{url}/v2/models/m/infer", json={}).json()
    assert wrong == {"name": "fake", "outputs": [{"name": "label", "datatype": "INT64", "shape": [1], "data": [4]}]}
    assert httpx.get(f"{url}/readyz").json()["outputs"][0]["data"] == [3]


def test_an_operation_that_fails_says_so_with_status_200(arm: Arm, sdk: Client) -> None:
    arm.faults.set(("lro-failed:1",))
    with pytest.raises(HttpResponseError) as caught:
        put(sdk)
    assert (caught.value.status_code, caught.value.error.code) == (200, "DeploymentFailed")
    group = sdk.container_groups.get(GROUP, "churn")
    assert (group.provisioning_state, group.instance_view.state) == ("Failed", "Failed")
    assert put(sdk).provisioning_state == "Succeeded"


def test_an_image_that_is_gone_is_told_by_events_and_a_failed_operation(arm: Arm, sdk: Client) -> None:
    arm.faults.set(("image-missing:1",))
    with pytest.raises(HttpResponseError, match="not found") as caught:
        put(sdk)
    assert caught.value.error.code == "ImagePullFailure"
    events = {event.name: event for event in _view(sdk).events}
    assert (events["Failed"].count, events["Failed"].type) == (3, "Warning")
    assert _view(sdk).current_state.detail_status.startswith("ImagePullBackOff")


def test_a_stuck_change_goes_on_until_the_group_is_deleted(arm: Arm, sdk: Client) -> None:
    arm.faults.set(("stuck:1",))
    poller = sdk.container_groups.begin_create_or_update(GROUP, "churn", ContainerGroup.deserialize(group_body()))
    poller.wait(0.3)
    assert not poller.done()
    with pytest.raises(HttpResponseError, match="ContainerGroupTransitioning"):
        put(sdk)
    sdk.container_groups.begin_delete(GROUP, "churn").result()
    with pytest.raises(HttpResponseError, match="was ended"):
        poller.result(10)
    assert arm.held[-1] == 0


def test_a_dropped_connection_loses_the_answer_and_not_the_change(arm: Arm, sdk: Client) -> None:
    arm.faults.set(("drop:1",))
    with pytest.raises((ServiceResponseError, HttpResponseError)):
        put(sdk)
    wait_until(lambda: sdk.container_groups.get(GROUP, "churn").instance_view.state == "Running")


def test_faults_of_changes_let_reads_through(arm: Arm, sdk: Client) -> None:
    put(sdk)
    arm.faults.set(("throttle", "forbidden", "server-error", "transitioning", "drop"))
    assert sdk.container_groups.get(GROUP, "churn").name == "churn"
    assert sdk.containers.list_logs(GROUP, "churn", "model").content


def test_every_fault_has_words_and_an_unknown_one_is_refused(arm: Arm) -> None:
    assert all(len(words) > 20 for words in FAULTS.values())
    with pytest.raises(UsageError, match="no fault is called 'rain'"):
        arm.faults.set(("rain",))


def test_what_served_before_is_spared_by_faults_of_containers(arm: Arm, sdk: Client) -> None:
    put(sdk)
    arm.faults.set(("crash", "lro-failed"))
    with pytest.raises(HttpResponseError):
        sdk.container_groups.begin_create_or_update(GROUP, "churn", _changed()).result()

    assert put(sdk).instance_view.state == "Running"


def _changed() -> ContainerGroup:
    changed = ContainerGroup.deserialize(group_body())
    changed.containers[0].environment_variables = [EnvironmentVariable(name="A", value="1")]
    return changed


def test_what_served_before_is_spared_in_place_of_a_group_that_was_deleted_to_end_what_is_stuck(
    arm: Arm, sdk: Client
) -> None:
    put(sdk)
    arm.faults.set(("stuck",))
    poller = sdk.container_groups.begin_create_or_update(GROUP, "churn", _changed())
    poller.wait(0.3)
    assert not poller.done()
    sdk.container_groups.begin_delete(GROUP, "churn").result()

    assert put(sdk).instance_view.state == "Running"


def test_an_earlier_release_that_is_wanted_back_while_all_is_well_is_struck(arm: Arm, sdk: Client) -> None:
    put(sdk)
    sdk.container_groups.begin_create_or_update(GROUP, "churn", _changed()).result()
    arm.faults.set(("lro-failed",))

    with pytest.raises(HttpResponseError):
        put(sdk)


def test_the_documentation_has_every_fault() -> None:
    page = (Path(__file__).parents[4] / "docs/rehearsal-faults.md").read_text(encoding="utf-8")
    told = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert told == set(FAULTS) | {"PUT", "GET", "PATCH", "DELETE", "POST …/stop", "GET …/containers/NAME/logs"} | {
        "GET …/locations/REGION/usages"
    }


def test_a_container_that_cannot_be_started_fails_the_operation_and_leaves_nothing(
    arm: Arm, sdk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(workload: Workload) -> None:
        raise OSError("no room")

    monkeypatch.setattr(arm.runner, "start", refuse)
    with pytest.raises(HttpResponseError) as caught:
        put(sdk)
    assert (caught.value.status_code, caught.value.error.code) == (200, "InternalServerError")
    assert (arm.runner.runs, sdk.container_groups.get(GROUP, "churn").provisioning_state) == ({}, "Failed")
