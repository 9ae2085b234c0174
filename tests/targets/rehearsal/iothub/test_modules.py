"""Modules on edge devices, by the real SDK: messages, twins, direct methods, restarts, being away."""

import asyncio
import base64
import json
from typing import Any
from unittest.mock import Mock

import pytest

from targets.rehearsal.iothub.errors import HubError
from targets.rehearsal.iothub.packets import PacketInvalid, Publish
from targets.rehearsal.iothub.sessions import ModuleSession
from tests.support.hub_server import ECHO_ROUTES, EdgeHubServer, module_spec, wait_until


def started(hub: EdgeHubServer, device: str, image: str = "echo:1", **options: Any) -> None:
    """Deploy the echo module, and wait until it is connected."""
    hub.apply(device, {"echo": module_spec(image, **options.pop("spec", {}))}, **options)
    wait_until(lambda: hub.running(device, "echo"))
    wait_until(lambda: state(hub, device)["connected"])
    wait_until(lambda: "began" in hub.reported(device, "echo"))


def state(hub: EdgeHubServer, device: str) -> dict[str, Any]:
    """The module's, as the rehearsal knows it."""
    return dict(hub.own("GET", f"devices/{device}")["modules"]["echo"])


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return [json.loads(base64.b64decode(each["body"]))["n"] for each in messages]


def bodies(start: int, end: int) -> list[bytes]:
    return [json.dumps({"n": number}).encode() for number in range(start, end)]


def test_messages_twin_and_methods_go_both_ways(hub: EdgeHubServer) -> None:
    started(hub, "edge-1", echo={"colour": "red"})
    last = hub.own("GET", "upstream")["last"]
    hub.send("edge-1", "echo", *bodies(0, 50), level="high=1&2/3")
    got = hub.received(50, after=last)
    assert sorted(numbers(got)) == list(range(50))
    assert got[7]["properties"] == {"input": "in", "level": "high=1&2/3", "release": ""}
    assert (got[7]["system"]["correlationId"], got[7]["output"]) == (f"m{numbers(got)[7]}", "echo")

    assert hub.method("edge-1", "echo", "say", {"a": [1]}).json() == {
        "status": 200,
        "payload": {"method": "say", "payload": {"a": [1]}},
    }
    hub.ask("PATCH", "/twins/edge-1/modules/echo", {"properties": {"desired": {"colour": "blue"}}})
    wait_until(lambda: hub.reported("edge-1", "echo").get("seen", {}).get("colour") == "blue")
    logs = {"schemaVersion": "1.0", "items": [{"id": "echo", "filter": {"tail": 1}}]}
    assert "connected" in hub.method("edge-1", "$edgeAgent", "GetModuleLogs", logs).json()["payload"][0]["payload"]


def test_a_method_that_is_not_answered_times_out() -> None:
    class Silent:
        def send(self, content: bytes) -> None:
            assert b"$iothub/methods/POST/ask/?$rid=1" in content

    async def ask() -> None:
        session = ModuleSession("edge-1", "echo", Mock())
        session.open(Silent(), clean=False)
        session.subscribe("$iothub/methods/POST/#", 1)
        await session.call("ask", None, connect_s=0, answer_s=0)

    with pytest.raises(HubError) as refusal:
        asyncio.run(ask())
    assert (refusal.value.status, '"errorCode": 504101' in refusal.value.body()["Message"]) == (504, True)


@pytest.mark.parametrize(
    ("topic", "size", "words"),
    [
        ("devices/edge-1/modules/echo/messages/events/a=b", 256 << 10, "at most 262144"),
        ("devices/edge-1/modules/other/messages/events/", 1, "may not publish"),
        ("$iothub/twin/GET/?", 0, "no .rid"),
    ],
)
def test_what_a_module_may_not_send_ends_its_connection(topic: str, size: int, words: str) -> None:
    session = ModuleSession("edge-1", "echo", Mock())
    with pytest.raises(PacketInvalid, match=words):
        session.publish(Publish(topic, b"x" * size, 1, 1))


def test_what_waits_for_a_module_outlives_it(hub: EdgeHubServer) -> None:
    started(hub, "edge-2")
    last = hub.own("GET", "upstream")["last"]
    hub.own("POST", "devices/edge-2/cut", {"seconds": 1})
    wait_until(lambda: not state(hub, "edge-2")["connected"])
    hub.send("edge-2", "echo", *bodies(0, 40))
    assert state(hub, "edge-2")["queued"] == 40
    hub.own("POST", "devices/edge-2/modules/echo/kill")
    got = hub.received(40, after=last)
    assert sorted(set(numbers(got))) == list(range(40))
    wait_until(lambda: hub.reported("edge-2")["modules"]["echo"]["restartCount"])
    wait_until(lambda: hub.reported("edge-2")["modules"]["echo"]["runtimeStatus"] == "running")


