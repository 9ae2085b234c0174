"""Lines of a container's log, which Azure gives whole and never as a stream."""

import time
from collections.abc import Iterator
from typing import Final

from packager.core.errors import Transitioning
from targets.aci.groups import ContainerGroups

_POLL_S: Final = 1.0


def lines_of(groups: ContainerGroups, resource_group: str, name: str, *, follow: bool) -> Iterator[str]:
    """Lines so far; with ``follow``, those that come, until the group is gone.

    A container that starts again begins a new log, which is told from the start.
    """
    shown: list[str] = []
    while True:
        try:
            lines = groups.log(resource_group, name).splitlines()
        except Transitioning:
            if not follow:
                raise
            lines = shown  # there is none while its container is made or ended
        yield from lines[_overlap(shown, lines) :]
        shown = lines
        if not follow or groups.get(resource_group, name) is None:
            return
        time.sleep(max(_POLL_S, groups.access.poll_s))


def _overlap(shown: list[str], lines: list[str]) -> int:
    """How many of ``lines`` have been shown: Azure keeps only the last megabytes, so that the first ones may vanish."""
    if lines[: len(shown)] == shown:
        return len(shown)
    for start in range(1, len(shown)):
        if lines[: len(shown) - start] == shown[start:]:
            return len(shown) - start
    return 0
