"""What a local deployment would change: pure functions of the record, the release and the settings."""

from collections.abc import Mapping
from typing import Any

from packager.core.artifact import ModelPackage
from packager.core.deployment import Action, Change, Finding, Findings, State
from packager.core.errors import ConfigurationError, PortInUse, SimulationAbsent
from packager.core.evidence import simulated_on, unsimulated
from packager.core.image import Platform
from targets.kit.engine.ports import endpoint_url, is_public, port_holder, port_is_free
from targets.local.record import Record, Slot
from targets.local.settings import LocalSettings


def actions(
    name: str,
    live: Slot | None,
    state: State | None,
    package: ModelPackage,
    settings: LocalSettings,
    program: tuple[str, ...],
) -> tuple[Action, ...]:
    """A copy of the package, and a process that serves it; both kept where nothing would change."""
    copy = Action("create", f"package {package.digest[:19]}", _package_body(package))
    body = _process_body(live, package, settings, program)
    if live is None:
        return (copy, Action("create", f"process {name}", body))
    changes = _changes(live, state, package, settings)
    same_package = live.digest == package.digest
    copy = Action("keep", copy.resource, copy.body) if same_package else copy
    return (copy, Action("update" if changes else "keep", f"process {name}", body, changes))


def leftovers(record: Record | None) -> tuple[Action, ...]:
    """What an interrupted command left beside the live process, to be ended before anything else."""
    slots = (record.candidate, record.retiring) if record else ()
    return tuple(
        Action("delete", f"process of {slot.model} {slot.version}", {"left_by": "an interrupted command"})
        for slot in slots
        if slot
    )


def findings(live: Slot | None, serving: bool, package: ModelPackage, settings: LocalSettings) -> Findings:
    """A circuit that cannot be simulated here, a port that is taken, and an endpoint that others can reach."""
    found: list[Finding] = list(_circuit_findings(package))
    port = settings.port or (live.port if live else None)
    own = serving and live is not None and port == live.port
    if port is not None and not own:
        found += _port_findings(settings.host, port)
    if is_public(settings.host):
        found.append(
            Finding(
                "E-PUBLIC-ENDPOINT",
                f"everybody who can reach this machine can use the model: it listens on {settings.host} without a key",
                hint="leave the host out to listen on this machine alone",
            )
        )
    return tuple(found)


def _circuit_findings(package: ModelPackage) -> Findings:
    if package.manifest.circuit is None:
        return ()
    here = Platform.here()
    if not unsimulated(package, (here,)):
        return ()
    held = ", ".join(simulated_on(package)) or "none"
    message = f"the circuit of {package.manifest.name!r} has no simulation for {here}; it has {held}"
    hint = "`dray package MODEL --circuit` here makes one"
    return (Finding(SimulationAbsent.code, message, hint=hint, blocking=True),)


def _port_findings(host: str, port: int) -> Findings:
    try:
        if port_is_free(host, port):
            return ()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        hint = "choose an address of this machine, and a port above 1023"
        return (
            Finding(ConfigurationError.code, f"cannot listen on {host} port {port}: {why}", hint=hint, blocking=True),
        )
    holder = port_holder(port) or "another program"
    hint = "choose another with --set port=N, leave the port out to get a free one, or end that program"
    return (Finding(PortInUse.code, f"port {port} of {host} is in use by {holder}", hint=hint, blocking=True),)


def _package_body(package: ModelPackage) -> Mapping[str, Any]:
    manifest = package.manifest
    return {"name": manifest.name, "version": manifest.version, "digest": package.digest}


def _process_body(
    live: Slot | None, package: ModelPackage, settings: LocalSettings, program: tuple[str, ...]
) -> Mapping[str, Any]:
    port = settings.port or (live.port if live else None)
    environment = {"DRAY_HOST": settings.host, "DRAY_PORT": str(port or "free"), **settings.environment()}
    return {
        "program": list(program),
        "environment": environment,
        "package": package.digest,
        "endpoint": endpoint_url(settings.host, port) if port else None,
        "drain_timeout_s": settings.drain_timeout_s,
    }


def _changes(live: Slot, state: State | None, package: ModelPackage, settings: LocalSettings) -> tuple[Change, ...]:
    port = settings.port or live.port
    manifest = package.manifest
    before: dict[str, Any] = {
        "model": live.model,
        "version": live.version,
        "digest": live.digest,
        "endpoint": endpoint_url(live.host, live.port),
        **_tunables(live.settings),
        "state": state,
    }
    after: dict[str, Any] = {
        "model": manifest.name,
        "version": manifest.version,
        "digest": package.digest,
        "endpoint": endpoint_url(settings.host, port),
        **_tunables(settings),
        "state": "running",
    }
    return tuple(Change(key, before[key], after[key]) for key in after if before[key] != after[key])


def _tunables(settings: LocalSettings) -> dict[str, Any]:
    """What is set, but for the port, which an update keeps where it is left out."""
    return settings.model_dump(exclude={"port"})
