"""Waiting until the runtime in a container is ready, or for the cause why it never will be."""

import time
from typing import Final

from packager.core.errors import (
    ArchitectureMissing,
    DrayError,
    NotReady,
    OutOfMemory,
    ProcessCrash,
)
from packager.core.http_client import HttpInferenceClient, ServerState
from targets.kit.engine.containers import Container, ContainerEngine

_POLL_S: Final = 0.05
# The engine is asked less often than the runtime: each question costs it more.
_LOOK_S: Final = 0.25
_ASK_S: Final = 2.0
_KILLED: Final = 137
_FORMAT_ERROR: Final = "exec format error"


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
                raise _failed(engine, container, state)
            if time.monotonic() >= deadline:
                raise NotReady(
                    f"the runtime was not ready within {timeout_s:g} s",
                    hint="raise --timeout; the last lines of its log are in the detail",
                    detail={"log": engine.tail(container)},
                )
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
    detail = {"exit_status": container.exit_status, "log": log, "container": container.name}
    words = log[-1].strip() if log else ""
    if container.out_of_memory or (container.exit_status == _KILLED and container.document["HostConfig"].get("Memory")):
        limit = int(container.document["HostConfig"].get("Memory") or 0) >> 20
        message = f"the runtime took more than its {limit} MiB of memory" if limit else "the machine has no memory left"
        return OutOfMemory(message, hint="raise --set memory_mib=N", detail=detail)
    if _FORMAT_ERROR in " ".join(log).lower():
        return ArchitectureMissing(
            "the image is for another processor than the engine's: exec format error",
            hint="build it for the engine's: dray image PACKAGE --platform linux/ARCH",
            detail=detail,
        )
    said = f": {words}" if words else ", and logged nothing"
    return ProcessCrash(
        f"the runtime ended with exit status {container.exit_status} before it was ready{said}",
        hint="the last lines of its log are in the detail",
        detail=detail,
    )


def _failed(engine: ContainerEngine, container: Container, state: ServerState) -> NotReady:
    code = f" ({state.error_code})" if state.error_code else ""
    return NotReady(
        f"the runtime will not become ready{code}: {state.message or 'it does not say why'}",
        hint=state.hint or "the last lines of its log are in the detail",
        detail={"error_code": state.error_code, "detail": state.detail, "log": engine.tail(container)},
    )
