"""The controller of Deployments: a ReplicaSet for each revision, and pods that move from the old ones to the new."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster, controller_of, deleting, owner_reference
from targets.rehearsal.kubernetes.deleting import Deletions
from targets.rehearsal.kubernetes.happenings import Happenings
from targets.rehearsal.kubernetes.loops import Loop
from targets.rehearsal.kubernetes.progress import deadline_left, rollout_status
from targets.rehearsal.kubernetes.quantities import share
from targets.rehearsal.kubernetes.replica_sets import pods_of
from targets.rehearsal.kubernetes.revisions import HASH, REVISION, revision_of, template_hash
from targets.rehearsal.kubernetes.store import Event, Key, Object, key_of

_SOURCE: Final = "deployment-controller"
_NOT_COPIED: Final = (REVISION, "kubectl.kubernetes.io/last-applied-configuration")


class Deployments:
    """Rolls out."""

    def __init__(self, cluster: Cluster, deletions: Deletions, happenings: Happenings) -> None:
        self._cluster = cluster
        self._deletions = deletions
        self._happenings = happenings
        self.loop = Loop("deployments", self._reconcile)
        cluster.store.listen(resources.DEPLOYMENTS, lambda event: self.loop.want(key_of(event.found)))
        cluster.store.listen(resources.REPLICA_SETS, self._set_heard)
        cluster.store.listen(resources.PODS, self._pod_heard)

    def _set_heard(self, event: Event) -> None:
        owner = controller_of(event.found)
        if owner is not None and owner["kind"] == "Deployment":
            self.loop.want((event.found["metadata"]["namespace"], owner["name"]))

    def _pod_heard(self, event: Event) -> None:
        """One that has gone may be what a Recreate waits for."""
        owner = controller_of(event.found) if event.change == "DELETED" else None
        if owner is None or owner["kind"] != "ReplicaSet":
            return
        namespace = event.found["metadata"]["namespace"]
        replica_set = self._cluster.store.get(resources.REPLICA_SETS, namespace, owner["name"])
        above = controller_of(replica_set) if replica_set is not None else None
        if above is not None:
            self.loop.want((namespace, above["name"]))

    def _reconcile(self, key: Key) -> float | None:
        found = self._cluster.store.get(resources.DEPLOYMENTS, *key)
        if found is None or deleting(found):
            return None
        new, old = self._revisions(found)
        if found["spec"].get("paused"):
            self._report(found, new, old)
            return None
        if new is None:
            new = self._begin_revision(found, old)
        self._note_revision(found, new, old)
        if found["spec"]["strategy"]["type"] == "Recreate":
            self._recreate(found, new, old)
        else:
            self._roll(found, new, old)
        self._clean_up(found, old)
        return self._report(found, *self._revisions(found))

    def _revisions(self, found: Object) -> tuple[Object | None, list[Object]]:
        """The ReplicaSet of the template as it is now, and the others, oldest first."""
        name, owned = template_hash(found), self._cluster.store.owned_by(found["metadata"]["uid"])
        sets = [each for resource, each in owned if resource == resources.REPLICA_SETS and not deleting(each)]
        new = next((each for each in sets if each["metadata"]["labels"].get(HASH) == name), None)
        return new, sorted((each for each in sets if each is not new), key=revision_of)

    def _begin_revision(self, found: Object, old: Sequence[Object]) -> Object:
        name, metadata, template = template_hash(found), found["metadata"], found["spec"]["template"]
        labels = {**(template.get("metadata", {}).get("labels") or {}), HASH: name}
        selector = found["spec"]["selector"]
        most = max((revision_of(each) for each in old), default=0)
        body = {
            "metadata": {
                "name": f"{metadata['name']}-{name}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": {**_copied(found), REVISION: str(most + 1)},
                "ownerReferences": [owner_reference(resources.DEPLOYMENTS, found)],
            },
            "spec": {
                "replicas": 0,
                "minReadySeconds": found["spec"].get("minReadySeconds", 0),
                "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH: name}},
                "template": {**template, "metadata": {**template.get("metadata", {}), "labels": labels}},
            },
        }
        return self._cluster.create(resources.REPLICA_SETS, body)

    def _note_revision(self, found: Object, new: Object, old: Sequence[Object]) -> None:
        """An old revision that is wanted again becomes the newest."""
        most = max((revision_of(each) for each in old), default=0)
        number = str(max(revision_of(new), most + 1))
        annotations = {**new["metadata"].get("annotations", {}), **_copied(found), REVISION: number}
        self._cluster.change(resources.REPLICA_SETS, new, lambda each: each["metadata"].update(annotations=annotations))
        own = {**(found["metadata"].get("annotations") or {}), REVISION: number}
        self._cluster.change(resources.DEPLOYMENTS, found, lambda each: each["metadata"].update(annotations=own))

    def _roll(self, found: Object, new: Object, old: Sequence[Object]) -> None:
        wanted = found["spec"]["replicas"]
        surge, unavailable = bounds(found)
        total = sum(each["spec"]["replicas"] for each in (new, *old))
        has = new["spec"]["replicas"]
        if has > wanted:
            self._scale(found, new, wanted)
            return
        if has < wanted and total < wanted + surge:
            self._scale(found, new, has + min(wanted + surge - total, wanted - has))
            return
        if not any(each["spec"]["replicas"] for each in old):
            return
        least = wanted - unavailable
        not_yet = has - available(new)
        room = total - least - not_yet
        if room > 0:
            room -= self._drop_unhealthy(found, old, room)
            self._drop_healthy(found, new, least, room)

    def _drop_unhealthy(self, found: Object, old: Sequence[Object], room: int) -> int:
        """Take away old pods that serve nobody; how many."""
        dropped = 0
        for each in old:
            has = each["spec"]["replicas"]
            count = min(has - available(each), room - dropped)
            if count > 0:
                self._scale(found, each, has - count)
                dropped += count
        return dropped

    def _drop_healthy(self, found: Object, new: Object, least: int, room: int) -> None:
        """Take away old pods that the new ones replace."""
        _, old = self._revisions(found)
        spare = min(available(new) + sum(min(available(each), each["spec"]["replicas"]) for each in old) - least, room)
        for each in old:
            has = each["spec"]["replicas"]
            count = min(has, spare)
            if count > 0:
                self._scale(found, each, has - count)
                spare -= count

    def _recreate(self, found: Object, new: Object, old: Sequence[Object]) -> None:
        for each in old:
            if each["spec"]["replicas"]:
                self._scale(found, each, 0)
        if not any(pods_of(self._cluster, each) for each in old):
            self._scale(found, new, found["spec"]["replicas"])

    def _scale(self, found: Object, replica_set: Object, replicas: int) -> None:
        before = replica_set["spec"]["replicas"]
        if before == replicas:
            return
        self._cluster.change(resources.REPLICA_SETS, replica_set, lambda each: each["spec"].update(replicas=replicas))
        way, name = "up" if replicas > before else "down", replica_set["metadata"]["name"]
        message = f"Scaled {way} replica set {name} from {before} to {replicas}"
        self._happenings.add(found, "ScalingReplicaSet", message, source=_SOURCE)

    def _clean_up(self, found: Object, old: Sequence[Object]) -> None:
        spent = [each for each in old if not each["spec"]["replicas"] and not each.get("status", {}).get("replicas")]
        for each in spent[: max(len(spent) - found["spec"]["revisionHistoryLimit"], 0)]:
            self._deletions.delete(resources.REPLICA_SETS, each)

    def _report(self, found: Object, new: Object | None, old: Sequence[Object]) -> float | None:
        live = self._cluster.store.get(resources.DEPLOYMENTS, *key_of(found))
        if live is None:
            return None
        status = rollout_status(live, new, old, unavailable=bounds(live)[1])
        self._cluster.set_status(resources.DEPLOYMENTS, live, **status)
        return deadline_left(live, status["conditions"])


def bounds(found: Object) -> tuple[int, int]:
    """Most pods above, and most pods missing, while a Deployment rolls out."""
    wanted = found["spec"]["replicas"]
    rolling = found["spec"]["strategy"].get("rollingUpdate")
    if rolling is None:
        return 0, wanted
    surge = share(rolling["maxSurge"], wanted, up=True)
    unavailable = share(rolling["maxUnavailable"], wanted, up=False)
    # Both may come to nothing by rounding, and then nothing would ever move.
    return surge, min(unavailable or (0 if surge else 1), wanted)


def available(replica_set: Object) -> int:
    """How many of its pods serve."""
    return int(replica_set.get("status", {}).get("availableReplicas", 0))


def _copied(found: Object) -> Mapping[str, Any]:
    """Annotations of a Deployment, which its newest ReplicaSet has too."""
    given = found["metadata"].get("annotations") or {}
    return {name: value for name, value in given.items() if name not in _NOT_COPIED}
