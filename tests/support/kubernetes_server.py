"""The stand-in's Kubernetes API on real TLS in this process, and the official client that speaks to it."""

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from kubernetes import client

from targets.rehearsal.kubernetes.app import create_app
from targets.rehearsal.kubernetes.faults import FAULTS
from targets.rehearsal.world import Faults
from tests.support.fake_runner import FakeRunner
from tests.support.stand_in_server import TOKEN, serving_stand_in, wait_until

__all__ = ["TOKEN", "Kube", "deployment", "kube_server", "service", "settled", "wait_until"]

APPLY = "application/apply-patch+yaml"
IMAGE = "registry.example/fake@sha256:" + "1" * 64


@dataclass
class Kube:
    """A stand-in that runs.

    Attributes:
        held: What ``World.held`` was told, in order.
    """

    url: str
    ca: Path
    runner: Any
    faults: Faults
    held: list[int] = field(default_factory=list)
    token: str = TOKEN

    def api(self, token: str = TOKEN) -> client.ApiClient:
        """Of the official client."""
        configuration = client.Configuration()
        configuration.host, configuration.ssl_ca_cert = self.url, str(self.ca)
        configuration.api_key = {"authorization": f"Bearer {token}"}
        configuration.retries = False
        return client.ApiClient(configuration)

    def http(self, *, token: str | None = "") -> httpx.Client:
        """Without the official client; with the right token, unless another one or None is given."""
        headers = {} if token is None else {"Authorization": f"Bearer {token or self.token}"}
        context = ssl.create_default_context(cafile=str(self.ca))
        return httpx.Client(base_url=self.url, headers=headers, verify=context, timeout=30, trust_env=False)

    def apply(self, body: dict[str, Any], *, manager: str = "dray", **query: Any) -> httpx.Response:
        """Server-side apply."""
        with self.http() as http:
            return http.patch(
                path_of(body), content=yaml.safe_dump(body), headers={"Content-Type": APPLY},
                params={"fieldManager": manager, **query},
            )  # fmt: skip

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """An object, by its plural."""
        with self.http() as http:
            answer = http.get(path_of({"kind": kind, "metadata": {"name": name, "namespace": namespace}}))
            answer.raise_for_status()
            return dict(answer.json())

    def select(self, kind: str, labels: str = "", namespace: str = "default") -> list[dict[str, Any]]:
        """Objects of a kind."""
        with self.http() as http:
            path = path_of({"kind": kind, "metadata": {"namespace": namespace}})
            answer = http.get(path, params={"labelSelector": labels} if labels else {})
            answer.raise_for_status()
            return list(answer.json()["items"])

    def kubeconfig(self, path: Path) -> Path:
        """For kubectl."""
        authority = base64.b64encode(self.ca.read_bytes()).decode()
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "t",
            "clusters": [{"name": "t", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": "t", "user": {"token": TOKEN}}],
            "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
        }  # fmt: skip
        path.write_text(json.dumps(document))
        return path


def path_of(body: dict[str, Any]) -> str:
    """Where an object is, or all of its kind where it has no name."""
    from targets.rehearsal.kubernetes.resources import RESOURCES

    resource = next(each for each in RESOURCES if each.kind == body["kind"])
    base = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    metadata = body.get("metadata", {})
    within = f"/namespaces/{metadata.get('namespace', 'default')}" if resource.namespaced else ""
    return f"{base}{within}/{resource.plural}" + (f"/{metadata['name']}" if metadata.get("name") else "")


def deployment(name: str = "web", *, replicas: int = 2, port: int = 18080, **changed: Any) -> dict[str, Any]:
    """A small one of one container, as it is applied."""
    probe = {"httpGet": {"path": "/readyz", "port": port}, "periodSeconds": 1}
    container = {
        "name": "model",
        "image": IMAGE,
        "ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": probe,
        **changed.pop("container", {}),
    }
    labels = {"app.kubernetes.io/instance": name, "app.kubernetes.io/managed-by": "dray"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], **changed.pop("pod", {})}}
    rolling = {"maxUnavailable": 0, "maxSurge": 1}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        "template": template,
        **changed.pop("spec", {}),
    }
    metadata = {"name": name, "namespace": changed.pop("namespace", "default"), "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**metadata, **changed}, "spec": spec}


def service(name: str = "web", *, port: int = 18090, target: int | str = "http", **spec: Any) -> dict[str, Any]:
    """In front of a deployment of the same name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"app.kubernetes.io/instance": name},
            "ports": [{"name": "http", "port": port, "targetPort": target}],
            **spec,
        },
    }


def settled(kube: Kube, name: str = "web") -> dict[str, Any]:
    """A Deployment whose roll-out is done."""

    def done() -> bool:
        found = kube.get("Deployment", name)
        status = found.get("status", {})
        counts = [status.get(each) for each in ("replicas", "updatedReplicas", "availableReplicas")]
        return counts == [found["spec"]["replicas"] or None] * 3 and (
            status["observedGeneration"] == found["metadata"]["generation"]
        )

    wait_until(done)
    return kube.get("Deployment", name)


@contextmanager
def kube_server(folder: Path, runner: Any = None) -> Iterator[Kube]:
    """Runs one until the block ends."""
    runner, faults, held = runner or FakeRunner(), Faults(FAULTS), list[int]()
    with serving_stand_in(folder, create_app, faults, runner, held.append) as (url, ca):
        yield Kube(url, ca, runner, faults, held)
