"""Conditions of objects: what holds, since when and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from targets.rehearsal.clock import now

Condition = Mapping[str, Any]


def find(conditions: Sequence[Condition] | None, kind: str) -> Condition | None:
    """The condition of a type."""
    return next((each for each in conditions or () if each["type"] == kind), None)


def with_condition(
    conditions: Sequence[Condition] | None, kind: str, *, holds: bool, reason: str = "", message: str = "", **more: Any
) -> list[Condition]:
    """The same with one condition as it is now; the time of its last transition stays where nothing changed.

    Args:
        more: Further fields, such as ``lastUpdateTime``.
    """
    status = "True" if holds else "False"
    before = find(conditions, kind)
    same = before is not None and before["status"] == status
    since = before["lastTransitionTime"] if before is not None and same else now()
    words = {name: value for name, value in (("reason", reason), ("message", message)) if value}
    new = {"type": kind, "status": status, "lastTransitionTime": since, **words, **more}
    if before is None:
        return [*(conditions or ()), new]
    return [new if each is before else each for each in conditions or ()]


def without_condition(conditions: Sequence[Condition] | None, kind: str) -> list[Condition]:
    """The same without one."""
    return [each for each in conditions or () if each["type"] != kind]
