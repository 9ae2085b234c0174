"""The service's API, as its clients see it."""

import base64
from typing import Any

import pytest

from targets.rehearsal.iothub.sas import HOST
from tests.support.hub_server import EdgeHubServer, content, module_spec, signature, wait_until

WELL = "SELECT deviceId FROM devices WHERE properties.reported.lastDesiredStatus.code"
LAYER = {
    "content": {
        "modulesContent": {
            "$edgeAgent": {"properties.desired.modules.idle": module_spec("idle:1")},
            "$edgeHub": {"properties.desired.routes.idle": "FROM /messages/modules/idle/* INTO $upstream"},
            "idle": {"properties.desired.colour": "red"},
        }
    },
    "targetCondition": "tags.line = 'a' or deviceId = 'edge-1'",
    "priority": 5,
    "labels": {"made": "by a test"},
    "metrics": {"queries": {"well": f"{WELL} = 200"}},
}  # fmt: skip
OTHER_KEY = base64.b64encode(b"another").decode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer x",
        signature(key=OTHER_KEY),
        signature(lasts_s=-5),
        signature(policy="service"),
        signature(resource="other.azure-devices.net"),
        signature(resource=f"{HOST}/devices/edge-2"),
        "SharedAccessSignature sr=x",
    ],
)
def test_a_request_without_a_good_signature_is_refused(hub: EdgeHubServer, header: str) -> None:
    answer = hub.ask("GET", "/devices/edge-1", headers={"Authorization": header})
    assert (answer.status_code, answer.headers["iothub-errorcode"]) == (401, "IotHubUnauthorizedAccess")
    assert answer.json()["Message"] == "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"


def test_a_signature_for_a_part_of_the_hub_is_good_there(hub: EdgeHubServer) -> None:
    header = {"Authorization": signature(resource=f"{HOST}/devices/edge-1")}
    assert hub.ask("GET", "/devices/edge-1", headers=header).status_code == 200


def test_the_fleet_is_registered_with_its_tags_and_what_agents_report(hub: EdgeHubServer) -> None:
    names = [each["deviceId"] for each in hub.get("/devices")]
    assert names == ["edge-1", "edge-2", "edge-3", "edge-arm64", "edge-offline", "line-1", "line-2"]
    query = {"query": "SELECT deviceId FROM devices WHERE connectionState = 'Disconnected' AND tags.site = 'rehearsal'"}
    assert hub.ask("POST", "/devices/query", query).json() == [{"deviceId": "edge-offline"}]
    wait_until(lambda: "runtime" in hub.reported("edge-arm64"))
    assert hub.reported("edge-arm64")["runtime"]["platform"]["architecture"] == "aarch64"


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/devices/nobody", 404, "DeviceNotFound"),
        ("GET", "/twins/edge-1/modules/nobody", 404, "ModuleNotFound"),
        ("GET", "/configurations/nothing", 404, "ConfigurationNotFound"),
        ("GET", "/jobs/v2", 404, "ResourceNotFound"),
        ("PATCH", "/devices/edge-1", 405, "MethodNotAllowed"),
        ("PUT", "/devices/edge-1", 409, "DeviceAlreadyExists"),
        ("DELETE", "/devices/edge-1/modules/%24edgeAgent", 400, "ArgumentInvalid"),
        ("POST", "/devices/nobody/applyConfigurationContent", 404, "DeviceNotFound"),
        ("POST", "/devices/query", 400, "InvalidQuery"),
    ],
)
def test_what_is_not_there_or_not_allowed_is_refused_by_name(
    hub: EdgeHubServer, method: str, path: str, status: int, name: str
) -> None:
    answer = hub.ask(method, path, {})
    assert (answer.status_code, answer.headers["iothub-errorcode"]) == (status, name)


def test_an_api_version_that_there_is_not_is_refused(hub: EdgeHubServer) -> None:
    answer = hub.ask("GET", "/devices", params={"api-version": "2031-01-01"})
    assert (answer.status_code, answer.headers["iothub-errorcode"]) == (400, "InvalidProtocolVersion")


def test_a_twin_is_patched_only_where_it_is_as_the_client_knows_it(hub: EdgeHubServer) -> None:
    twin = hub.ask("GET", "/twins/edge-3")
    known = {"If-Match": twin.headers["etag"]}
    patch = {"tags": {"floor": 3}, "properties": {"desired": {"a": {"b": 1}}}}
    first = hub.ask("PATCH", "/twins/edge-3", patch, headers=known)
    assert (first.status_code, first.json()["tags"]["floor"]) == (200, 3)
    second = hub.ask("PATCH", "/twins/edge-3", {"tags": {"floor": None}}, headers=known)
    assert (second.status_code, second.headers["iothub-errorcode"]) == (412, "PreconditionFailed")
    assert hub.ask("PATCH", "/twins/edge-3", {"tags": {"floor": None}}, headers={"If-Match": "*"}).status_code == 200
    assert "floor" not in hub.get("/twins/edge-3")["tags"]


