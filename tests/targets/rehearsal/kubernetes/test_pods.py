"""Pods run as a kubelet runs them, and fail as it fails them."""

import base64
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.stream import portforward

from targets.rehearsal.kubernetes import container_runs
from targets.rehearsal.workload import Workload
from tests.support.fake_runner import FakeRunner, Image
from tests.support.kubernetes_server import IMAGE, Kube, deployment, kube_server, settled, wait_until


def only_pod(kube: Kube) -> dict[str, Any]:
    """Of a deployment of one."""
    pods = kube.select("Pod")
    return pods[0] if pods else {"status": {}}


def state(kube: Kube) -> dict[str, Any]:
    """Of its container, with the name of what it is in."""
    statuses = only_pod(kube)["status"].get("containerStatuses") or [{"state": {"none": {}}}]
    ((name, found),) = statuses[0]["state"].items()
    return {"is": name, **found}


def events(kube: Kube) -> set[tuple[str, str]]:
    return {(each["reason"], each["message"]) for each in kube.select("Event")}


def secret(name: str, kind: str = "Opaque", **data: bytes) -> dict[str, Any]:
    held = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": held}


def test_container_gets_environment_files_and_limits(kube: Kube) -> None:
    kube.apply(secret("keys", api=b"s3cret")).raise_for_status()
    container = {
        "env": [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)2"},
            {"name": "K", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
        "volumeMounts": [{"name": "keys", "mountPath": "/run/secrets"}],
        "command": ["python", "-m", "runtime"],
    }
    volumes = [{"name": "keys", "secret": {"secretName": "keys"}}]
    kube.apply(deployment(replicas=1, container=container, pod={"volumes": volumes}))
    settled(kube)

    (workload,) = kube.runner.started
    address = only_pod(kube)["status"]["podIP"]
    assert workload.environment == {"A": "1", "B": "12", "K": "s3cret", "IP": address}
    assert workload.files == {"/run/secrets/api": b"s3cret"}
    assert (workload.cpus, workload.memory_mib, workload.command) == (0.5, 256, ("python", "-m", "runtime"))
    assert address.startswith("127.78.")


def test_pull_secret_of_the_registry_is_shown_to_it(kube: Kube) -> None:
    kube.runner.images[IMAGE] = Image(password="right")
    config = {"auths": {"registry.example": {"auth": base64.b64encode(b"dray:right").decode()}}}
    kube.apply(secret("pull", "kubernetes.io/dockerconfigjson", _dockerconfigjson=json.dumps(config).encode()))
    kube.apply(deployment(replicas=1, pod={"imagePullSecrets": [{"name": "pull"}]}))

    settled(kube)

    assert only_pod(kube)["status"]["containerStatuses"][0]["imageID"] == IMAGE


@pytest.mark.parametrize(
    ("kind", "words"), [("denied", "401 Unauthorized"), ("missing", "not found"), ("unreachable", "i/o timeout")]
)
def test_image_that_cannot_be_had_is_backed_off_from(kube: Kube, kind: Any, words: str) -> None:
    kube.runner.images[IMAGE] = Image(refused=kind)
    kube.apply(deployment(replicas=1))

    wait_until(lambda: state(kube).get("reason") == "ImagePullBackOff")

    assert words in state(kube)["message"]
    assert ("Failed", "Error: ErrImagePull") in events(kube)
    assert only_pod(kube)["status"]["phase"] == "Pending"


def test_container_that_ends_again_and_again_backs_off_with_its_last_words(kube: Kube) -> None:
    kube.runner.images[IMAGE] = Image(exit_code=3, log="Traceback\nboom\n")
    kube.apply(deployment(replicas=1, container={"terminationMessagePolicy": "FallbackToLogsOnError"}))

    wait_until(lambda: state(kube).get("reason") == "CrashLoopBackOff")

    status = only_pod(kube)["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["message"].endswith("boom\n")
    assert state(kube)["message"].startswith("back-off 10s restarting failed container=model pod=web-")


def test_container_that_fails_its_liveness_probe_is_restarted(kube: Kube) -> None:
    sick = {"path": "/livez"}
    kube.runner.images[IMAGE] = Image(answering=lambda path: (500 if path == sick["path"] else 200, b"{}"))
    probe = {"httpGet": {"path": "/livez", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}
    kube.apply(deployment(replicas=1, container={"livenessProbe": probe}))

    wait_until(lambda: only_pod(kube)["status"].get("containerStatuses", [{}])[0].get("restartCount", 0) >= 1)

    assert ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500") in events(kube)
    assert ("Killing", "Container model failed liveness probe, will be restarted") in events(kube)


def test_startup_probe_comes_before_the_others(kube: Kube) -> None:
    asked: list[str] = []
    kube.runner.images[IMAGE] = Image(
        answering=lambda path: (asked.append(path), (200 if len(asked) > 2 else 503, b"{}"))[1]
    )
    startup = {"httpGet": {"path": "/startup", "port": "http"}, "periodSeconds": 1, "failureThreshold": 10}
    kube.apply(deployment(replicas=1, container={"startupProbe": startup}))

    settled(kube)

    assert asked[:3] == ["/startup"] * 3
    assert asked[3] == "/readyz"


def test_missing_secret_of_a_volume_is_waited_for(kube: Kube) -> None:
    volume = {"volumes": [{"name": "keys", "secret": {"secretName": "keys"}}]}
    mount = {"volumeMounts": [{"name": "keys", "mountPath": "/run/secrets"}]}
    kube.apply(deployment(replicas=1, container=mount, pod=volume))
    words = 'MountVolume.SetUp failed for volume "keys" : secret "keys" not found'
    wait_until(lambda: ("FailedMount", words) in events(kube))
    kube.apply(secret("keys", api=b"s3cret"))

    settled(kube)

    assert kube.runner.started[0].files == {"/run/secrets/api": b"s3cret"}


def test_missing_secret_of_the_environment_is_an_error_of_configuration(kube: Kube) -> None:
    variable = {"name": "K", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}}
    kube.apply(deployment(replicas=1, container={"env": [variable]}))

    wait_until(lambda: state(kube).get("reason") == "CreateContainerConfigError")

    assert state(kube)["message"] == 'secret "keys" not found'


def test_pod_that_goes_serves_nobody_and_has_its_grace(kube: Kube) -> None:
    kube.apply(deployment(replicas=1, container={"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}))
    settled(kube)
    name = only_pod(kube)["metadata"]["name"]
    core = client.CoreV1Api(kube.api())

    core.delete_namespaced_pod(name, "default")

    gone = kube.get("Pod", name)
    assert gone["metadata"]["deletionGracePeriodSeconds"] == 30
    assert [each["status"] for each in gone["status"]["conditions"] if each["type"] == "Ready"] == ["False"]
    assert gone["status"]["containerStatuses"][0]["state"].keys() == {"running"}
    wait_until(lambda: name not in [pod["metadata"]["name"] for pod in kube.select("Pod")])
    assert len(kube.runner.runs) == 1


def test_logs_are_read_whole_in_part_and_as_they_come(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    kube.runner.images[IMAGE] = Image(log="one\ntwo\nthree\n")
    kube.apply(deployment(replicas=1))
    settled(kube)
    core, name = client.CoreV1Api(kube.api()), only_pod(kube)["metadata"]["name"]

    assert core.read_namespaced_pod_log(name, "default") == "one\ntwo\nthree\n"
    assert core.read_namespaced_pod_log(name, "default", tail_lines=1) == "three\n"
    answer = core.read_namespaced_pod_log(name, "default", follow=True, _preload_content=False)
    assert answer.readline() == b"one\n"
    kube.runner.images[IMAGE].log += "four\n"
    kube.runner.end(next(iter(kube.runner.runs)), 1)
    assert answer.read().endswith(b"four\n")


def test_log_of_the_run_before_is_kept(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_runs, "BACKOFF_S", 0.1)
    kube.runner.images[IMAGE] = Image(exit_code=1, log="last words\n")
    kube.apply(deployment(replicas=1))
    wait_until(lambda: only_pod(kube)["status"].get("containerStatuses", [{}])[0].get("restartCount", 0) >= 2)
    core, name = client.CoreV1Api(kube.api()), only_pod(kube)["metadata"]["name"]

    assert core.read_namespaced_pod_log(name, "default", previous=True) == "last words\n"


# The official client leaves the socket of a forwarding to the collector.
leaves_sockets = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@leaves_sockets
def test_port_is_forwarded_by_the_official_client(kube: Kube) -> None:
    kube.apply(deployment(replicas=1))
    settled(kube)
    core, name = client.CoreV1Api(kube.api()), only_pod(kube)["metadata"]["name"]

    forwarded = portforward(core.connect_get_namespaced_pod_portforward, name, "default", ports="18080")
    line = forwarded.socket(18080)
    line.setblocking(True)
    line.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = b"".join(iter(lambda: line.recv(4096), b""))

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert forwarded.error(18080) is None
    forwarded.close()


@leaves_sockets
def test_forwarding_to_a_port_that_nobody_opened_says_so(kube: Kube) -> None:
    kube.apply(deployment(replicas=1))
    settled(kube)
    core, name = client.CoreV1Api(kube.api()), only_pod(kube)["metadata"]["name"]

    forwarded = portforward(core.connect_get_namespaced_pod_portforward, name, "default", ports="18099")
    wait_until(lambda: forwarded.error(18099) is not None)

    assert "connection refused" in forwarded.error(18099)
    forwarded.close()


def test_containers_that_prepare_others_are_refused_by_name(kube: Kube) -> None:
    first = {"initContainers": [{"name": "first", "image": IMAGE}]}

    answer = kube.apply(deployment(pod=first))

    assert (answer.status_code, "initContainers" in answer.json()["message"]) == (422, True)


class SlowRunner(FakeRunner):
    """Starts when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.gate = threading.Event(), threading.Event()

    def start(self, workload: Workload) -> None:
        self.asked.set()
        self.gate.wait(10)
        super().start(workload)


def test_pod_that_goes_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    runner = SlowRunner()
    with kube_server(tmp_path, runner) as kube, kube.http() as http:
        kube.apply(deployment(replicas=1))
        assert runner.asked.wait(10)
        http.delete("/apis/apps/v1/namespaces/default/deployments/web").raise_for_status()
        wait_until(lambda: not kube.select("Pod"))
        runner.gate.set()

        wait_until(lambda: runner.started and not runner.runs)
