"""What whoever operates a device can ask and set while the module runs: direct methods and the twin."""

import re
from typing import Any

import pytest

from tests.support.edge_hub import EdgeHub
from tests.support.servers import RunningServer, infer_body

ROW = [5.1, 3.5, 1.4, 0.2]


def settled(hub: EdgeHub, name: str, value: Any) -> None:
    """Until the module reports that a setting holds."""
    hub.wait(lambda: hub.reported["settings"].get(name) == value, 10, f"{name} is not {value!r}")


def test_reported_properties_say_what_runs(hub: EdgeHub, module: RunningServer) -> None:
    served = module.readiness()["models"][0]
    reported = hub.reported
    assert {name: reported[name] for name in ("version", "digest", "provider", "state", "journal")} == {
        "version": served["version"],
        "digest": served["digest"],
        "provider": "CPUExecutionProvider",
        "state": "ready",
        "journal": "ok",
    }
    assert reported["model"] == "iris"
    assert "reason" not in reported
    assert reported["counts"]["connections"] == 1


def test_health_tells_the_model_and_its_metadata(hub: EdgeHub, module: RunningServer) -> None:
    status, health = hub.call("health")
    assert (status, health["state"], health["ready"]) == (200, "ready", True)
    assert health["digest"] == module.readiness()["models"][0]["digest"]
    assert health["metadata"]["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}]


def test_selftest_replays_every_test_data_set(hub: EdgeHub, module: RunningServer) -> None:
    status, found = hub.call("selftest")
    assert (status, found["passed"], found["provider"]) == (200, True, "CPUExecutionProvider")
    assert [check["name"] for check in found["checks"]] == ["test_data_set_0", "test_data_set_1"]
    assert all(check["passed"] and check["max_abs_error"] == 0 for check in found["checks"])


def test_predict_answers_as_a_message_would_be(hub: EdgeHub, module: RunningServer) -> None:
    status, answer = hub.call("predict", infer_body([ROW]))
    assert (status, answer["model_name"]) == (200, "iris")
    status, answer = hub.call("predict", {"instances": [ROW]})
    assert (status, len(answer["predictions"])) == (200, 1)


@pytest.mark.parametrize(
    ("method", "payload", "status", "code"),
    [
        ("predict", {"strange": 1}, 400, "E-INPUT"),
        ("predict", None, 400, "E-INPUT"),
        ("predict", {"instances": [ROW] * 3000}, 413, "E-MESSAGE-TOO-LARGE"),
        ("restart", None, 404, "E-NO-ROUTE"),
    ],
)
def test_a_method_that_fails_says_why(
    hub: EdgeHub, module: RunningServer, method: str, payload: Any, status: int, code: str
) -> None:
    found, error = hub.call(method, payload)
    assert (found, error["error_code"]) == (status, code)


def test_reload_loads_the_packages_anew(hub: EdgeHub, module: RunningServer) -> None:
    status, found = hub.call("reload")
    assert status == 200
    assert found["models"] == [{"model": "iris", "version": "1", "digest": module.readiness()["models"][0]["digest"]}]
    assert len(re.findall('"model ready"', module.stderr())) == 2


def test_a_module_that_is_held_takes_no_messages_and_answers_methods(hub: EdgeHub, module: RunningServer) -> None:
    before = len(hub.outputs)
    hub.desire({"hold": hub.reported["digest"]})
    hub.wait(lambda: hub.reported["state"] == "held", 10)
    module_log = module.stderr()
    assert '"taking": false' in module_log
    hub.send(infer_body([ROW]), mid="while-held")
    assert hub.call("selftest")[1]["passed"] is True
    assert hub.call("health")[1]["counts"]["received"] == before
    hub.desire({"hold": "sha256:" + "0" * 64})  # of the release that comes next: this one goes on
    hub.wait(lambda: hub.reported["state"] == "ready", 10)
    hub.send(infer_body([ROW]), mid="after")
    assert hub.wait_for_outputs(before + 1)[-1].correlation_id == "after"
    hub.desire({"hold": True})
    hub.wait(lambda: hub.reported["state"] == "held", 10)
    hub.desire({"hold": None})
    hub.wait(lambda: hub.reported["state"] == "ready", 10)


def test_bad_settings_are_named_and_the_old_ones_stay(hub: EdgeHub, module: RunningServer) -> None:
    hub.desire({"max_batch": 8, "log_level": "debug"})
    settled(hub, "max_batch", 8)
    assert hub.reported["settings"]["log_level"] == "debug"
    hub.desire({"max_batch": 0, "min_confidense": 0.5})
    hub.wait(lambda: "max_batch" in hub.reported["settings"]["errors"], 10)
    errors = hub.reported["settings"]["errors"]
    assert errors["max_batch"] == "0: expected a whole number from 1 to 65536"
    assert errors["min_confidense"] == "unknown, and ignored; did you mean min_confidence?"
    assert hub.reported["settings"]["max_batch"] == 8
    hub.desire({"max_batch": None, "min_confidense": None, "log_level": None})
    hub.wait(lambda: not hub.reported["settings"]["errors"], 10)
    assert "max_batch" not in hub.reported["settings"]


def test_answers_of_little_confidence_go_to_an_output_of_their_own(hub: EdgeHub, module: RunningServer) -> None:
    before = len(hub.outputs)
    hub.desire({"min_confidence": 0.9})
    settled(hub, "min_confidence", 0.9)
    hub.send(infer_body([[0.0, 0.0, 0.0, 0.0]]), mid="unsure")
    hub.send(infer_body([[99.0, 99.0, 99.0, 99.0]]), mid="sure")
    found = {output.correlation_id: output for output in hub.wait_for_outputs(before + 2)[before:]}
    assert (found["unsure"].name, found["sure"].name) == ("uncertain", "predictions")
    assert float(found["unsure"].properties["confidence"]) == pytest.approx(1 / 3, abs=1e-4)
    hub.desire({"min_confidence": None})
    hub.wait(lambda: "min_confidence" not in hub.reported["settings"], 10)
