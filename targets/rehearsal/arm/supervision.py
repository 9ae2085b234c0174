"""A group's containers, watched: what ends runs again by its policy, and probes are carried out."""

import threading

from targets.rehearsal.arm.groups import Group

TICK_S = 0.2


def supervise(group: Group) -> None:
    """Watch from now on, in a thread, until the group's ``quit``."""
    threading.Thread(target=_watch, args=(group, group.quit), name=f"watch {group.id.name}", daemon=True).start()


def _watch(group: Group, quit: threading.Event) -> None:  # noqa: A002
    while not quit.wait(TICK_S):
        for run in group.runs:
            run.tick()
            if quit.is_set():
                return
