"""Containers of one deployment: the next beside the live one, their exchange, and the end of what is left over.

A published port belongs to one container, so a replaced container ends before the new one takes the port: for as long
as the runtime takes to start, clients are refused. What takes the port has passed its smoke tests in a container of the
same body on another port; where it does not come up, the old one is started again.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from packager.core.artifact import Release
from packager.core.errors import DeploymentFailed, DrayError, PortInUse
from packager.core.progress import Progress
from packager.core.protocols import Secrets
from targets.docker import body, planning
from targets.docker.images import name_in_engine
from targets.docker.settings import DockerSettings
from targets.docker.state import (
    NEXT,
    PREVIOUS,
    TRIAL,
    Deployed,
    container_name,
    deployed,
    settings_of,
)
from targets.kit.api_keys import first_key, secret_of
from targets.kit.engine.containers import Container, ContainerEngine, EngineImage
from targets.kit.engine.ports import free_port
from targets.kit.engine.readiness import refuse_if_ended, wait_ready

logger = logging.getLogger(__name__)
_PORT_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """A release that shall run, as an engine takes it."""

    name: str
    release: Release
    settings: DockerSettings
    image: EngineImage
    secrets: Secrets


def start_trial(
    engine: ContainerEngine, state: Deployed, wanted: Wanted, progress: Progress, *, timeout_s: float
) -> tuple[Container, str]:
    """The release in a container of its own, ready, and its URL; on any failure there is no trace of it.

    The first of a name has its port from the beginning; later ones get one that the engine chooses.

    Raises:
        PortInUse, ProcessCrash, OutOfMemory, NotReady, ArchitectureMissing: As the engine and the runtime have it.
    """
    for container in state.leftovers:
        engine.remove(container)
    chosen = planning.public_port(state, wanted.settings)
    for left in reversed(range(_PORT_TRIES)):
        first = state.live is None
        port = str(chosen or free_port(wanted.settings.host)) if first else ""
        try:
            return _start(engine, wanted, TRIAL, port, progress, timeout_s=timeout_s)
        except PortInUse:
            if chosen or not first or not left:
                raise
            progress.detail(f"port {port} was taken meanwhile, trying another")
    raise AssertionError("the last try returns or raises")


def promote(
    engine: ContainerEngine, state: Deployed, wanted: Wanted, progress: Progress, *, timeout_s: float
) -> Container:
    """Put the release that passed its tests in the live one's place.

    Raises:
        DeploymentFailed: The trial is gone.
        DrayError: The new container did not come up on the port; the old one serves again.
    """
    if state.trial is None:
        raise DeploymentFailed(f"the candidate of {state.name!r} is gone", hint="deploy again")
    if state.live is None:
        refuse_if_ended(engine, state.trial)
        engine.rename(state.trial, container_name(state.name))
        return engine.container(state.trial.id)
    made = _exchange(engine, state, state.live, wanted, progress, timeout_s=timeout_s)
    if state.previous:
        engine.remove(state.previous)
    # It must not come back by itself, with the port that is another's now, when the engine is started again.
    engine.set_restart(state.live, "no")
    engine.rename(state.live, container_name(state.name, PREVIOUS))
    engine.rename(made, container_name(state.name))
    engine.remove(state.trial)
    return engine.container(made.id)


def recover(engine: ContainerEngine, name: str) -> Deployed:
    """End what an interrupted command left, and finish an exchange that had gone too far to be undone.

    Returns:
        The containers as they then are.
    """
    state = deployed(engine, name)
    if state.live is None and state.next is not None and state.next.running:
        engine.rename(state.next, container_name(name))
        state = deployed(engine, name)
    for container in state.leftovers:
        engine.remove(container)
    return deployed(engine, name)


def end_all(engine: ContainerEngine, state: Deployed) -> None:
    """End and remove every container; the live one finishes what it has accepted."""
    if state.live and state.live.running:
        with suppress(DrayError):  # removed below in any case
            engine.stop(state.live, grace_s=settings_of(state.live).drain_timeout_s)
    for container in state.every:
        engine.remove(container)


def _exchange(
    engine: ContainerEngine, state: Deployed, live: Container, wanted: Wanted, progress: Progress, *, timeout_s: float
) -> Container:
    """The container that now has the port; the old one has ended and is still there."""
    port = planning.public_port(state, wanted.settings)
    made = _create(engine, wanted, NEXT, str(port))
    try:
        progress.step(f"handing port {port} over")
        began = time.monotonic()
        engine.stop(live, grace_s=settings_of(live).drain_timeout_s)
        stopped = time.monotonic()
        engine.start(made)
        url = planning.endpoint(engine.host, wanted.settings, port or 0)
        wait_ready(engine, made, url, token=_token(wanted), timeout_s=timeout_s)
    except BaseException:
        _bring_back(engine, live, made)
        raise
    now = time.monotonic()
    progress.detail(
        f"the old container ended in {stopped - began:.2f} s, the new one was ready {now - stopped:.2f} s later"
    )
    return made


def _bring_back(engine: ContainerEngine, live: Container, made: Container) -> None:
    """Let the old one serve again, whatever stopped the exchange."""
    engine.remove(made)
    try:
        engine.start(live)
    except DrayError as error:
        logger.warning("%s could not be started again: %s", live.name, error.message)


def _start(
    engine: ContainerEngine, wanted: Wanted, role: str, port: str, progress: Progress, *, timeout_s: float
) -> tuple[Container, str]:
    container = _create(engine, wanted, role, port)
    try:
        engine.start(container)
        # A container that ended at once has no port any more; its end is the reason to tell.
        running = engine.container(container.id, container.name)
        published = running.host_port(body.PORT)
        if published is None:
            refuse_if_ended(engine, running)
            raise DeploymentFailed(
                f"the engine publishes no port for {container.name}", hint="docker inspect shows why"
            )
        url = planning.endpoint(engine.host, wanted.settings, published)
        progress.step(f"waiting for {url}")
        wait_ready(engine, running, url, token=_token(wanted), timeout_s=timeout_s)
    except BaseException:
        engine.remove(container)
        raise
    return engine.container(container.id), url


def _create(engine: ContainerEngine, wanted: Wanted, role: str, port: str) -> Container:
    settings = wanted.settings
    image = name_in_engine(engine, wanted.release, wanted.image)
    asked: Mapping[str, Any] = body.container_body(
        wanted.name, wanted.release, image, settings, host=settings.host, port=port
    )
    container = engine.create(container_name(wanted.name, role), asked)
    if settings.api_keys:
        try:
            keys = secret_of(settings.api_keys, wanted.secrets)
            engine.copy_in(container, body.SECRETS, {body.KEYS: keys.encode()})
        except BaseException:
            engine.remove(container)
            raise
    return container


def _token(wanted: Wanted) -> str | None:
    reference = wanted.settings.api_keys
    return first_key(secret_of(reference, wanted.secrets)) if reference else None
