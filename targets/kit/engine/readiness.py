"""Waiting until the runtime in a container is ready, or for the cause why it never will be."""

import time
from typing import Final

from packager.core.errors import DrayError
from packager.core.http_client import HttpInferenceClient
from targets.kit import endings
from targets.kit.engine.containers import Container, ContainerEngine

_POLL_S: Final = 0.05
# The engine is asked less often than the runtime: each question costs it more.
_LOOK_S: Final = 0.25
_ASK_S: Final = 2.0


def wait_ready(
    engine: ContainerEngine, container: Container, url: str, *, token: str | None = None, timeout_s: float
) -> None:
    """Return once the runtime says that it is ready and its container runs.

    Raises:
        OutOfMemory, ProcessCrash, ArchitectureMissing: It ended; with its last words.
        NotReady: It says that it never will be, or the time is up.
    """
    deadline = time.monotonic() + timeout_s
    looked = 0.0
    with HttpInferenceClient(url, token=token, timeout_s=_ASK_S) as client:
        while True:
            state = client.state()
            if (now := time.monotonic()) - looked >= _LOOK_S or (state and state.state in ("ready", "failed")):
                looked = now
                refuse_if_ended(engine, engine.container(container.id, container.name))
            if state and state.state == "ready":
                return
            if state and state.state == "failed":
                raise endings.never_ready(state, engine.tail(container))
            if time.monotonic() >= deadline:
                raise endings.late(f"within {timeout_s:g} s", engine.tail(container))
            time.sleep(_POLL_S)


def refuse_if_ended(engine: ContainerEngine, container: Container) -> None:
    """The cause, where a container that should run does not.

    Raises:
        OutOfMemory, ProcessCrash, ArchitectureMissing: As its state and its log have it.
    """
    if not container.running:
        raise cause_of_end(container, engine.tail(container))


def cause_of_end(container: Container, log: list[str]) -> DrayError:
    """Why a container ended: its memory limit, its architecture, or what it said last."""
    status = container.exit_status
    detail = {"exit_status": status, "log": log, "container": container.name}
    limit = int(container.document["HostConfig"].get("Memory") or 0) >> 20
    if container.out_of_memory or (status == endings.KILLED and limit):
        return endings.out_of_memory(f"{limit} MiB" if limit else None, "memory_mib", detail)
    if endings.says_format_error(" ".join(log)):
        return endings.wrong_processor("the engine", "linux/ARCH", detail)
    return endings.ended(f"with exit status {status}", log, detail)
