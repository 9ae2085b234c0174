"""What can go wrong with a module on a device, as its agent reports it."""

from typing import Any

import pytest

from targets.rehearsal.iothub import faults
from targets.rehearsal.iothub.create_options import OptionsRefused, options_of
from tests.support.hub_server import EdgeHubServer, module_spec, wait_until


def settled(hub: EdgeHubServer, image: str) -> dict[str, Any]:
    """What the agent reports of an idle module of a new image, once that tells how it ended."""
    hub.apply("edge-1", {"idle": module_spec(image, restartPolicy="never")}, routes={})

    def done() -> bool:
        reported = hub.reported("edge-1")
        twin = hub.get("/twins/edge-1/modules/%24edgeAgent")["properties"]
        if reported.get("lastDesiredVersion") != twin["desired"]["$version"]:
            return False
        module = reported["modules"].get("idle", {})
        return reported["lastDesiredStatus"]["code"] != 200 or (
            module.get("settings", {}).get("image") == image and module["runtimeStatus"] in ("failed", "stopped")
        )

    wait_until(done)
    return hub.reported("edge-1")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("image-pull", "Client.Timeout exceeded"),
        ("pull-auth", "401 Unauthorized"),
        ("image-missing", "manifest unknown"),
    ],
)
def test_an_image_that_cannot_be_had_is_in_the_agents_status(hub: EdgeHubServer, fault: str, words: str) -> None:
    hub.faults.set((fault,))
    status = settled(hub, f"never:{fault}")["lastDesiredStatus"]
    assert (status["code"], words in status["description"]) == (500, True)
    assert f"Could not pull image never:{fault}" in status["description"]


def test_a_module_whose_image_never_came_leaves_no_identity(hub: EdgeHubServer) -> None:
    hub.faults.set(("image-missing",))
    hub.apply("edge-3", {"never": module_spec("never:1")}, routes={})
    wait_until(lambda: hub.reported("edge-3").get("lastDesiredStatus", {}).get("code") == 500)
    hub.apply("edge-3", {}, routes={})
    wait_until(lambda: hub.ask("GET", "/devices/edge-3/modules/never").status_code == 404)


@pytest.mark.parametrize(("fault", "code"), [("crash", 1), ("oom", 137), ("arch", 1)])
def test_a_module_that_ends_has_its_exit_code_and_its_last_words(hub: EdgeHubServer, fault: str, code: int) -> None:
    hub.faults.set((fault,))
    module = settled(hub, f"idle:{fault}")["modules"]["idle"]
    assert (module["runtimeStatus"], module["exitCode"]) == ("failed", code)
    logs = {"schemaVersion": "1.0", "items": [{"id": "^idle$"}], "encoding": "none"}
    [log] = hub.method("edge-1", "$edgeAgent", "GetModuleLogs", logs).json()["payload"]
    assert {"crash": "Traceback", "oom": "listening", "arch": "exec format error"}[fault] in log["payload"]


def test_a_weak_moment_of_a_registry_passes(hub: EdgeHubServer) -> None:
    hub.faults.set(("image-pull:1",))
    hub.apply("edge-2", {"idle": module_spec("idle:1")}, routes={})
    wait_until(lambda: hub.running("edge-2", "idle"))
    assert hub.reported("edge-2")["lastDesiredStatus"] == {"code": 200, "description": ""}


def test_a_device_that_a_fault_takes_away_comes_back_with_it(hub: EdgeHubServer) -> None:
    hub.faults.set(("offline",))
    hub.apply("edge-3", {"idle": module_spec("idle:1")}, routes={})
    assert hub.get("/devices/edge-3")["connectionState"] == "Disconnected"
    assert "idle" not in hub.reported("edge-3").get("modules", {})
    hub.faults.set(())
    wait_until(lambda: hub.running("edge-3", "idle"))


def test_what_a_fault_makes_of_a_modules_words() -> None:
    test = {"passed": True, "checks": [{"name": "a", "passed": True}]}
    spoilt = faults.stained_method("wrong-answer", "selftest", 200, test)
    assert spoilt is not None
    assert (spoilt[1]["passed"], spoilt[1]["checks"][0]["passed"]) == (False, False)
    answer = faults.stained_method("wrong-answer", "predict", 200, {"predictions": [1]})
    assert answer == (200, {"predictions": [2]})
    assert faults.stained_method("method-timeout", "health", 200, {}) is None
    assert faults.stained_method("slow", "health", 200, {"ready": True}) == (200, {"ready": False, "state": "starting"})
    assert faults.stained_report("slow", {"dray": {"state": "ready"}}) == {"dray": {"state": "starting"}}
    assert faults.stained_body("wrong-answer", "errors", b'{"error": 1}') == b'{"error": 1}'
    assert faults.stained_method("", "predict", 200, test) == (200, test)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ('{"HostConfig": {"Privileged": true}}', "Privileged"),
        ('{"HostConfig": {"Binds": ["/etc:/etc"]}}', "no folder of this machine"),
        ('{"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b"}]}}', "type 'bind'"),
        ('{"HostConfig": {"Binds": ["a:../b"]}}', "no place"),
        ('{"HostConfig": {"Binds": 7}}', "not understood"),
    ],
)
def test_options_that_would_give_a_module_this_machine_are_refused(options: str, words: str) -> None:
    with pytest.raises(OptionsRefused, match=words):
        options_of({"image": "x", "createOptions": options})


def test_options_in_parts_are_put_together() -> None:
    settings = {
        "image": "x",
        "createOptions": '{"Env": ["A=b=c"], "Cmd": ["run"], "HostConfig": {"Memory": 536870912,',
        "createOptions01": '"NanoCpus": 1500000000, "Binds": ["journal:/var/lib/dray:rw"]}}',
    }
    options = options_of(settings)
    assert (options.environment, options.command) == ({"A": "b=c"}, ("run",))
    assert (options.memory_mib, options.cpus, options.volumes) == (512, 1.5, {"/var/lib/dray": "journal"})
