"""A deployment as its containers show it: names say what each is for, labels which release it runs.

``dray-NAME`` serves. ``dray.trial-NAME`` is being tested, ``dray.next-NAME`` is about to take the port, and
``dray.previous-NAME`` is what served before, stopped, for a rollback. A name that begins with ``dray.`` is never that
of a serving one, so that no deployment's name collides with another's role.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from packager.core.errors import DeploymentFailed
from packager.core.image import ImageRef
from targets.docker import body
from targets.docker.settings import DockerSettings
from targets.kit.engine.containers import Container, ContainerEngine

TRIAL, NEXT, PREVIOUS = "trial", "next", "previous"
_ROLES: Final = (TRIAL, NEXT, PREVIOUS)


def container_name(name: str, role: str | None = None) -> str:
    """The container of a deployment that serves, or has another role."""
    return f"dray.{role}-{name}" if role else f"dray-{name}"


@dataclass(frozen=True, slots=True)
class Deployed:
    """The containers of one deployment; None for those that there are not."""

    name: str
    live: Container | None = None
    trial: Container | None = None
    next: Container | None = None
    previous: Container | None = None

    @property
    def leftovers(self) -> tuple[Container, ...]:
        """What an interrupted command left behind."""
        return tuple(each for each in (self.trial, self.next) if each)

    @property
    def every(self) -> tuple[Container, ...]:
        """All of them, the one that serves last."""
        return tuple(each for each in (self.trial, self.next, self.previous, self.live) if each)


def deployed(engine: ContainerEngine, name: str) -> Deployed:
    """The deployment of a name, which may have no containers at all."""
    return _of(name, engine.containers([f"{body.NAME}={name}"]))


def all_deployed(engine: ContainerEngine) -> tuple[Deployed, ...]:
    """Every deployment of the engine, by name."""
    found: dict[str, list[Container]] = {}
    for container in engine.containers([body.NAME]):
        found.setdefault(container.labels[body.NAME], []).append(container)
    return tuple(_of(name, tuple(containers)) for name, containers in sorted(found.items()))


def settings_of(container: Container) -> DockerSettings:
    """The settings that a container was made with.

    Raises:
        DeploymentFailed: Another version of dray wrote others.
    """
    text = container.labels.get(body.SETTINGS, "{}")
    try:
        return DockerSettings.model_validate_json(text)
    except ValidationError as error:
        raise DeploymentFailed(
            f"the settings of container {container.name!r} cannot be read: {text!r}",
            hint="another version of dray made it; deploy again with this one",
        ) from error


def image_of(container: Container) -> ImageRef:
    """The reference that its image was asked for by."""
    return ImageRef.parse(container.labels[body.IMAGE])


def bound_port(container: Container) -> int | None:
    """The port that it is published on whenever it runs; None where the engine chooses."""
    bindings: Mapping[str, Any] = container.document["HostConfig"].get("PortBindings") or {}
    bound = bindings.get(f"{body.PORT}/tcp") or [{}]
    return int(bound[0]["HostPort"]) if bound[0].get("HostPort") else None


def facts_of(container: Container, context: str | None) -> dict[str, Any]:
    """What the target says of it beside what all targets say; ``context`` is how its engine was found."""
    settings = json.loads(container.labels.get(body.SETTINGS, "{}"))
    found_by = {"context": context} if context else {}
    return {
        "container": container.id[:12],
        "container_name": container.name,
        "image_id": container.image_id,
        "settings": {**settings, **found_by},
    }


def _of(name: str, containers: tuple[Container, ...]) -> Deployed:
    by_name = {container.name: container for container in containers}
    roles = {role: by_name.get(container_name(name, role)) for role in _ROLES}
    return Deployed(name, live=by_name.get(container_name(name)), **roles)