def test_a_device_that_is_away_goes_on_and_catches_up(hub: EdgeHubServer) -> None:
    started(hub, "edge-3")
    last = hub.own("GET", "upstream")["last"]
    hub.own("POST", "devices/edge-3/offline")
    hub.send("edge-3", "echo", *bodies(0, 20))
    wait_until(lambda: hub.own("GET", "devices/edge-3")["waitingUp"] == 20)
    hub.ask("PATCH", "/twins/edge-3/modules/echo", {"properties": {"desired": {"colour": "green"}}})
    assert hub.get("/devices/edge-3")["connectionState"] == "Disconnected"
    assert hub.method("edge-3", "echo", "say").headers["iothub-errorcode"] == "DeviceNotOnline"
    assert hub.own("GET", "upstream")["last"] == last
    hub.own("POST", "devices/edge-3/online")
    assert sorted(numbers(hub.received(20, after=last))) == list(range(20))
    wait_until(lambda: hub.reported("edge-3", "echo").get("seen", {}).get("colour") == "green")


def test_an_update_that_cannot_be_pulled_leaves_what_runs_and_one_that_can_replaces_it(hub: EdgeHubServer) -> None:
    started(hub, "edge-1", spec={"env": {"RELEASE": {"value": "one"}}})
    hub.runner.images["gone:2"] = type(hub.runner).refusing("missing")
    hub.apply("edge-1", {"echo": module_spec("gone:2")})
    wait_until(lambda: hub.reported("edge-1").get("lastDesiredStatus", {}).get("code") == 500)
    reported = hub.reported("edge-1")
    assert "Could not pull image gone:2" in reported["lastDesiredStatus"]["description"]
    assert reported["modules"]["echo"]["settings"]["image"] == "echo:1"
    last = hub.own("GET", "upstream")["last"]
    hub.send("edge-1", "echo", *bodies(0, 1))
    assert hub.received(1, after=last)[0]["properties"]["release"] == "one"
    hub.apply("edge-1", {"echo": module_spec("echo:2", env={"RELEASE": {"value": "two"}})})
    wait_until(lambda: hub.reported("edge-1")["modules"]["echo"]["settings"]["image"] == "echo:2")
    hub.send("edge-1", "echo", *bodies(1, 2))
    assert hub.received(2, after=last)[1]["properties"]["release"] == "two"


def test_a_module_that_is_not_wanted_any_more_is_gone_with_its_identity(hub: EdgeHubServer) -> None:
    started(hub, "edge-1")
    hub.apply("edge-1", {})
    wait_until(lambda: not hub.reported("edge-1")["modules"])
    assert hub.ask("GET", "/devices/edge-1/modules/echo").status_code == 404


def test_a_module_that_is_wanted_again_while_it_ends_comes_back(hub: EdgeHubServer) -> None:
    started(hub, "edge-1")
    generation, process = hub.get("/devices/edge-1/modules/echo")["generationId"], hub.reported("edge-1", "echo")["pid"]
    hub.apply("edge-1", {})
    hub.apply("edge-1", {"echo": module_spec("echo:again")}, echo={"colour": "black"})
    wait_until(lambda: hub.reported("edge-1", "echo").get("pid") not in (None, process))
    identity, twin = hub.get("/devices/edge-1/modules/echo"), hub.get("/twins/edge-1/modules/echo")
    assert (identity["generationId"], twin["properties"]["desired"]["colour"]) == (generation, "black")


def test_a_broker_that_is_cut_comes_back_and_everything_arrives(stage: EdgeHubServer) -> None:
    started(stage, "edge-1", routes={**ECHO_ROUTES, "none": "FROM /messages/modules/other/* INTO $upstream"})
    stage.own("POST", "devices/edge-1/cut", {"seconds": 0.5})
    wait_until(lambda: not state(stage, "edge-1")["connected"])
    stage.send("edge-1", "echo", *bodies(0, 30))
    assert sorted(set(numbers(stage.received(30, timeout_s=60)))) == list(range(30))


def test_a_message_without_a_way_and_one_that_is_too_large_are_refused(hub: EdgeHubServer) -> None:
    started(hub, "edge-1", routes={})
    messages = {"module": "echo", "device": "edge-1", "messages": [{"body": base64.b64encode(b"x").decode()}]}
    refused = hub.ask_own("POST", "messages", messages)
    assert (refused.status_code, "no route of edge-1" in refused.json()["Message"]) == (400, True)
    messages["messages"] = [{"body": base64.b64encode(b"x" * (257 << 10)).decode()}]
    assert hub.ask_own("POST", "messages", messages).status_code == 413
    assert hub.ask_own("POST", "messages", {**messages, "module": "nobody"}).status_code == 404
