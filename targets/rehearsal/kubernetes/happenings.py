"""Events, as controllers and kubelets record them: what happens again only counts."""

from typing import Any, Final

from targets.rehearsal.clock import now
from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.store import Event, Object, key_of

_KEPT: Final = 2000


class Happenings:
    """Writes Event objects; the oldest go when there are many."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        # By the object's uid, reason and message: the event's key.
        self._known: dict[tuple[str, str, str], tuple[str, str]] = {}
        cluster.store.listen(resources.EVENTS, self._heard)

    def add(self, found: Object, reason: str, message: str, *, source: str, warning: bool = False) -> None:
        """Something happened to an object."""
        store, metadata = self._cluster.store, found["metadata"]
        key = (metadata["uid"], reason, message)
        known = self._known.get(key)
        event = store.get(resources.EVENTS, *known) if known else None
        if event is not None:
            again = {"count": event["count"] + 1, "lastTimestamp": now()}
            store.put(resources.EVENTS, {**event, **again})
            return
        created = self._cluster.create(resources.EVENTS, _event(found, reason, message, source, warning=warning))
        self._known[key] = key_of(created)
        if len(self._known) > _KEPT:
            oldest = self._known.pop(next(iter(self._known)))
            store.remove(resources.EVENTS, *oldest)

    def _heard(self, event: Event) -> None:
        if event.change == "DELETED":
            found = event.found
            self._known.pop((found["involvedObject"]["uid"], found["reason"], found["message"]), None)


def _event(found: Object, reason: str, message: str, source: str, *, warning: bool) -> dict[str, Any]:
    metadata, moment = found["metadata"], now()
    namespace = metadata.get("namespace", "default")
    about = {
        "kind": found["kind"],
        "apiVersion": found["apiVersion"],
        "name": metadata["name"],
        "namespace": namespace,
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
    named = f"{metadata['name']}.{abs(hash((metadata['uid'], reason, message))):016x}"
    return {
        "metadata": {"name": named, "namespace": namespace},
        "involvedObject": about,
        "reason": reason,
        "message": message,
        "type": "Warning" if warning else "Normal",
        "source": {"component": source},
        "reportingComponent": source,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
