"""Waiting until a container group serves its release, or for the cause why it never will."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from packager.core.errors import (
    DrayError,
    ImageMissing,
    NotReady,
    PullDenied,
)
from packager.core.http_client import ServerState
from targets.aci.groups import ContainerGroups
from targets.aci.state import Group
from targets.kit import endings
from targets.kit.azure.codes import in_words
from targets.kit.endpoint import Endpoint

logger = logging.getLogger(__name__)
_POLL_S: Final = 0.2
_ENDS_AGAIN_S: Final = 5.0
_TAIL: Final = 20
_OUT_OF_MEMORY: Final = "oomkilled"


def wait_ready(
    groups: ContainerGroups, resource_group: str, name: str, endpoint: Endpoint, *, until: float, ended_before: str = ""
) -> Group:
    """The group, once its endpoint says that the release is ready.

    Args:
        until: On the monotonic clock.
        ended_before: When a container of the group had ended before this change; no end of this release's.

    Raises:
        OutOfMemory, ProcessCrash, ArchitectureMissing, PullDenied, ImageMissing: It ended, or cannot begin.
        NotReady: It says that it never will be, or the time is up.
    """
    asked = 0.0
    while True:
        state = endpoint.ask()
        done = state is not None and state.state in ("ready", "failed") and endpoint.is_new(state)
        if done or time.monotonic() - asked >= groups.access.poll_s:
            asked = time.monotonic()
            group = groups.get(resource_group, name)
            if group is None:
                raise NotReady(f"container group {name!r} is gone", hint="somebody deleted it; deploy again")
            _refuse_if_ended(groups, group, ended_before)
            if state is not None and done:
                if state.state == "ready":
                    return group
                raise endings.never_ready(state, _log(groups, resource_group, name))
        if time.monotonic() >= until:
            raise _late(groups, resource_group, name, state)
        time.sleep(_POLL_S)


def last_end(group: Group | None) -> str:
    """When a container of a group last ended; empty where none has."""
    if group is None:
        return ""
    return str((group.container.get("previousState") or {}).get("finishTime") or "")


def _refuse_if_ended(groups: ContainerGroups, group: Group, ended_before: str) -> None:
    view = group.container
    current, previous = view.get("currentState") or {}, view.get("previousState") or {}
    if current.get("state") == "Terminated":
        raise cause_of_end(groups, group, current)
    again = previous.get("exitCode") not in (None, 0) or _says(previous, _OUT_OF_MEMORY)
    if view.get("restartCount") and again and str(previous.get("finishTime") or "") != ended_before:
        raise cause_of_end(groups, _ended_again(groups, group), previous)
    if group.provisioning == "Failed":
        raise _never_began(group)
    if current.get("state") == "Waiting" and (cause := _pull_failure(group)):
        raise cause


def _ended_again(groups: ContainerGroups, group: Group) -> Group:
    """The group once its container, started anew, has ended as before, if it soon does.

    Azure gives the log of the present run, and that of the last one only until the next starts: what a container said
    before it ended is gone as long as it runs again.
    """
    until = time.monotonic() + _ENDS_AGAIN_S
    while (group.container.get("currentState") or {}).get("state") == "Running" and time.monotonic() < until:
        time.sleep(_POLL_S)
        group = groups.get(group.resource_group, group.name) or group
    return group


def cause_of_end(groups: ContainerGroups, group: Group, ended: Mapping[str, Any]) -> DrayError:
    """Why the container ended: its memory limit, its architecture, or what it said last."""
    log = _log(groups, group.resource_group, group.name)
    status = ended.get("exitCode")
    detail = {"exit_status": status, "log": log, "group": group.name, "events": _events(group)}
    if _says(ended, _OUT_OF_MEMORY) or status == endings.KILLED:
        return endings.out_of_memory(f"{_memory_gb(group):g} GB", "memory_gb", detail)
    if endings.says_format_error(" ".join((*log, str(ended.get("detailStatus"))))):
        return endings.wrong_processor("Azure", "linux/amd64", detail)
    return endings.ended(f"with exit status {status}", log, detail)


def _never_began(group: Group) -> DrayError:
    if cause := _pull_failure(group):
        return cause
    events = _events(group)
    said = f": {events[-1]}" if events else ""
    return NotReady(f"Azure could not start container group {group.name!r}{said}", hint="its events are in the detail",
                    detail={"events": events})  # fmt: skip


def _pull_failure(group: Group) -> DrayError | None:
    """The cause, where events say for certain that the image cannot be had; what passes by itself is no such event."""
    for event in group.container.get("events") or ():
        words = str(event.get("message") or "")
        meaning = in_words(words) if event.get("name") == "Failed" else None
        if meaning and meaning.kind in (PullDenied, ImageMissing):
            return meaning.kind(
                f"Azure cannot pull the image: {words}", hint=meaning.hint, detail={"events": _events(group)}
            )
    return None


def _late(groups: ContainerGroups, resource_group: str, name: str, state: ServerState | None) -> NotReady:
    group = groups.get(resource_group, name)
    shown = group.container.get("currentState") or {} if group else {}
    how = f"it says {state.state!r}" if state else "its endpoint does not answer from here"
    container = str(shown.get("state") or "unknown").lower()
    log, events = _log(groups, resource_group, name), _events(group) if group else []
    return endings.late(f"in time: its container is {container}, {how}", log, events=events)


def _log(groups: ContainerGroups, resource_group: str, name: str) -> list[str]:
    """Its last lines; none where Azure does not give them, for the cause is more than its log."""
    try:
        return groups.log(resource_group, name, tail=_TAIL).splitlines()
    except DrayError as error:
        logger.info("no log of %s: %s", name, error.message)
        return []


def _says(state: Mapping[str, Any], words: str) -> bool:
    return words in str(state.get("detailStatus") or "").lower()


def _memory_gb(group: Group) -> float:
    return group.facts.served.chosen().memory_gb


def _events(group: Group) -> list[str]:
    both = (*(group.container.get("events") or ()), *((group.properties.get("instanceView") or {}).get("events") or ()))
    return [f"{event.get('name')}: {event.get('message')}" for event in both]
