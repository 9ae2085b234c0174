"""A container group's life, as Microsoft's own client sees it."""

import threading
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.containerinstance import ContainerInstanceManagementClient as Client
from azure.mgmt.containerinstance.models import ContainerGroup, Resource

from targets.rehearsal.arm import group_routes
from tests.support.arm_server import Arm, group_body, group_path
from tests.support.fake_runner import Image
from tests.support.stand_in_server import wait_until

GROUP = "rehearsal"


def model(**given: Any) -> ContainerGroup:
    """A small group, as the SDK's object."""
    made: ContainerGroup = ContainerGroup.deserialize(group_body(**given))
    return made


def put(client: Client, name: str = "churn", **given: Any) -> ContainerGroup:
    """Make it and wait."""
    made: ContainerGroup = client.container_groups.begin_create_or_update(GROUP, name, model(**given)).result()
    return made


def refusal(client: Client, name: str = "churn", **given: Any) -> HttpResponseError:
    """What a PUT is refused with."""
    with pytest.raises(HttpResponseError) as caught:
        put(client, name, **given)
    return caught.value


def test_a_new_group_runs_and_answers_on_its_own_address(arm: Arm, sdk: Client) -> None:
    made = put(sdk, label="churn-label", tags={"who": "me"})
    assert (made.provisioning_state, made.instance_view.state) == ("Succeeded", "Running")
    assert made.ip_address.fqdn == "churn-label.westeurope.azurecontainer.io"
    assert made.ip_address.ip.startswith("127.77.")
    assert made.tags == {"who": "me"}
    assert [event.name for event in made.containers[0].instance_view.events] == [
        "Pulling",
        "Pulled",
        "Created",
        "Started",
    ]
    assert httpx.get(f"http://{made.ip_address.ip}:18080/").status_code == 200
    assert arm.held == [1]


def test_put_answers_before_the_containers_run_and_says_where_to_ask(arm: Arm) -> None:
    with arm.http() as http:
        answer = http.put(group_path("churn"), json=group_body())
        assert (answer.status_code, answer.json()["properties"]["provisioningState"]) == (201, "Pending")
        operation = httpx.URL(answer.headers["azure-asyncoperation"])
        wait_until(lambda: http.get(operation).json()["status"] == "Succeeded")
        told = http.get(operation).json()
    assert told["id"] == group_path("churn")
    assert set(told) == {"id", "status", "startTime", "properties"}
    assert [event["name"] for event in told["properties"]["events"]][-1] == "Started"


def test_an_update_in_place_keeps_the_address_and_starts_the_containers_anew(arm: Arm, sdk: Client) -> None:
    first = put(sdk, label="churn-label")
    second = put(sdk, label="churn-label", container={"environmentVariables": [{"name": "A", "value": "1"}]})
    assert second.ip_address.ip == first.ip_address.ip
    assert len(arm.runner.started) == 2
    assert len(list(arm.runner.running())) == 1
    assert dict(arm.runner.started[1].environment) == {"A": "1"}
    assert arm.held[-1] == 1


def test_a_label_gives_the_same_address_after_a_delete_and_none_gives_a_new_one(arm: Arm, sdk: Client) -> None:
    labelled = put(sdk, label="churn-label").ip_address.ip
    plain = put(sdk, "other").ip_address.ip
    for name in ("churn", "other"):
        sdk.container_groups.begin_delete(GROUP, name).result()
    assert put(sdk, "again", label="churn-label").ip_address.ip == labelled
    assert put(sdk, "other").ip_address.ip != plain


def test_another_label_is_another_address(sdk: Client) -> None:
    assert put(sdk, label="label-one").ip_address.ip != put(sdk, label="label-two").ip_address.ip


def test_a_stopped_group_is_succeeded_and_stopped_and_starts_again(arm: Arm, sdk: Client) -> None:
    put(sdk, label="churn-label")
    sdk.container_groups.stop(GROUP, "churn")
    wait_until(lambda: sdk.container_groups.get(GROUP, "churn").instance_view.state == "Stopped")
    stopped = sdk.container_groups.get(GROUP, "churn")
    assert stopped.provisioning_state == "Succeeded"
    assert stopped.containers[0].instance_view.current_state.state == "Terminated"
    assert not list(arm.runner.running())
    sdk.container_groups.begin_start(GROUP, "churn").result()
    started = sdk.container_groups.get(GROUP, "churn")
    assert (started.instance_view.state, started.ip_address.ip) == ("Running", stopped.ip_address.ip)