def test_devices_and_modules_come_and_go(hub: EdgeHubServer) -> None:
    made = hub.ask("PUT", "/devices/new", {"deviceId": "new", "capabilities": {"iotEdge": True}})
    assert made.json()["capabilities"] == {"iotEdge": True}
    assert [each["moduleId"] for each in hub.get("/devices/new/modules")] == ["$edgeAgent", "$edgeHub"]
    assert hub.ask("PUT", "/devices/new/modules/m", {"deviceId": "new", "moduleId": "m"}).status_code == 200
    assert hub.ask("DELETE", "/devices/new", headers={"If-Match": '"other"'}).status_code == 412
    assert hub.ask("DELETE", "/devices/new", headers={"If-Match": "*"}).status_code == 204
    assert hub.ask("GET", "/twins/new/modules/m").status_code == 404


def test_a_layered_deployment_reaches_the_devices_that_have_a_base_and_counts_them(hub: EdgeHubServer) -> None:
    assert hub.ask("PUT", "/configurations/layer", LAYER).status_code == 201
    assert hub.ask("PUT", "/configurations/layer", LAYER).status_code == 409
    wait_until(lambda: hub.running("line-1", "idle") and hub.running("line-2", "idle"))
    assert hub.get("/twins/line-1/modules/idle")["properties"]["desired"]["colour"] == "red"
    assert hub.get("/twins/line-1")["configurations"]["layer"] == {"status": "Applied"}
    assert hub.get("/twins/edge-1")["configurations"]["layer"] == {"status": "Targeted"}
    shown = hub.get("/configurations/layer")
    counts = {"targetedCount": 3, "appliedCount": 2, "reportedSuccessfulCount": 2, "reportedFailedCount": 0}
    assert shown["systemMetrics"]["results"] == counts
    assert shown["metrics"]["results"]["well"] >= 2
    assert shown["labels"] == {"made": "by a test"}

    changed = {**LAYER, "targetCondition": "deviceId = 'line-2'", "etag": shown["etag"]}
    assert (
        hub.ask("PUT", "/configurations/layer", changed, headers={"If-Match": f'"{shown["etag"]}"'}).status_code == 200
    )
    wait_until(lambda: not hub.reported("line-1")["modules"])
    assert hub.ask("DELETE", "/configurations/layer").status_code == 204
    wait_until(lambda: not hub.reported("line-2")["modules"])
    assert hub.held[-1] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"targetCondition": "tags.x = "}, "Invalid target condition"),
        ({"priority": -1}, "priority is -1"),
        ({"surprise": 1}, "no field 'surprise'"),
        ({"labels": {"a": 1}}, "labels must be"),
        ({"content": {"modulesContent": {"$edgeAgent": {"properties.desired.modules.a": {}}}}}, "lacks 'type'"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(hub: EdgeHubServer, change: dict[str, Any], words: str) -> None:
    answer = hub.ask("PUT", "/configurations/bad", {**LAYER, **change})
    assert answer.status_code == 400
    assert words in answer.json()["Message"]


def test_a_direct_method_of_who_is_away_says_so_in_json_within_json(hub: EdgeHubServer) -> None:
    answer = hub.method("edge-offline", "$edgeAgent", "ping")
    assert (answer.status_code, answer.headers["iothub-errorcode"]) == (404, "DeviceNotOnline")
    assert '"errorCode": 404103' in answer.json()["Message"]
    assert hub.method("edge-1", "nobody", "ping").headers["iothub-errorcode"] == "ModuleNotFound"
    assert hub.method("edge-1", "$edgeAgent", "ping").json() == {"status": 200, "payload": None}
    assert hub.method("edge-1", "$edgeAgent", "ping", "x" * (128 << 10)).status_code == 413
    assert hub.method("edge-1", "$edgeAgent", "ping", responseTimeoutInSeconds=4).status_code == 400


@pytest.mark.parametrize(
    ("fault", "status", "name"),
    [
        ("unauthorized", 401, "IotHubUnauthorizedAccess"),
        ("forbidden", 403, "IotHubUnauthorized"),
        ("quota", 403, "IotHubQuotaExceeded"),
        ("device-missing", 404, "DeviceNotFound"),
        ("throttle", 429, "ThrottlingException"),
        ("server-error", 500, "ServerError"),
    ],
)
def test_a_fault_strikes_a_change_once_where_it_says_once(
    hub: EdgeHubServer, fault: str, status: int, name: str
) -> None:
    hub.faults.set((f"{fault}:1",))
    struck = hub.ask("POST", "/devices/edge-arm64/applyConfigurationContent", content({}))
    assert (struck.status_code, struck.headers["iothub-errorcode"]) == (status, name)
    hub.apply("edge-arm64", {})


def test_an_answer_that_is_cut_leaves_a_change_that_was_made(hub: EdgeHubServer) -> None:
    import httpx

    hub.faults.set(("drop:1",))
    with pytest.raises(httpx.TransportError):
        hub.ask("PATCH", "/twins/edge-arm64", {"tags": {"cut": True}})
    assert hub.get("/twins/edge-arm64")["tags"]["cut"] is True
