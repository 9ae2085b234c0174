"""Waiting until a Deployment's pods are all of its present template and ready, or for the cause why they never will."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packager.core.errors import DeploymentFailed, DrayError, Forbidden, NotReady
from packager.core.progress import Progress
from targets.kit import endings
from targets.kit.kubernetes.asking import Asking
from targets.kit.kubernetes.causes import TAIL, Patience, cause_of, is_ready, restarts
from targets.kit.kubernetes.cluster import Cluster, Object
from targets.kit.kubernetes.failures import by_words
from targets.kit.kubernetes.objects.wanted import CONTAINER

_QUICK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Rollout:
    """A Deployment that is to be watched.

    Attributes:
        selector: Labels of its pods.
        image: Of the present template; pods with another are old ones.
    """

    name: str
    selector: Mapping[str, str]
    image: str


def wait_rolled_out(cluster: Cluster, rollout: Rollout, progress: Progress, *, until: float) -> None:
    """Return once every pod is new and ready, and no old one is left.

    Args:
        until: On the monotonic clock.

    Raises:
        DrayError: The first cause why it will not be: image, crash, memory, room, quota, admission, probes, time.
    """
    patience, asking, told = Patience(cluster.access.patience_s), Asking(), ""
    while True:
        deployment = cluster.get("Deployment", rollout.name)
        if deployment is None:
            raise NotReady(f"deployment/{rollout.name} is gone", hint="somebody deleted it; deploy again")
        pods = cluster.list("Pod", rollout.selector)
        if finished(deployment):
            return
        refuse_if_doomed(cluster, deployment, _new(pods, rollout), patience)
        asking.refuse_if_failed(cluster, _new(pods, rollout), time.monotonic())
        if (now := how_far(deployment, _new(pods, rollout))) != told:
            progress.detail(now)
            told = now
        if time.monotonic() >= until:
            raise late(cluster, deployment, _new(pods, rollout))
        time.sleep(min(cluster.access.poll_s, _QUICK_S) if not told else cluster.access.poll_s)


def watch_serving(cluster: Cluster, name: str, selector: Mapping[str, str], seconds: float) -> None:
    """Look at a Deployment's pods for a while.

    Raises:
        DrayError: One ended, or none is ready in the end.
    """
    until, patience = time.monotonic() + seconds, Patience(cluster.access.patience_s)
    before = sum(map(restarts, cluster.list("Pod", selector)))
    while True:
        found = cluster.get("Deployment", name) or {}
        pods = cluster.list("Pod", selector)
        refuse_if_doomed(cluster, found, [each for each in pods if not is_ready(each)], patience)
        if sum(map(restarts, pods)) > before:
            refuse_if_doomed(cluster, found, [{**each, "status": _sick(each)} for each in pods], Patience(0.0))
        if time.monotonic() >= until:
            if not any(map(is_ready, pods)):
                raise late(cluster, found, pods)
            return
        time.sleep(min(cluster.access.poll_s, max(0.0, until - time.monotonic())))


def finished(deployment: Mapping[str, Any]) -> bool:
    """Whether the present template is everywhere, and ready."""
    status = deployment.get("status") or {}
    wanted = (deployment.get("spec") or {}).get("replicas", 1)
    if int(status.get("observedGeneration") or 0) < int(deployment["metadata"].get("generation") or 0):
        return False
    updated, total = int(status.get("updatedReplicas") or 0), int(status.get("replicas") or 0)
    ready = min(int(status.get("availableReplicas") or 0), int(status.get("readyReplicas") or 0))
    return bool(wanted) and updated >= wanted and total == updated and ready >= wanted


def how_far(deployment: Mapping[str, Any], new: Sequence[Object]) -> str:
    """In words; the status alone would count old pods among those that are ready."""
    status = deployment.get("status") or {}
    wanted = (deployment.get("spec") or {}).get("replicas", 1)
    ready = sum(map(is_ready, new))
    return f"{status.get('updatedReplicas') or 0} of {wanted} pods are new, {ready} of them ready"


def refuse_if_doomed(
    cluster: Cluster, deployment: Mapping[str, Any], pods: Sequence[Object], patience: Patience
) -> None:
    """Raises the cause, where there is one for certain."""
    now = time.monotonic()
    for pod in pods:
        if not is_ready(pod) and (cause := cause_of(pod, cluster, patience, now)):
            raise cause
    if (deployment.get("spec") or {}).get("replicas", 1) == 0:
        hint = "scale it up, or let dray say a number: --set replicas=N"
        raise NotReady(f"deployment/{deployment['metadata']['name']} is scaled to no pods", hint=hint)
    for each in (deployment.get("status") or {}).get("conditions") or ():
        if each.get("type") == "ReplicaFailure" and each.get("status") == "True":
            raise _no_pods(str(each.get("message") or ""), deployment)
        if each.get("type") == "Progressing" and each.get("reason") == "ProgressDeadlineExceeded":
            raise late(cluster, deployment, pods, why=f"the progress deadline passed ({how_far(deployment, pods)})")


def late(cluster: Cluster, deployment: Mapping[str, Any], pods: Sequence[Object], why: str = "") -> NotReady:
    """The error for pods that run and do not become ready."""
    sick = next((pod for pod in pods if not is_ready(pod)), None)
    name = str(sick["metadata"]["name"]) if sick else ""
    log = list(cluster.log(name, CONTAINER, tail=TAIL)) if sick else []
    events = list(cluster.events("Pod", name)) if sick else []
    probe = next((each for each in reversed(events) if "probe failed" in each), None)
    said = f"; {probe}" if probe else ""
    how = f"in time: {why or how_far(deployment, pods)}{said}"
    return endings.late(how, log, pod=name, events=events, restarts=restarts(sick) if sick else 0)


def _no_pods(said: str, deployment: Mapping[str, Any]) -> DrayError:
    what = f"the pods of deployment/{deployment['metadata']['name']}"
    if known := by_words(said, what, {"message": said}):
        return known
    if "forbidden" in said:
        return Forbidden(f"the cluster does not let {what} be made: {said}", hint="ask who runs the cluster")
    return DeploymentFailed(f"the cluster cannot make {what}: {said}", hint="its own words say why")


def _sick(pod: Object) -> Object:
    """A pod's status as one that is not ready: it was ended and came back."""
    status = pod.get("status") or {}
    containers = [{**each, "ready": False} for each in status.get("containerStatuses") or ()]
    return {**status, "conditions": [], "containerStatuses": containers}


def _new(pods: Sequence[Object], rollout: Rollout) -> list[Object]:
    """Pods of the present image that are not on their way out."""
    return [
        pod
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        and any(each.get("image") == rollout.image for each in pod["spec"]["containers"])
    ]
