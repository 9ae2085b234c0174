"""How far a Deployment's roll-out is, as its status says it."""

from collections.abc import Sequence
from typing import Any, Final

from targets.rehearsal.clock import now
from targets.rehearsal.kubernetes.clock import parsed
from targets.rehearsal.kubernetes.conditions import find, with_condition, without_condition
from targets.rehearsal.kubernetes.store import Object

Conditions = Sequence[Any]

_COUNTS: Final = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")


def rollout_status(found: Object, new: Object | None, old: Sequence[Object], *, unavailable: int) -> dict[str, Any]:
    """The status of a Deployment; a count of none is None.

    Args:
        unavailable: How many pods may be missing.
    """
    sets = [*old, *([new] if new else [])]
    counts = {name: sum(each.get("status", {}).get(name, 0) for each in sets) for name in _COUNTS}
    counts["updatedReplicas"] = new.get("status", {}).get("replicas", 0) if new else 0
    wanted = found["spec"]["replicas"]
    total = sum(each["spec"]["replicas"] for each in sets)
    counts["unavailableReplicas"] = max(total - counts["availableReplicas"], 0)
    conditions = _available(found, counts["availableReplicas"] >= wanted - unavailable)
    conditions = _progressing(found, new, counts, conditions)
    failure = next(
        (each for one in sets if (each := find(one.get("status", {}).get("conditions"), "ReplicaFailure"))), None
    )
    conditions = without_condition(conditions, "ReplicaFailure")
    if failure is not None:
        conditions = [*conditions, {**failure, "lastUpdateTime": failure["lastTransitionTime"]}]
    return {
        **{name: count or None for name, count in counts.items()},
        "observedGeneration": found["metadata"]["generation"],
        "conditions": conditions,
    }


def deadline_left(found: Object, conditions: Conditions) -> float | None:
    """Seconds until the roll-out counts as stuck; None where it is done, or stuck already."""
    progressing = find(conditions, "Progressing")
    if progressing is None or progressing["status"] == "False" or progressing["reason"] == "NewReplicaSetAvailable":
        return None
    waited = (parsed(now()) - parsed(progressing["lastUpdateTime"])).total_seconds()
    return max(float(found["spec"]["progressDeadlineSeconds"] - waited), 0.0) + 0.1


def _available(found: Object, holds: bool) -> Conditions:
    before = found.get("status", {}).get("conditions")
    known = find(before, "Available")
    reason = "MinimumReplicasAvailable" if holds else "MinimumReplicasUnavailable"
    if known is not None and known["reason"] == reason:
        return before or []
    message = f"Deployment {'has' if holds else 'does not have'} minimum availability."
    return with_condition(before, "Available", holds=holds, reason=reason, message=message, lastUpdateTime=now())


def _progressing(found: Object, new: Object | None, counts: dict[str, int], conditions: Conditions) -> Conditions:
    wanted = found["spec"]["replicas"]
    known = find(conditions, "Progressing")
    if new is None:
        return conditions
    name = new["metadata"]["name"]
    done = (
        counts["updatedReplicas"] == wanted and counts["replicas"] == wanted and counts["availableReplicas"] >= wanted
    )
    if done:
        message = f'ReplicaSet "{name}" has successfully progressed.'
        return _moved(conditions, known, "NewReplicaSetAvailable", message)
    if known is None or known.get("message", "").split('"')[1:2] != [name]:
        return _moved(conditions, known, "NewReplicaSetCreated", f'Created new replica set "{name}"')
    if _has_moved(found, counts):
        return _moved(conditions, None, "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
    if known["status"] == "False" or known["reason"] == "NewReplicaSetAvailable":
        return conditions
    waited = (parsed(now()) - parsed(known["lastUpdateTime"])).total_seconds()
    if waited < found["spec"]["progressDeadlineSeconds"]:
        return conditions
    message, reason = f'ReplicaSet "{name}" has timed out progressing.', "ProgressDeadlineExceeded"
    return with_condition(conditions, "Progressing", holds=False, reason=reason, message=message, lastUpdateTime=now())


def _has_moved(found: Object, counts: dict[str, int]) -> bool:
    """Whether there are more new pods, fewer old ones, or more that serve than a moment ago."""
    before = found.get("status", {})
    old = counts["replicas"] - counts["updatedReplicas"]
    old_before = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    return bool(
        counts["updatedReplicas"] > before.get("updatedReplicas", 0)
        or old < old_before
        or counts["readyReplicas"] > before.get("readyReplicas", 0)
        or counts["availableReplicas"] > before.get("availableReplicas", 0)
    )


def _moved(conditions: Conditions, known: Any, reason: str, message: str) -> Conditions:
    if known is not None and known["reason"] == reason and known["message"] == message:
        return conditions
    return with_condition(conditions, "Progressing", holds=True, reason=reason, message=message, lastUpdateTime=now())
