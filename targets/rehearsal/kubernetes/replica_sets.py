"""The controller of ReplicaSets: as many pods as are wanted."""

from collections.abc import Sequence
from typing import Any, Final

from targets.rehearsal.clock import now
from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.admission import refusal_of_pod
from targets.rehearsal.kubernetes.clock import parsed
from targets.rehearsal.kubernetes.cluster import Cluster, controller_of, deleting, owner_reference
from targets.rehearsal.kubernetes.conditions import find, with_condition, without_condition
from targets.rehearsal.kubernetes.deleting import Deletions
from targets.rehearsal.kubernetes.happenings import Happenings
from targets.rehearsal.kubernetes.loops import Loop
from targets.rehearsal.kubernetes.store import Event, Key, Object, key_of

_SOURCE: Final = "replicaset-controller"
_RETRY_S: Final = 2.0


class ReplicaSets:
    """Creates and deletes pods, and counts them."""

    def __init__(self, cluster: Cluster, deletions: Deletions, happenings: Happenings) -> None:
        self._cluster = cluster
        self._deletions = deletions
        self._happenings = happenings
        self.loop = Loop("replica sets", self._reconcile)
        cluster.store.listen(resources.REPLICA_SETS, lambda event: self.loop.want(key_of(event.found)))
        cluster.store.listen(resources.PODS, self._pod_heard)

    def _pod_heard(self, event: Event) -> None:
        owner = controller_of(event.found)
        if owner is not None and owner["kind"] == "ReplicaSet":
            self.loop.want((event.found["metadata"]["namespace"], owner["name"]))

    def _reconcile(self, key: Key) -> float | None:
        found = self._cluster.store.get(resources.REPLICA_SETS, *key)
        if found is None or deleting(found):
            return None
        pods = [pod for pod in pods_of(self._cluster, found) if not deleting(pod)]
        wanted = found["spec"]["replicas"]
        why = ""
        for _ in range(wanted - len(pods)):
            why = self._create(found, key)
            if why:
                break
        surplus = sorted(pods, key=_worth)[: max(len(pods) - wanted, 0)]
        for pod in surplus:
            name = pod["metadata"]["name"]
            self._happenings.add(found, "SuccessfulDelete", f"Deleted pod: {name}", source=_SOURCE)
            self._deletions.delete(resources.PODS, pod)
        self._count(found, why)
        waits = _until_available(found, pods)
        return _RETRY_S if why else waits

    def _create(self, found: Object, key: Key) -> str:
        """One more pod; why not, empty where it was made."""
        pod = _pod(found, f"{found['metadata']['name']}-{self._cluster.suffix()}")
        why = self._refusal(pod, key)
        if why:
            message = f'Error creating: pods "{pod["metadata"]["name"]}" is forbidden: {why}'
            self._happenings.add(found, "FailedCreate", message, source=_SOURCE, warning=True)
            return message.removeprefix("Error creating: ")
        created = self._cluster.create(resources.PODS, pod)
        message = f"Created pod: {created['metadata']['name']}"
        self._happenings.add(found, "SuccessfulCreate", message, source=_SOURCE)
        return ""

    def _refusal(self, pod: Object, key: Key) -> str:
        strikes = self._cluster.strikes
        if strikes.at(key, "pod-quota"):
            return "exceeded quota: compute, requested: requests.cpu=1, used: requests.cpu=4, limited: requests.cpu=4"
        if strikes.at(key, "pod-security"):
            return (
                'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "rehearsed" '
                "must set securityContext.allowPrivilegeEscalation=false)"
            )
        namespace = self._cluster.store.get(resources.NAMESPACES, "", pod["metadata"]["namespace"])
        return refusal_of_pod(self._cluster, namespace, pod) if namespace else "its namespace is gone"

    def _count(self, found: Object, why: str) -> None:
        pods = [pod for pod in pods_of(self._cluster, found) if not deleting(pod)]
        ready = [pod for pod in pods if is_ready(pod)]
        available = [pod for pod in ready if _available_in(found, pod) <= 0]
        conditions = found.get("status", {}).get("conditions")
        if why:
            conditions = with_condition(conditions, "ReplicaFailure", holds=True, reason="FailedCreate", message=why)
        elif find(conditions, "ReplicaFailure"):
            conditions = without_condition(conditions, "ReplicaFailure")
        self._cluster.set_status(
            resources.REPLICA_SETS,
            found,
            replicas=len(pods),
            fullyLabeledReplicas=len(pods) or None,
            readyReplicas=len(ready) or None,
            availableReplicas=len(available) or None,
            observedGeneration=found["metadata"]["generation"],
            conditions=conditions or None,
        )


def pods_of(cluster: Cluster, found: Object) -> list[Object]:
    """All that a ReplicaSet controls, those that go among them."""
    return [each for resource, each in cluster.store.owned_by(found["metadata"]["uid"]) if resource == resources.PODS]


def is_ready(pod: Object) -> bool:
    """Whether its condition says so."""
    ready = find(pod.get("status", {}).get("conditions"), "Ready")
    return ready is not None and ready["status"] == "True"


def _available_in(found: Object, pod: Object) -> float:
    """Seconds until a pod that is ready counts as available."""
    least = found["spec"].get("minReadySeconds", 0)
    ready = find(pod["status"]["conditions"], "Ready")
    if not least or ready is None:
        return 0
    return float(least - (parsed(now()) - parsed(ready["lastTransitionTime"])).total_seconds())


def _until_available(found: Object, pods: Sequence[Object]) -> float | None:
    waits = [_available_in(found, pod) for pod in pods if is_ready(pod)]
    later = [each for each in waits if each > 0]
    return min(later) if later else None


def _worth(pod: Object) -> tuple[bool, bool, str]:
    """What goes first: unscheduled, then not ready, then young."""
    age = pod["metadata"]["creationTimestamp"]
    # ISO times sort as text; the youngest first.
    return bool(pod["spec"].get("nodeName")), is_ready(pod), "".join(chr(255 - ord(letter)) for letter in age)


def _pod(found: Object, name: str) -> dict[str, Any]:
    template = found["spec"]["template"]
    metadata = template.get("metadata") or {}
    shown = {part: dict(metadata[part]) for part in ("labels", "annotations") if part in metadata}
    return {
        "metadata": {
            "name": name,
            "generateName": f"{found['metadata']['name']}-",
            "namespace": found["metadata"]["namespace"],
            "ownerReferences": [owner_reference(resources.REPLICA_SETS, found)],
            **shown,
        },
        "spec": template["spec"],
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    }
