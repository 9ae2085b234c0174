"""Whose a deployment is, where one target serves through another's code."""

from collections.abc import Iterable

from packager.core.deployment import Deployment


def owned(found: Iterable[Deployment | None], by: str | None) -> tuple[Deployment, ...]:
    """Those that a target made itself, or for the other one that is named: no deployment is listed twice."""
    return tuple(each for each in found if each is not None and each.detail["settings"].get("made_for") == by)