def test_a_restart_pulls_again_and_runs_the_same(arm: Arm, sdk: Client) -> None:
    put(sdk)
    sdk.container_groups.begin_restart(GROUP, "churn").result()
    assert sdk.container_groups.get(GROUP, "churn").instance_view.state == "Running"
    assert len(arm.runner.pulls) == 2


def test_a_deleted_group_leaves_nothing(arm: Arm, sdk: Client) -> None:
    put(sdk)
    sdk.container_groups.begin_delete(GROUP, "churn").result()
    with pytest.raises(ResourceNotFoundError, match="ResourceNotFound"):
        sdk.container_groups.get(GROUP, "churn")
    assert (arm.runner.runs, arm.held) == ({}, [1, 0])
    assert sdk.container_groups.begin_delete(GROUP, "churn").result() is None


def test_patch_changes_tags_and_restarts_nothing(arm: Arm, sdk: Client) -> None:
    put(sdk, tags={"a": "1", "b": "2"})
    assert sdk.container_groups.update(GROUP, "churn", Resource(tags={"a": "3"})).tags == {"a": "3"}
    assert len(arm.runner.started) == 1


def test_lists_show_no_instances(sdk: Client) -> None:
    put(sdk)
    for listed in (sdk.container_groups.list(), sdk.container_groups.list_by_resource_group(GROUP)):
        (only,) = list(listed)
        assert (only.name, only.instance_view, only.containers[0].instance_view) == ("churn", None, None)


def test_what_is_secret_is_never_shown_again(arm: Arm) -> None:
    secrets = {
        "password": "pass-word",
        "workspaceKey": "work-key",
        "secureValue": "env-secret",
        "file": "ZmlsZS1zZWNyZXQ=",
    }
    body = group_body(
        container={
            "environmentVariables": [{"name": "B", "secureValue": secrets["secureValue"]}, {"name": "A", "value": "1"}],
            "volumeMounts": [{"name": "keys", "mountPath": "/keys"}],
        },
        volumes=[{"name": "keys", "secret": {"api": secrets["file"]}}],
        imageRegistryCredentials=[{"server": "registry.example", "username": "u", "password": secrets["password"]}],
        diagnostics={"logAnalytics": {"workspaceId": "w", "workspaceKey": secrets["workspaceKey"]}},
    )
    with arm.http() as http:
        texts = [http.put(group_path("churn"), json=body).text]
        wait_until(lambda: http.get(group_path("churn")).json()["properties"]["provisioningState"] == "Succeeded")
        texts += [http.get(group_path("churn")).text, http.get(group_path("")).text]
        shown = http.get(group_path("churn")).json()["properties"]
    assert not [secret for secret in secrets.values() for text in texts if secret in text]
    assert shown["containers"][0]["properties"]["environmentVariables"] == [{"name": "B"}, {"name": "A", "value": "1"}]
    assert (shown["volumes"], shown["imageRegistryCredentials"]) == (
        [{"name": "keys", "secret": {}}],
        [{"server": "registry.example", "username": "u"}],
    )
    (started,) = arm.runner.started
    assert (dict(started.environment), dict(started.files)) == (
        {"B": "env-secret", "A": "1"},
        {"/keys/api": b"file-secret"},
    )


def test_the_bodys_credentials_are_those_that_an_image_is_pulled_with(arm: Arm, sdk: Client) -> None:
    image = "registry.example/fake:1"
    arm.runner.images[image] = Image(password="right")
    good = {"server": "registry.example", "username": "dray", "password": "right"}
    for wrong in ([], [{**good, "password": "no"}], [{**good, "server": "other.example"}]):
        assert refusal(sdk, image=image, imageRegistryCredentials=wrong).error.code == "InaccessibleImage"
    assert arm.held == []
    assert put(sdk, image=image, imageRegistryCredentials=[good]).provisioning_state == "Succeeded"


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("denied", 400, "InaccessibleImage"),
        ("missing", 400, "InaccessibleImage"),
        ("unreachable", 409, "RegistryErrorResponse"),
    ],
)
def test_a_refused_pull_is_told_as_azure_tells_it(arm: Arm, sdk: Client, kind: Any, status: int, code: str) -> None:
    arm.runner.images["broken"] = Image(refused=kind)
    error = refusal(sdk, image="broken")
    assert (error.status_code, error.error.code) == (status, code)
    with pytest.raises(ResourceNotFoundError):
        sdk.container_groups.get(GROUP, "churn")


