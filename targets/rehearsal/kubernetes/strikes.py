"""Whom a fault strikes: what is new, and never a revision that has served here before."""

from targets.rehearsal.kubernetes.store import Key, Object
from targets.rehearsal.world import Faults


class Strikes:
    """Remembers which revisions are sound, by the ReplicaSets that they have; a rollback finds them so."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._sound: set[Key] = set()
        self._struck: set[str] = set()

    def at(self, revision: Key, name: str) -> bool:
        """Whether a fault strikes a revision now."""
        return revision not in self._sound and self._faults.due(name)

    def at_pod(self, pod: Object, name: str) -> bool:
        """Whether a fault strikes a pod now; its revision is not sound by it then."""
        struck = self.at(_revision(pod), name)
        if struck:
            self._struck.add(pod["metadata"]["uid"])
        return struck

    def serves(self, pod: Object) -> None:
        """A pod is ready: its revision is sound, unless a fault made it so."""
        if pod["metadata"]["uid"] not in self._struck:
            self._sound.add(_revision(pod))

    def forget(self, revision: Key) -> None:
        """It is gone; one like it would be new."""
        self._sound.discard(revision)


def _revision(pod: Object) -> Key:
    metadata = pod["metadata"]
    owners = metadata.get("ownerReferences") or ({"name": metadata["name"]},)
    return metadata["namespace"], owners[0]["name"]
