"""Ways to a deployment's pods from here: its endpoint where that answers, else through the API server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from packager.core.deployment import Deployment
from packager.core.errors import InvocationError
from packager.core.http_client import HttpInferenceClient
from targets.aks.settings import AksSettings
from targets.kit.api_keys import own_key
from targets.kit.kubernetes.causes import is_ready
from targets.kit.kubernetes.cluster import Cluster, Object
from targets.kit.kubernetes.names import object_name
from targets.kit.kubernetes.objects.wanted import CONTAINER, INSTANCE, PORT
from targets.kit.kubernetes.portforward import forwarded
from targets.kit.kubernetes.record import SLOT

_ASK_S: Final = 2.0
_INSIDE: Final = ".svc.cluster.local"


@contextmanager
def client_of(cluster: Cluster, deployment: Deployment) -> Iterator[HttpInferenceClient]:
    """A client that shows the first of the deployment's keys; of a candidate, to its own pods.

    Raises:
        InvocationError: No pod is ready, or none can be reached.
    """
    key = own_key(AksSettings.model_validate(deployment.detail["settings"]).api_keys)
    if not deployment.detail.get("candidate") and _answers(deployment.endpoint, key):
        with HttpInferenceClient(str(deployment.endpoint), token=key) as client:
            yield client
        return
    pod = ready_pod(cluster, deployment)
    name = str(pod["metadata"]["name"])
    with (
        forwarded(cluster.access, cluster.namespace, name, PORT) as url,
        HttpInferenceClient(url, token=key) as client,
    ):
        yield client


def ready_pod(cluster: Cluster, deployment: Deployment) -> Object:
    """The youngest pod that takes requests.

    Raises:
        InvocationError: None does.
    """
    selector = {INSTANCE: object_name(deployment.name), SLOT: str(deployment.detail["slot"])}
    ready = [each for each in cluster.list("Pod", selector) if is_ready(each)]
    if not ready:
        raise InvocationError(f"no pod of {deployment.name!r} is ready", hint=f"dray logs {deployment.name}")
    return max(ready, key=_age)


def lines_of(cluster: Cluster, deployment: Deployment, *, follow: bool) -> Iterator[str]:
    """Lines of every pod, each told by its name where there are several; with ``follow``, of the youngest one."""
    selector = {INSTANCE: object_name(deployment.name), SLOT: str(deployment.detail["slot"])}
    pods = sorted(cluster.list("Pod", selector), key=_age)
    if follow:
        if pods:
            yield from cluster.follow(str(pods[-1]["metadata"]["name"]), CONTAINER)
        return
    for each in pods:
        name = str(each["metadata"]["name"])
        mark = f"{name}  " if len(pods) > 1 else ""
        for line in cluster.log(name, CONTAINER):
            yield f"{mark}{line}"


def _answers(endpoint: str | None, key: str | None) -> bool:
    if endpoint is None or _INSIDE in endpoint:
        return False
    try:
        with HttpInferenceClient(endpoint, token=key, connect_timeout_s=_ASK_S, timeout_s=_ASK_S) as client:
            return client.state() is not None
    except InvocationError:  # it answers, and wants another key
        return True


def _age(pod: Object) -> tuple[str, str]:
    return str(pod["metadata"].get("creationTimestamp") or ""), str(pod["metadata"]["name"])
