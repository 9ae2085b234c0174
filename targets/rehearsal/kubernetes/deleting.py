"""Objects go: at once or after what depends on them, pods with grace, namespaces with everything in them."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Literal

from targets.rehearsal.clock import now
from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster, deleting
from targets.rehearsal.kubernetes.resources import RESOURCES, Resource
from targets.rehearsal.kubernetes.store import Event, Object, key_of

Propagation = Literal["Background", "Foreground", "Orphan"]

FOREGROUND: Final = "foregroundDeletion"


class Deletions:
    """Carries out what deletes ask for."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._store = cluster.store
        for resource in RESOURCES:
            self._store.listen(resource, self._heard)

    def delete(
        self, resource: Resource, found: Object, propagation: Propagation = "Background", grace_s: int | None = None
    ) -> Object | None:
        """Delete an object; what is still there of it, None where it has gone.

        Args:
            grace_s: Of a pod; None for its own.
        """
        if resource == resources.PODS:
            return self._delete_pod(found, grace_s)
        if resource == resources.NAMESPACES:
            return self._delete_namespace(found)
        uid = found["metadata"]["uid"]
        if propagation == "Foreground" and self._store.owned_by(uid):
            marked = self._mark(resource, found, finalizers=[FOREGROUND])
            for dependent, each in self._store.owned_by(uid):
                if not deleting(each):
                    self.delete(dependent, each, "Foreground")
            return self._store.get(resource, *key_of(found)) and marked
        if propagation == "Orphan":
            self._orphan(uid)
        self._store.remove(resource, *key_of(found))
        return None

    def _delete_pod(self, pod: Object, grace_s: int | None) -> Object | None:
        own = pod["spec"].get("terminationGracePeriodSeconds", 30)
        grace = own if grace_s is None else grace_s
        if grace <= 0 or not pod["spec"].get("nodeName") or pod.get("status", {}).get("phase") in _OVER:
            self._store.remove(resources.PODS, *key_of(pod))
            return None
        return pod if deleting(pod) else self._mark(resources.PODS, pod, deletionGracePeriodSeconds=grace)

    def _delete_namespace(self, namespace: Object) -> Object | None:
        name = namespace["metadata"]["name"]
        marked = self._mark(resources.NAMESPACES, namespace)
        if marked is not None:
            self._cluster.set_status(resources.NAMESPACES, marked, phase="Terminating")
        # Owners first, so that nothing makes again what goes.
        for resource in reversed(RESOURCES):
            for found in self._store.select(resource, name) if resource.namespaced else ():
                self.delete(resource, found)
        self._finish_namespace(name)
        return self._store.get(resources.NAMESPACES, "", name)

    def _mark(self, resource: Resource, found: Object, **metadata: object) -> Object | None:
        given = {"deletionTimestamp": now(), "deletionGracePeriodSeconds": 0, **metadata}
        return self._cluster.change(resource, found, lambda new: new["metadata"].update(given))

    def _orphan(self, uid: str) -> None:
        for resource, found in self._store.owned_by(uid):
            kept = [each for each in found["metadata"]["ownerReferences"] if each["uid"] != uid]
            self._cluster.change(resource, found, partial(_own, kept))

    def _heard(self, event: Event) -> None:
        if event.change != "DELETED":
            return
        found = event.found
        # Soon and not now: whoever removed it may not be done.
        asyncio.get_running_loop().call_soon(self._after, found)

    def _after(self, found: Object) -> None:
        """What an object's end brings: of its dependents, of an owner that waited, of its namespace."""
        metadata = found["metadata"]
        for resource, each in self._store.owned_by(metadata["uid"]):
            if not deleting(each):
                self.delete(resource, each)
        for owner in metadata.get("ownerReferences") or ():
            self._finish_owner(owner["apiVersion"], owner["kind"], metadata.get("namespace", ""), owner["name"])
        if metadata.get("namespace"):
            self._finish_namespace(metadata["namespace"])

    def _finish_owner(self, version: str, kind: str, namespace: str, name: str) -> None:
        resource = resources.BY_KIND.get((version.rpartition("/")[0], kind))
        owner = self._store.get(resource, namespace, name) if resource else None
        if resource is None or owner is None or FOREGROUND not in owner["metadata"].get("finalizers", ()):
            return
        if not self._store.owned_by(owner["metadata"]["uid"]):
            self._store.remove(resource, namespace, name)

    def _finish_namespace(self, name: str) -> None:
        namespace = self._store.get(resources.NAMESPACES, "", name)
        if namespace is None or not deleting(namespace):
            return
        if not any(
            self._store.select(each, name) for each in RESOURCES if each.namespaced and each != resources.EVENTS
        ):
            for event in self._store.select(resources.EVENTS, name):
                self._store.remove(resources.EVENTS, name, event["metadata"]["name"])
            self._store.remove(resources.NAMESPACES, "", name)


def _own(references: Sequence[Any], new: dict[str, Any]) -> None:
    new["metadata"]["ownerReferences"] = list(references)


_OVER: Final = ("Succeeded", "Failed")