def test_a_refused_update_leaves_what_runs(arm: Arm, sdk: Client) -> None:
    put(sdk)
    arm.runner.images["broken"] = Image(refused="missing")
    refusal(sdk, image="broken")
    assert sdk.container_groups.get(GROUP, "churn").instance_view.state == "Running"
    assert len(arm.runner.started) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"restartPolicy": "Never"}, 'RestartPolicy (old "Always", new "Never")'),
        ({"container": {"resources": {"requests": {"cpu": 2, "memoryInGB": 1.5}}}}, 'CPU (old "1", new "2")'),
        ({"container": {"resources": {"requests": {"cpu": 1, "memoryInGB": 2}}}}, 'Memory (old "1.5", new "2")'),
        ({"subnetIds": [{"id": "/subscriptions/s"}]}, "SubnetIds"),
    ],
)
def test_what_cannot_change_in_place_is_refused_until_the_group_is_stopped(sdk: Client, change: Any, told: str) -> None:
    put(sdk)
    error = refusal(sdk, **change)
    assert (error.status_code, error.error.code) == (400, "InvalidContainerGroupUpdate")
    assert told in error.error.message
    sdk.container_groups.stop(GROUP, "churn")
    wait_until(lambda: sdk.container_groups.get(GROUP, "churn").instance_view.state == "Stopped")
    assert put(sdk, **change).instance_view.state == "Running"


def test_a_group_stays_in_its_region(sdk: Client) -> None:
    put(sdk)
    assert refusal(sdk, location="eastus").error.code == "InvalidResourceLocation"
    assert put(sdk, location="West Europe").location == "westeurope"


def test_a_label_is_one_groups_in_a_region(sdk: Client) -> None:
    put(sdk, label="churn-label")
    assert refusal(sdk, "other", label="churn-label").error.code == "DnsNameLabelAlreadyTaken"
    assert put(sdk, "other", label="churn-label", location="eastus").provisioning_state == "Succeeded"


def test_of_two_puts_at_once_one_is_accepted_and_the_other_told_to_wait(arm: Arm, sdk: Client) -> None:
    gate = threading.Event()
    arm.runner.images["held"] = Image(pull_gate=gate)
    first = threading.Thread(target=put, args=(sdk,), kwargs={"image": "held"})
    first.start()
    wait_until(lambda: arm.runner.pulls)
    error = refusal(sdk, image="other")
    assert (error.status_code, error.error.code) == (409, "ContainerGroupTransitioning")
    gate.set()
    first.join(15)
    assert [each.image for each in arm.runner.started] == ["held"]


def test_while_a_group_changes_it_can_be_neither_stopped_nor_deleted(
    arm: Arm, sdk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_routes, "SOON_S", 0.0)
    put(sdk)
    arm.runner.stop_gate = threading.Event()
    sdk.container_groups.stop(GROUP, "churn")
    for refused in (sdk.container_groups.stop, sdk.container_groups.begin_delete, sdk.container_groups.begin_start):
        with pytest.raises(HttpResponseError) as caught:
            refused(GROUP, "churn")
        assert (caught.value.status_code, caught.value.error.code) == (409, "ContainerGroupTransitioning")
    assert sdk.container_groups.update(GROUP, "churn", Resource(tags={"a": "1"})).tags == {"a": "1"}
    arm.runner.stop_gate.set()


def test_logs_are_cut_and_stamped_as_asked(arm: Arm, sdk: Client) -> None:
    arm.runner.images["chatty"] = Image(log="one\ntwo\nthree\n")
    put(sdk, image="chatty")
    assert sdk.containers.list_logs(GROUP, "churn", "model").content == "one\ntwo\nthree\n"
    assert sdk.containers.list_logs(GROUP, "churn", "model", tail=1).content == "three\n"
    stamped = sdk.containers.list_logs(GROUP, "churn", "model", tail=1, timestamps=True).content
    assert stamped.endswith("Z three\n")
    with pytest.raises(ResourceNotFoundError, match="ContainerNotFound"):
        sdk.containers.list_logs(GROUP, "churn", "stranger")


def test_usages_count_what_runs_and_the_quota_holds(arm: Arm, sdk: Client) -> None:
    put(sdk, container={"resources": {"requests": {"cpu": 1.5, "memoryInGB": 1}}})
    used = {each.name.value: each.current_value for each in sdk.location.list_usage("westeurope")}
    assert (used["ContainerGroups"], used["StandardCores"]) == (1, 2)
    gpus = {"resources": {"requests": {"cpu": 1, "memoryInGB": 1, "gpu": {"count": 4, "sku": "V100"}}}}
    put(sdk, "first", container={**gpus, "ports": []}, ipAddress=None)
    error = refusal(sdk, "second", container={**gpus, "ports": []}, ipAddress=None)
    assert error.error.code == "ContainerGroupQuotaReached"
    assert (
        "'StandardV100Cores' exceeded in region 'westeurope'. Limit: '4', Usage: '4' Requested: '4'." in error.message
    )


