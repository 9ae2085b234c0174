"""The users' own tool against the stand-in."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.kubernetes_server import Kube, deployment, service, settled

pytestmark = pytest.mark.needs("kubectl")

Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def kubectl(kube: Kube, tmp_path: Path) -> Kubectl:
    """Runs one command."""
    config = kube.kubeconfig(tmp_path / "kubeconfig")

    def run(*words: str, given: Any = None) -> "subprocess.CompletedProcess[str]":
        command = ["kubectl", "--kubeconfig", str(config), "--cache-dir", str(tmp_path / "cache"), *words]
        text = json.dumps(given) if given is not None else None
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)

    return run


def test_applies_gets_describes_and_reads_logs(kube: Kube, kubectl: Kubectl) -> None:
    applied = kubectl("apply", "--server-side", "-f", "-", given=deployment())
    settled(kube)

    assert applied.stdout == "deployment.apps/web serverside-applied\n"
    assert kubectl("get", "deploy").stdout.splitlines()[1].split()[:4] == ["web", "2/2", "2", "2"]
    assert "Scaled up replica set web-" in kubectl("describe", "deploy", "web").stdout
    assert kubectl("logs", "deploy/web").stdout == "ready\n"
    assert kubectl("get", "pods", "-o", "jsonpath={.items[*].status.phase}").stdout == "Running Running"


def test_rolls_out_restarts_scales_and_undoes(kube: Kube, kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", given=deployment()).stdout == "deployment.apps/web created\n"
    settled(kube)

    for words in (["scale", "--replicas=3"], ["rollout", "restart"], ["rollout", "status"], ["rollout", "undo"]):
        done = kubectl(*words, "deploy/web") if words[0] == "rollout" else kubectl(words[0], "deploy/web", words[1])
        assert done.returncode == 0, done.stderr

    found = settled(kube)
    assert found["spec"]["replicas"] == 3
    assert "kubectl.kubernetes.io/restartedAt" not in found["spec"]["template"]["metadata"].get("annotations", {})


def test_misspelt_field_is_told(kubectl: Kubectl) -> None:
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}

    client_side = kubectl("create", "-f", "-", given=body)
    server_side = kubectl("apply", "--server-side", "-f", "-", given=body)

    assert 'unknown field "spec.template.spec.containers[0].livenessProb"' in client_side.stderr
    assert "livenessProb: field not declared in schema" in server_side.stderr


def test_conflict_is_told_with_its_manager(kube: Kube, kubectl: Kubectl) -> None:
    kube.apply(deployment())

    refused = kubectl("apply", "--server-side", "-f", "-", given=deployment(replicas=5))
    forced = kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=deployment(replicas=5))

    assert 'conflict with "dray": .spec.replicas' in refused.stderr
    assert forced.returncode == 0


def test_deletes_and_waits(kube: Kube, kubectl: Kubectl) -> None:
    kube.apply(deployment())
    kube.apply(service())
    settled(kube)

    done = kubectl("delete", "deploy,svc", "--all", "--timeout=30s")

    assert (done.returncode, 'deployment.apps "web" deleted' in done.stdout) == (0, True)
    assert kube.select("Deployment") == kube.select("Service") == []


def test_knows_what_there_is(kubectl: Kubectl) -> None:
    listed = kubectl("api-resources", "-o", "name").stdout.split()

    assert {"deployments.apps", "httproutes.gateway.networking.k8s.io", "scaledobjects.keda.sh"} <= set(listed)
    assert "maxUnavailable" in kubectl("explain", "deployment.spec.strategy.rollingUpdate").stdout
