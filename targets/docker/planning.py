"""What a deployment to an engine would change: functions of its containers, the release and the settings."""

from typing import Any

from packager.core.artifact import Release
from packager.core.deployment import Action, Change, Finding, Findings, State
from packager.core.errors import ConfigurationError, PortInUse
from targets.docker import body
from targets.docker.settings import DockerSettings
from targets.docker.state import TRIAL, Deployed, bound_port, container_name, settings_of
from targets.kit.engine.containers import Container, EngineFacts
from targets.kit.engine.docker_host import DockerHost
from targets.kit.engine.ports import endpoint_url, is_public, port_holder, port_is_free
from targets.kit.images import required_image

FREE = "free"


def endpoint(host: DockerHost, settings: DockerSettings, port: int) -> str:
    """The URL by which clients reach what an engine publishes."""
    return f"http://{host.machine}:{port}" if host.remote else endpoint_url(settings.host, port)


def public_port(state: Deployed, settings: DockerSettings) -> int | None:
    """The port that is asked for, or that clients know already; None where any free one does."""
    return settings.port or (bound_port(state.live) if state.live else None)


def actions(
    state: Deployed, seen: State | None, release: Release, settings: DockerSettings, host: DockerHost
) -> tuple[Action, ...]:
    """Containers to create and replace, with the bodies that create them; kept where nothing would change."""
    port = public_port(state, settings)
    image = str(required_image(release))
    final = body.container_body(state.name, release, image, settings, host=settings.host, port=str(port or FREE))
    secrets = {"secrets": {f"{body.SECRETS}/{body.KEYS}": settings.api_keys}} if settings.api_keys else {}
    left = tuple(
        Action("delete", f"container {each.name}", {"left_by": "an interrupted command"}) for each in state.leftovers
    )
    resource = f"container {container_name(state.name)}"
    if state.live is None:
        return (*left, Action("create", resource, {**final, **secrets}))
    changes = _changes(state.live, seen, release, settings, host, port)
    if not changes:
        return (*left, Action("keep", resource, {**final, **secrets}))
    trial = body.container_body(state.name, release, image, settings, host=settings.host, port="")
    tested = Action("create", f"container {container_name(state.name, TRIAL)}", {**trial, **secrets})
    return (*left, tested, Action("replace", resource, {**final, **secrets}, changes))


def findings(state: Deployed, settings: DockerSettings, host: DockerHost, facts: EngineFacts) -> Findings:
    """Limits that the engine does not have, ports that are taken, endpoints that others reach, and the gap."""
    found = [*_limits(settings, facts), *_port(state, settings, host)]
    if is_public(settings.host) and not settings.api_keys:
        found.append(
            Finding(
                "E-PUBLIC-ENDPOINT",
                f"everybody who can reach {settings.host} of the engine's machine can use the model: no key, no TLS",
                hint="--set api_keys=env:NAME or file:PATH asks for keys; leave the host out for this machine alone",
            )
        )
    return tuple(found)


def gap(state: Deployed) -> Findings:
    """That clients are refused for a moment, where an update takes the port from a container that serves."""
    if state.live is None or not state.live.running:
        return ()
    message = "the new container takes the port when the old one has ended: clients are refused while it starts"
    hint = "it has passed its smoke tests before on another port; if it does not start, the old one is started again"
    return (Finding("E-GAP", message, hint),)


def _limits(settings: DockerSettings, facts: EngineFacts) -> Findings:
    found = []
    if settings.cpus and settings.cpus > facts.cpus:
        message = f"cpus={settings.cpus:g}, and the engine's machine has {facts.cpus:g}"
        found.append(Finding(ConfigurationError.code, message, "ask for fewer", blocking=True))
    if settings.memory_mib and settings.memory_mib << 20 > facts.memory_bytes:
        message = f"memory_mib={settings.memory_mib}, and the engine's machine has {facts.memory_bytes >> 20}"
        found.append(Finding(ConfigurationError.code, message, "ask for less", blocking=True))
    return tuple(found)


def _port(state: Deployed, settings: DockerSettings, host: DockerHost) -> Findings:
    port = public_port(state, settings)
    if host.remote:
        return _remote_port(settings, host, port)
    own = state.live is not None and port == bound_port(state.live) and state.live.running
    if port is None or own:
        return ()
    try:
        if port_is_free(settings.host, port):
            return ()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        message = f"cannot publish on {settings.host} port {port}: {why}"
        hint = "choose an address of this machine"
        return (Finding(ConfigurationError.code, message, hint, blocking=True),)
    message = f"port {port} of {settings.host} is in use by {port_holder(port) or 'another program'}"
    hint = "choose another with --set port=N, leave the port out to get a free one, or end that program"
    return (Finding(PortInUse.code, message, hint, blocking=True),)


def _remote_port(settings: DockerSettings, host: DockerHost, port: int | None) -> Findings:
    found = []
    if port is None:
        message = f"which ports of {host.machine} are free cannot be seen from here"
        found.append(Finding(ConfigurationError.code, message, "choose one: --set port=N", blocking=True))
    if not is_public(settings.host):
        message = f"the engine runs on {host.machine}, where a port on {settings.host} cannot be reached from here"
        hint = "--set host=0.0.0.0, and api_keys to ask for keys; or run dray on that machine"
        found.append(Finding(ConfigurationError.code, message, hint, blocking=True))
    return tuple(found)


def _changes(
    live: Container, seen: State | None, release: Release, settings: DockerSettings, host: DockerHost, port: int | None
) -> tuple[Change, ...]:
    old = settings_of(live)
    before: dict[str, Any] = {
        "model": live.labels.get(body.MODEL),
        "version": live.labels.get(body.VERSION),
        "digest": live.labels.get(body.PACKAGE),
        "image": live.labels.get(body.IMAGE),
        "endpoint": endpoint(host, old, bound_port(live) or 0),
        **_tunables(old),
        "state": seen,
    }
    manifest = release.package.manifest
    after: dict[str, Any] = {
        "model": manifest.name,
        "version": manifest.version,
        "digest": release.package.digest,
        "image": str(release.image),
        "endpoint": endpoint(host, settings, port or 0),
        **_tunables(settings),
        "state": "running",
    }
    return tuple(Change(key, before[key], after[key]) for key in after if before[key] != after[key])


def _tunables(settings: DockerSettings) -> dict[str, Any]:
    """What the container was made with; not how its engine is found, nor the port, which an update keeps."""
    return settings.model_dump(exclude={"port", "context"})