def test_init_containers_run_to_their_end_first(arm: Arm, sdk: Client) -> None:
    arm.runner.images["first"] = Image(exit_code=0)
    arm.runner.images["bad"] = Image(exit_code=3)
    put(sdk, initContainers=[{"name": "init", "properties": {"image": "first"}}])
    assert next(each.image for each in arm.runner.started) == "first"
    with pytest.raises(HttpResponseError, match="exit code 3"):
        put(sdk, "other", initContainers=[{"name": "init", "properties": {"image": "bad"}}])


def test_a_delete_that_takes_long_goes_on_after_its_answer(
    arm: Arm, sdk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_routes, "SOON_S", 0.0)
    put(sdk)
    arm.runner.stop_gate = threading.Event()
    poller = sdk.container_groups.begin_delete(GROUP, "churn")
    assert sdk.container_groups.get(GROUP, "churn").provisioning_state == "Deleting"
    arm.runner.stop_gate.set()
    poller.result()
    with pytest.raises(ResourceNotFoundError):
        sdk.container_groups.get(GROUP, "churn")


def test_a_label_of_a_narrower_scope_has_a_name_of_its_own(sdk: Client) -> None:
    def address(scope: str) -> dict[str, Any]:
        ports = [{"port": 18080, "protocol": "TCP"}]
        return {
            "type": "Public",
            "ports": ports,
            "dnsNameLabel": "churn-label",
            "autoGeneratedDomainNameLabelScope": scope,
        }

    names = [
        put(sdk, f"of-{scope.lower()}", ipAddress=address(scope)).ip_address.fqdn for scope in ("Unsecure", "Noreuse")
    ]
    assert names[0] == "churn-label.westeurope.azurecontainer.io"
    assert len(names[1].split(".")) == 5
    assert refusal(sdk, "other", ipAddress=address("Unsecure")).error.code == "DnsNameLabelAlreadyTaken"
    assert put(sdk, "other", ipAddress=address("Noreuse")).ip_address.fqdn not in names


def test_a_new_group_is_shown_as_azure_shows_one(arm: Arm) -> None:
    """Source: recordings of Azure/azure-cli and Azure/azure-powershell, of creating a group."""
    body = group_body(label="churn-label", ipAddress=None)
    del body["tags"]
    body["properties"]["containers"][0]["properties"]["image"] = "registry.example/fake:1"
    with arm.http() as http:
        first = http.put(group_path("churn"), json=body).json()
        wait_until(lambda: http.get(group_path("churn")).json()["properties"]["provisioningState"] == "Succeeded")
        later = http.get(group_path("churn")).json()
    assert list(first) == ["properties", "id", "name", "type", "location"]
    assert first["properties"] == {
        "sku": "Standard",
        "provisioningState": "Pending",
        "provisioningTimeoutInSeconds": 1800,
        "isCustomProvisioningTimeout": False,
        "containers": [
            {
                "name": "model",
                "properties": {
                    "image": "registry.example/fake:1",
                    "ports": [{"port": 18080, "protocol": "TCP"}],
                    "environmentVariables": [],
                    "resources": {"requests": {"cpu": 1.0, "memoryInGB": 1.5}},
                },
            }
        ],
        "initContainers": [],
        "osType": "Linux",
        "instanceView": {"events": [], "state": "Pending"},
    }
    view = later["properties"]["containers"][0]["properties"]["instanceView"]
    assert view["events"][0]["message"] == f'pulling image "registry.example/fake@sha256:{"0" * 64}"'
    assert list(view) == ["restartCount", "currentState", "events"]


def test_a_stopped_container_is_shown_as_azure_shows_one(sdk: Client) -> None:
    """Source: a recording of Azure/azure-powershell, Stop-AzContainerGroup."""
    put(sdk)
    sdk.container_groups.begin_restart(GROUP, "churn").result()
    sdk.container_groups.stop(GROUP, "churn")
    view = sdk.container_groups.get(GROUP, "churn").containers[0].instance_view
    assert (view.current_state.state, view.current_state.exit_code) == ("Terminated", None)
    assert view.current_state.detail_status == "Container stopped per client request"
    assert view.previous_state.state == "Running"
    counts = {event.name: event.count for event in view.events}
    assert (counts["Pulling"], counts["Started"], counts["Killing"], view.restart_count) == (1, 2, 2, 0)
