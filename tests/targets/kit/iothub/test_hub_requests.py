"""Requests to a hub: patience where it helps, and refusals as our own errors."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from packager.core.errors import (
    CloudFailed,
    CloudUnreachable,
    ConfigurationError,
    DeploymentMissing,
    DeviceMissing,
    DeviceOffline,
    DrayError,
    Forbidden,
    InvocationError,
    NotSignedIn,
    QuotaReached,
    RequestRefused,
    Throttled,
    Transitioning,
)
from targets.kit.iothub.access import SharedKey, connection_access
from targets.kit.iothub.hub import Hub, desired_of
from tests.support.scripted_hub import CONNECTION_STRING, Refused, ScriptedHub, serving_hub


@pytest.fixture(scope="module")
def served() -> Iterator[ScriptedHub]:
    with serving_hub(ScriptedHub()) as hub:
        yield hub


@pytest.fixture
def scripted(served: ScriptedHub) -> ScriptedHub:
    for each in (served.devices, served.requests, served.refusals):
        each.clear()  # type: ignore[attr-defined]
    served.add("edge-1")
    return served


@pytest.fixture
def hub(scripted: ScriptedHub) -> Iterator[Hub]:
    with Hub(connection_access(CONNECTION_STRING, base_url=scripted.url, poll_s=0.001)) as hub:
        yield hub


def test_throttled_and_failing_hub_is_asked_again(scripted: ScriptedHub, hub: Hub) -> None:
    scripted.refusals += [
        Refused(429, "ThrottlingException", "slow down", {"Retry-After": "0"}),
        Refused(500, "ServerError", "oops"),
        Refused(503, "ServiceUnavailable", "oops"),
    ]

    assert hub.twin("edge-1")["deviceId"] == "edge-1"
    assert scripted.requests == ["GET /twins/edge-1"] * 4


def test_throttling_for_longer_than_anybody_waits_is_told_at_once(scripted: ScriptedHub, hub: Hub) -> None:
    scripted.refusals.append(Refused(429, "ThrottlingException", "slow down", {"Retry-After": "3600"}))

    with pytest.raises(Throttled) as caught:
        hub.twin("edge-1")

    assert caught.value.detail["retry_after_s"] == 3600
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "IotHubUnauthorizedAccess", NotSignedIn),
        (403, "IotHubUnauthorized", Forbidden),
        (403, "IotHubQuotaExceeded", QuotaReached),
        (404, "DeviceNotFound", DeviceMissing),
        (404, "ModuleNotFound", DeploymentMissing),
        (404, "DeviceNotOnline", DeviceOffline),
        (404, "", DeploymentMissing),
        (409, "ConfigurationAlreadyExists", Transitioning),
        (412, "PreconditionFailed", Transitioning),
        (400, "ArgumentInvalid", RequestRefused),
        (504, "GatewayTimeout", InvocationError),
    ],
)
def test_refusal_is_an_error_of_its_cause(
    scripted: ScriptedHub, hub: Hub, status: int, code: str, kind: type[DrayError]
) -> None:
    scripted.refusals.append(Refused(status, code, "the hub's own words"))

    with pytest.raises(kind, match="the hub's own words") as caught:
        hub.twin("edge-1")

    assert type(caught.value) is kind
    assert (caught.value.detail["status"], caught.value.detail["hub_code"]) == (status, code)
    assert caught.value.hint


def test_hub_that_fails_every_time_is_given_up(scripted: ScriptedHub, hub: Hub) -> None:
    scripted.refusals += [Refused(500, "ServerError", "oops")] * 5

    with pytest.raises(CloudFailed):
        hub.twin("edge-1")


def test_refusal_of_a_method_holds_json_within_json(scripted: ScriptedHub, hub: Hub) -> None:
    scripted.refusals.append(Refused(404, "", '{"errorCode":404103,"message":"Timed out waiting for device."}'))

    with pytest.raises(DeviceOffline, match="Timed out waiting for device"):
        hub.method("edge-1", "churn", "health", {}, timeout_s=5)


def test_another_key_is_refused(scripted: ScriptedHub) -> None:
    access = connection_access(CONNECTION_STRING, base_url=scripted.url)

    with Hub(replace(access, key=SharedKey("iothubowner", b"another"))) as hub, pytest.raises(NotSignedIn) as caught:
        hub.twin("edge-1")

    assert caught.value.code == "E-AUTH"


def test_twin_changes_only_under_its_etag(scripted: ScriptedHub, hub: Hub) -> None:
    etag = str(hub.twin("edge-1")["etag"])
    hub.patch_twin("edge-1", {"tags": {"a": 1}}, etag=etag)

    with pytest.raises(Transitioning):
        hub.patch_twin("edge-1", {"tags": {"a": 2}}, etag=etag)

    assert hub.twin("edge-1")["tags"] == {"a": 1}


def test_desired_properties_come_without_what_the_hub_adds(scripted: ScriptedHub, hub: Hub) -> None:
    scripted.devices["edge-1"].modules["$edgeAgent"].desired = {"schemaVersion": "1.1"}

    assert desired_of(hub.twin("edge-1", "$edgeAgent")) == {"schemaVersion": "1.1"}
    assert hub.find_twin("edge-1", "nobody") is None


def test_query_goes_on_over_its_pages(scripted: ScriptedHub, hub: Hub) -> None:
    for number in range(250):
        scripted.add(f"d{number:03}", edge=False).twin.tags = {"site": "far"}

    rows = [row["deviceId"] for row in hub.query("SELECT * FROM devices WHERE tags.site = 'far'")]

    assert rows == [f"d{number:03}" for number in range(250)]
    assert len(scripted.requests) == 3
    assert len(list(hub.query("SELECT * FROM devices WHERE tags.site = 'far'", most=7))) == 7


def test_nobody_at_the_address_is_told_with_the_hubs_name() -> None:
    access = connection_access(CONNECTION_STRING, base_url="http://127.0.0.1:9", poll_s=0.001)

    with Hub(access) as hub, pytest.raises(CloudUnreachable, match=r"scripted\.azure-devices\.net did not answer"):
        hub.twin("edge-1")


def test_authority_that_cannot_be_read_is_a_matter_of_configuration(tmp_path: Path) -> None:
    access = connection_access(CONNECTION_STRING, base_url="https://127.0.0.1:9", ca_file=tmp_path / "none.pem")

    with pytest.raises(ConfigurationError, match=r"none\.pem"):
        Hub(access)
