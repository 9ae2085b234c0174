"""A group's containers, watched: what ends runs again by its policy, and probes are carried out."""

import logging
import threading

from targets.rehearsal.arm.groups import Group
from targets.rehearsal.arm.probes import probes_of

logger = logging.getLogger(__name__)

TICK_S = 0.2


def supervise(group: Group) -> None:
    """Watch what runs now, in a thread, until the group's ``quit``."""
    threading.Thread(target=_watch, args=(group, group.quit), name=f"watch {group.id.name}", daemon=True).start()


def _watch(group: Group, ended: threading.Event) -> None:
    runs = list(group.runs)
    asked = [container.properties for container in group.body.properties.containers]
    probes = [
        probe
        for run, each in zip(runs, asked, strict=True)
        for probe in probes_of(run, each.liveness_probe, each.readiness_probe)
    ]
    while not ended.wait(TICK_S):
        for tick in [each.tick for each in runs] + [each.tick for each in probes]:
            if ended.is_set():
                return
            try:
                tick()
            except Exception:
                # One container's trouble must not end the watch over the others.
                logger.exception("watching %s", group.id.name)
