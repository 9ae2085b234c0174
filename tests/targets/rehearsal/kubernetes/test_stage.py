"""The cluster as a process of its own, with pods that are processes of the real runtime."""

import base64
import json
import stat
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from packager.core.progress import SilentProgress
from packager.core.rehearsal import Stage
from targets.kit.engine.process import RUNTIME, processes_in
from targets.rehearsal.kubernetes.kubeconfig import write_kubeconfig
from targets.rehearsal.layout import StageFolder
from targets.rehearsal.leftovers import end_service, program, remove_folder
from tests.support.base_image import ROOT
from tests.support.kubernetes_server import Kube, deployment, service, settled, wait_until
from tests.support.kubernetes_stage import ClusterRehearsal
from tests.support.packages import make_package
from tests.support.stage_registry import package_image, pushed
from tests.support.toy_cloud import ToyTarget
from tests.support.toy_stage import wait_until_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pods have loopback addresses of their own")
PORT = 18380


@pytest.fixture
def folder(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StageFolder]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/engine.sock")
    folder = StageFolder.of("aks")
    yield folder
    # It ends what it runs, and the next one ends what it could not.
    end_service(folder, program("aks", folder, None))
    remove_folder(folder)


@pytest.fixture
def stage(folder: StageFolder) -> Stage:
    return ClusterRehearsal().open((), SilentProgress())


def cluster(stage: Stage) -> Kube:
    """What speaks to the stand-in."""
    assert isinstance(stage.target, ToyTarget)
    facts, folder = stage.target.facts, stage.target.folder
    assert facts
    assert folder
    return Kube(facts.api, folder.ca_file, None, None, token=folder.token())  # type: ignore[arg-type]


def pull_secret(stage: Stage) -> dict[str, Any]:
    shown = stage.credentials.credential(stage.registry)
    assert shown
    both = base64.b64encode(f"{shown.username}:{shown.password}".encode()).decode()
    config = json.dumps({"auths": {stage.registry: {"auth": both}}}).encode()
    data = {".dockerconfigjson": base64.b64encode(config).decode()}
    metadata = {"name": "pull", "namespace": "default"}
    kind = "kubernetes.io/dockerconfigjson"
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": data}


def body(image: str, threads: int = 1) -> dict[str, Any]:
    """Two pods of the runtime, with the probes that it is meant to have."""
    port = {"name": "http", "containerPort": PORT}
    environment = [{"name": "DRAY_PORT", "value": str(PORT)}, {"name": "DRAY_THREADS", "value": str(threads)}]
    startup = {"httpGet": {"path": "/livez", "port": "http"}, "periodSeconds": 1, "failureThreshold": 30}
    stop = {"preStop": {"sleep": {"seconds": 1}}}
    container = {"image": image, "ports": [port], "env": environment, "startupProbe": startup, "lifecycle": stop}
    pod = {"imagePullSecrets": [{"name": "pull"}], "terminationGracePeriodSeconds": 10}
    return deployment(port=PORT, container=container, pod=pod)


def test_pods_of_the_real_runtime_serve_update_without_a_gap_and_leave_nothing(
    stage: Stage, folder: StageFolder, tmp_path: Path
) -> None:
    layout = package_image(tmp_path / "layout", make_package(tmp_path / "iris").root)
    image = pushed(layout, stage.registry, stage.credentials)
    kube = cluster(stage)
    for each in (pull_secret(stage), service(port=PORT), body(image)):
        kube.apply(each).raise_for_status()
    settled(kube)
    url = f"http://{kube.get('Service', 'web')['spec']['clusterIP']}:{PORT}/readyz"
    seen, stop = Counter[int](), threading.Event()

    def load() -> None:
        with httpx.Client(trust_env=False, headers={"Connection": "close"}) as client:
            while not stop.is_set():
                seen[client.get(url).status_code] += 1
                time.sleep(0.01)

    thread = threading.Thread(target=load)
    thread.start()
    kube.apply(body(image, threads=2)).raise_for_status()
    settled(kube)
    wait_until(lambda: len(kube.select("Pod")) == 2)
    stop.set()
    thread.join()

    assert seen.keys() == {200}
    with kube.http() as http:
        http.delete("/apis/apps/v1/namespaces/default/deployments/web").raise_for_status()
    assert isinstance(stage.target, ToyTarget)
    assert stage.target.facts
    wait_until_gone(stage.target.facts.process.pid)
    assert not folder.path.exists()
    assert list(processes_in(folder.path, RUNTIME)) == []


def test_kubeconfig_is_for_this_user_alone_and_lets_in(stage: Stage, folder: StageFolder) -> None:
    assert isinstance(stage.target, ToyTarget)
    assert stage.target.facts

    path = write_kubeconfig(stage.target.facts, folder)

    document = yaml.safe_load(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert document["users"][0]["user"]["token"] == folder.token()
    with cluster(stage).http() as http:
        assert http.get("/version").json()["major"] == "1"
