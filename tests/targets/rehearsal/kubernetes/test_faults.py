"""Each fault strikes where it says, and only there."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from targets.rehearsal.kubernetes import container_runs
from targets.rehearsal.kubernetes.faults import FAULTS
from tests.support.kubernetes_server import Kube, deployment, service, settled, wait_until

REQUESTS = {
    "unauthorized": (401, "Unauthorized", "Unauthorized"),
    "forbidden": (403, "Forbidden", 'User "rehearsal" cannot patch resource "deployments" in API group "apps" in the'),
    "throttle": (429, "TooManyRequests", "Too many requests, please try again later."),
    "server-error": (500, "InternalError", "Internal error occurred: etcdserver: request timed out"),
    "unavailable": (503, "ServiceUnavailable", "currently unable to handle the request"),
    "admission": (403, "Forbidden", 'admission webhook "policy.rehearsal.example" denied the request'),
    "quota": (403, "Forbidden", "exceeded quota: rehearsal, requested: count/deployments.apps=1"),
}
WAITING = {
    "image-pull": ("ImagePullBackOff", "i/o timeout"),
    "pull-auth": ("ImagePullBackOff", "401 Unauthorized"),
    "image-missing": ("ImagePullBackOff", "not found"),
    "config": ("CreateContainerConfigError", 'secret "rehearsed" not found'),
    "crash": ("CrashLoopBackOff", "back-off"),
    "oom": ("CrashLoopBackOff", "back-off"),
    "arch": ("CrashLoopBackOff", "back-off"),
}
ENDS = {
    "crash": (1, "Error", "Protobuf parsing failed"),
    "oom": (137, "OOMKilled", ""),
    "arch": (1, "Error", "exec format error"),
}
OTHERS = {
    "pod-quota", "pod-security", "conflict", "unschedulable", "slow", "probe", "wrong-answer", "drop", "gone-watch",
    "cut-watch",
}  # fmt: skip


def container_status(kube: Kube) -> dict[str, Any]:
    pods = kube.select("Pod")
    statuses = pods[0]["status"].get("containerStatuses") if pods else None
    return statuses[0] if statuses else {"state": {}, "restartCount": 0, "ready": False}


def reasons(kube: Kube) -> set[str]:
    return {each["reason"] for each in kube.select("Event")}


def test_every_fault_is_tried_here_or_in_the_tests_of_watches() -> None:
    assert set(FAULTS) == {*REQUESTS, *WAITING, *OTHERS}


def test_every_fault_is_documented() -> None:
    page = (Path(__file__).parents[4] / "docs/rehearsal-kubernetes.md").read_text(encoding="utf-8")
    table = page.partition("## Faults")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)} == set(FAULTS)


@pytest.mark.parametrize("fault", REQUESTS)
def test_request_is_refused(kube: Kube, fault: str) -> None:
    kube.faults.set((f"{fault}:1",))

    refused, taken = kube.apply(deployment()), kube.apply(deployment())

    status, reason, words = REQUESTS[fault]
    assert (refused.status_code, refused.json()["reason"]) == (status, reason)
    assert words in refused.json()["message"]
    assert taken.status_code == 201
    assert (refused.headers.get("retry-after") == "1") == (fault == "throttle")


@pytest.mark.parametrize("fault", WAITING)
def test_container_waits_for_its_reason(kube: Kube, fault: str) -> None:
    kube.faults.set((fault,))
    kube.apply(deployment(replicas=1, container={"terminationMessagePolicy": "FallbackToLogsOnError"}))
    reason, words = WAITING[fault]

    wait_until(lambda: container_status(kube)["state"].get("waiting", {}).get("reason") == reason)

    status = container_status(kube)
    assert words in status["state"]["waiting"]["message"]
    if fault in ENDS:
        end = status["lastState"]["terminated"]
        code, why, last = ENDS[fault]
        assert (end["exitCode"], end["reason"], last in end["message"]) == (code, why, True)


def test_pull_that_fails_once_recovers(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_runs, "BACKOFF_S", 0.2)
    kube.faults.set(("image-pull:1",))
    kube.apply(deployment(replicas=1))

    settled(kube)

    assert {"Failed", "BackOff", "Pulled"} <= reasons(kube)


@pytest.mark.parametrize(
    ("fault", "words"), [("pod-quota", "exceeded quota"), ("pod-security", "violates PodSecurity")]
)
def test_pods_cannot_be_created(kube: Kube, fault: str, words: str) -> None:
    kube.faults.set((fault,))
    kube.apply(deployment())

    wait_until(lambda: "FailedCreate" in reasons(kube))

    failed = [each["message"] for each in kube.select("Event") if each["reason"] == "FailedCreate"]
    assert all(each.startswith('Error creating: pods "web-') for each in failed)
    condition = kube.select("ReplicaSet")[0]["status"]["conditions"][0]
    assert (condition["type"], words in condition["message"]) == ("ReplicaFailure", True)


def test_pod_finds_no_node(kube: Kube) -> None:
    kube.faults.set(("unschedulable",))
    kube.apply(deployment(replicas=1))

    wait_until(lambda: "FailedScheduling" in reasons(kube))

    (pod,) = kube.select("Pod")
    (condition,) = pod["status"]["conditions"]
    assert (pod["status"]["phase"], condition["reason"]) == ("Pending", "Unschedulable")
    assert condition["message"].startswith("0/1 nodes are available: 1 Insufficient cpu.")


def test_pod_is_never_ready(kube: Kube) -> None:
    kube.faults.set(("slow",))
    kube.apply(deployment(replicas=1))

    wait_until(lambda: "Unhealthy" in reasons(kube))

    messages = {each["message"] for each in kube.select("Event")}
    assert "Readiness probe failed: HTTP probe failed with statuscode: 503" in messages
    assert not container_status(kube)["ready"]


def test_pod_hangs_until_its_liveness_probe_ends_it(kube: Kube) -> None:
    kube.faults.set(("probe",))
    probe = {"httpGet": {"path": "/livez", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}
    kube.apply(deployment(replicas=1, container={"livenessProbe": probe}))

    wait_until(lambda: container_status(kube)["restartCount"] >= 1)

    assert "Killing" in reasons(kube)


def test_answers_are_wrong(kube: Kube) -> None:
    kube.faults.set(("wrong-answer",))
    kube.apply(deployment(replicas=1, port=18082))
    kube.apply(service(port=18092))
    settled(kube)
    address = kube.get("Service", "web")["spec"]["clusterIP"]

    answer = httpx.post(f"http://{address}:18092/v2/models/m/infer", json={}, trust_env=False)

    assert answer.json()["outputs"][0]["data"] == [4]


def test_field_is_somebody_elses(kube: Kube) -> None:
    kube.apply(deployment())
    kube.faults.set(("conflict:1",))

    refused = kube.apply(deployment())
    forced = kube.apply(deployment(), force="true")

    assert refused.json()["message"] == (
        'Apply failed with 1 conflict: conflict with "kubectl-edit" using apps/v1: .spec.replicas'
    )
    assert (forced.status_code, forced.json()["spec"]["replicas"]) == (200, 2)


def test_change_takes_effect_and_its_answer_is_lost(kube: Kube) -> None:
    kube.faults.set(("drop:1",))

    with pytest.raises(httpx.RemoteProtocolError):
        kube.apply(deployment())

    assert kube.get("Deployment", "web")["spec"]["replicas"] == 2


@pytest.mark.parametrize("fault", ["crash", "wrong-answer", "image-missing", "pod-quota", "admission", "unschedulable"])
def test_revision_that_has_served_is_spared(kube: Kube, fault: str) -> None:
    kube.apply(deployment(replicas=1))
    settled(kube)
    kube.faults.set((fault,))
    changed = kube.apply(deployment(replicas=1, container={"env": [{"name": "A", "value": "1"}]}))
    pods = [pod["metadata"]["name"] for pod in kube.select("Pod")]
    with kube.http() as http:
        http.delete(f"/api/v1/namespaces/default/pods/{pods[0]}").raise_for_status()

    back = kube.apply(deployment(replicas=1))

    assert changed.status_code == (403 if fault == "admission" else 200)
    assert back.status_code == 200
    settled(kube)
