"""Why a pod does not come up, from what the cluster shows of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from packager.core.errors import (
    ArchitectureMissing,
    ContainerConfig,
    DrayError,
    ImageMissing,
    LivenessFailed,
    PullDenied,
    RegistryUnavailable,
    Unschedulable,
)
from targets.kit import endings
from targets.kit.kubernetes.cluster import Cluster
from targets.kit.kubernetes.objects.wanted import CONTAINER

TAIL: Final = 20
_OOM: Final = "OOMKilled"
# What the kubelet calls what it cannot pull.
_PULLS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_CONFIG: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_BACK_OFF: Final = "CrashLoopBackOff"
_FOR_THE_NODES: Final = (
    "--set architecture=…, or build it for the nodes: dray image PACKAGE --platform linux/amd64 --push"
)
_ARCHITECTURE: Final = re.compile(
    r"no match for platform|no matching manifest|does not match the specified platform", re.IGNORECASE
)
# Source: pkg/kubelet/kuberuntime, "Container %s failed liveness probe, will be restarted".
_KILLED: Final = re.compile(r"failed (liveness|startup) probe", re.IGNORECASE)
_DENIED: Final = re.compile(r"unauthorized|denied|authentication required|forbidden|\b40[13]\b", re.IGNORECASE)
_MISSING: Final = re.compile(r"not found|manifest unknown|no such|name unknown|\b404\b|InvalidImageName", re.IGNORECASE)


@dataclass(slots=True)
class Patience:
    """What may pass by itself, and since when it is seen.

    Attributes:
        limit_s: How long it may last.
    """

    limit_s: float
    since: dict[str, float] = field(default_factory=dict)

    def over(self, what: str, now: float) -> bool:
        """Whether it has lasted for too long."""
        return now - self.since.setdefault(what, now) >= self.limit_s

    def passed(self, what: str) -> None:
        """It is over."""
        self.since.pop(what, None)


def cause_of(pod: Mapping[str, Any], cluster: Cluster, patience: Patience, now: float) -> DrayError | None:
    """Why a pod will not come up; None where it still may.

    Args:
        now: On the monotonic clock.
    """
    status, name = pod.get("status") or {}, str(pod["metadata"]["name"])
    if found := _unscheduled(status, name, cluster, patience, now):
        return found
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        if reason in _PULLS:
            return _pull(pod, waiting, cluster, patience, now)
        if reason in _CONFIG:
            return _unmade(waiting, name)
        if ended := _ended(container):
            return _end(ended, name, cluster, pod)
    return None


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod takes requests, and will go on doing so."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def restarts(pod: Mapping[str, Any]) -> int:
    """How often its containers began anew."""
    return sum(int(each.get("restartCount") or 0) for each in _containers(pod.get("status") or {}))


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from status.get("containerStatuses") or ()


def _ended(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How a container ended that will end again: it did so out of memory, or more than once."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated")
    if not ended:
        return None
    again = int(container.get("restartCount") or 0) >= 1 or (state.get("waiting") or {}).get("reason") == _BACK_OFF
    sick = not container.get("ready")
    return (
        ended
        if sick and (again or ended.get("reason") == _OOM or endings.says_format_error(str(ended.get("message"))))
        else None
    )


def _unscheduled(
    status: Mapping[str, Any], name: str, cluster: Cluster, patience: Patience, now: float
) -> DrayError | None:
    """No node yet: a cluster that grows by itself gets its time."""
    what = f"scheduling of {name}"
    for each in status.get("conditions") or ():
        if (
            each.get("type") == "PodScheduled"
            and each.get("status") == "False"
            and each.get("reason") == "Unschedulable"
        ):
            if not patience.over(what, now):
                return None
            return Unschedulable(
                f"no node takes the pod: {_one_line(each.get('message'))}",
                hint="ask for less (cpu_millicores, memory_mib), for other nodes (node_selector), or add some",
                detail={"pod": name, "events": list(cluster.events("Pod", name))},
            )
    patience.passed(what)
    return None


def _pull(
    pod: Mapping[str, Any], waiting: Mapping[str, Any], cluster: Cluster, patience: Patience, now: float
) -> DrayError | None:
    name = str(pod["metadata"]["name"])
    events = [each for each in cluster.events("Pod", name) if each.startswith("Failed")]
    said = " ".join([*events[-3:], str(waiting.get("message") or ""), str(waiting.get("reason"))])
    telling = _one_line(max((each for each in events if "pull" in each.lower()), key=len, default=said))
    detail = {"pod": name, "events": events, "image": pod["spec"]["containers"][0].get("image")}
    if _ARCHITECTURE.search(said):
        message = f"the image is not for the node's processor: {telling}"
        return ArchitectureMissing(message, hint=_FOR_THE_NODES, detail=detail)
    if _DENIED.search(said):
        hint = "--set pull_secret=NAME; on Azure: az aks update --attach-acr REGISTRY"
        return PullDenied(f"the node may not pull the image: {telling}", hint=hint, detail=detail)
    if _MISSING.search(said):
        return ImageMissing(f"the registry has no such image: {telling}", hint="push it again", detail=detail)
    if patience.over(f"image of {name}", now):
        hint = "can the nodes reach the registry? then the same command again"
        return RegistryUnavailable(f"the node cannot pull the image: {telling}", hint=hint, detail=detail)
    return None


def _unmade(waiting: Mapping[str, Any], name: str) -> DrayError:
    words = f"{waiting.get('reason')}: {_one_line(waiting.get('message'))}"
    if endings.says_format_error(words):
        return _other_processor({"pod": name})
    return ContainerConfig(
        f"the node cannot make the container: {words}",
        hint="does every Secret that the settings name exist in the namespace?",
        detail={"pod": name},
    )


def _end(ended: Mapping[str, Any], name: str, cluster: Cluster, pod: Mapping[str, Any]) -> DrayError:
    """Why the container ended: its memory limit, its architecture, its probe, or what it said last."""
    log = list(cluster.log(name, CONTAINER, tail=TAIL, previous=True) or cluster.log(name, CONTAINER, tail=TAIL))
    events = list(cluster.events("Pod", name))
    detail = {"pod": name, "exit_status": ended.get("exitCode"), "log": log, "events": events}
    if ended.get("reason") == _OOM:
        limit = ((pod["spec"]["containers"][0].get("resources") or {}).get("limits") or {}).get("memory")
        return endings.out_of_memory(limit, "memory_mib", detail)
    if endings.says_format_error(" ".join([*log, str(ended.get("message") or "")])):
        return _other_processor(detail)
    if killed := next(filter(None, map(_KILLED.search, reversed(events))), None):
        return _unanswered(killed[1].lower(), events, detail)
    return endings.ended(f"with exit status {ended.get('exitCode')}", log, detail)


def _unanswered(kind: str, events: Sequence[str], detail: Mapping[str, Any]) -> DrayError:
    """The kubelet ended it, because of its startup probe or its liveness probe."""
    probe = next((each for each in reversed(events) if f"{kind} probe failed" in each.lower()), "its probe failed")
    more = "--set startup_s=N gives it more time to start" if kind == "startup" else "it hangs, or wants more CPU"
    return LivenessFailed(
        f"the runtime was ended because it did not answer that it lives: {probe}",
        hint=f"{more}; the last lines of its log are in the detail",
        detail=detail,
    )


def _other_processor(detail: Mapping[str, Any]) -> ArchitectureMissing:
    return endings.wrong_processor("the node", "linux/amd64", detail, hint=_FOR_THE_NODES)


def _one_line(text: object, limit: int = 400) -> str:
    """On one line; of one that is too long, its beginning and its end, which says what was the matter."""
    words = " ".join(str(text or "it does not say why").split())
    return words if len(words) <= limit else f"{words[: limit // 3]} … {words[-2 * limit // 3 :]}"
