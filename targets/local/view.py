"""A local deployment as its process shows it: the record says who to look for, never what it does."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil

from packager.core.deployment import Deployment, State
from targets.kit.endpoint import endpoint_state
from targets.kit.engine.ports import endpoint_url
from targets.kit.engine.process import RuntimeProcess
from targets.local.record import DeploymentFolder, Slot

_FOLLOW_POLL_S = 0.1


def deployment_of(folder: DeploymentFolder, slot: Slot) -> Deployment:
    """The deployment whose live slot this is, in the state that its process is in now."""
    url = endpoint_url(slot.host, slot.port)
    return describe(folder, slot, _state(folder.process(slot), url), url)


def describe(folder: DeploymentFolder, slot: Slot, state: State, endpoint: str | None) -> Deployment:
    """A slot in the words that all targets share."""
    return Deployment(
        name=folder.name,
        target="local",
        state=state,
        endpoint=endpoint,
        model=slot.model,
        version=slot.version,
        digest=slot.digest,
        package=str(folder.release(slot.digest)),
        image=None,
        created_at=slot.since,
        detail={
            "pid": slot.process.pid if slot.process else None,
            "log": str(folder.log(slot)),
            "settings": slot.settings.model_dump(exclude_none=True),
        },
    )


def alive(folder: DeploymentFolder, slot: Slot | None) -> bool:
    """Whether the process of a slot runs."""
    process = folder.process(slot) if slot else None
    return process is not None and process.alive()


def log_lines(folder: DeploymentFolder, *, follow: bool) -> Iterator[str]:
    """Lines of the live process; with ``follow`` on and on, with those of the processes that replace it."""
    path = _live_log(folder)
    while path is not None:
        with path.open(encoding="utf-8", errors="replace") as stream:
            yield from _lines(stream, more=_still(folder, path) if follow else lambda: False)
        following = _live_log(folder) if follow else None
        path = following if following != path else None


def _state(process: RuntimeProcess | None, url: str) -> State:
    if process is None:
        return "stopped"
    said = endpoint_state(url) if process.alive() else "unhealthy"
    if said != "unhealthy" or process.alive():
        return said
    # A restart of the machine stops everything; anything else that ends a process is a failure.
    return "stopped" if psutil.boot_time() > process.identity.created else "failed"


def _live_log(folder: DeploymentFolder) -> Path | None:
    record = folder.read()
    slot = (record.live or record.candidate) if record else None
    path = folder.log(slot) if slot else None
    return path if path and path.is_file() else None


def _still(folder: DeploymentFolder, path: Path) -> Callable[[], bool]:
    return lambda: _live_log(folder) == path


def _lines(stream: IO[str], *, more: Callable[[], bool]) -> Iterator[str]:
    """Whole lines; the last one when there will be no more of it."""
    pending = ""
    while True:
        go_on = more()  # asked first: what was written until then is read below
        while line := stream.readline():
            pending += line
            if pending.endswith("\n"):
                yield pending.rstrip("\n")
                pending = ""
        if not go_on:
            break
        time.sleep(_FOLLOW_POLL_S)
    if pending:
        yield pending
