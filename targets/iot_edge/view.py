"""Deployments as devices and configurations show them, in the words that all targets share."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from packager.core.deployment import Deployment, State
from packager.core.errors import DeploymentFailed
from targets.iot_edge.change import TARGET
from targets.iot_edge.fleet import Fleet, counts
from targets.iot_edge.module import SECTION
from targets.iot_edge.names import module_name
from targets.iot_edge.record import Record, Served
from targets.iot_edge.state import Device
from targets.kit.iothub.hub import Hub, reported_of
from targets.kit.iothub.requests import API_VERSION
from targets.kit.packages import kept_package

_STATES: Final[Mapping[str, State]] = {
    "running": "running",
    "stopped": "stopped",
    "unhealthy": "unhealthy",
    "backoff": "unhealthy",
    "failed": "failed",
    "dead": "failed",
}
_SAID: Final[Mapping[str, State]] = {"ready": "running", "held": "running", "failed": "failed"}


def described(state: Device, hub: Hub, served: Served | None = None, status: State | None = None) -> Deployment:
    """A deployment to one device.

    Args:
        served: The release to show; the one that the record shows where left out.
        status: How it goes; as the device reports it where left out.
    """
    record = state.record
    shown = served or (record.shown if record else None)
    if record is None or shown is None:
        raise DeploymentFailed(f"the record of {state.name!r} names no release", hint=f"dray delete {state.name}")
    detail = {
        "device": state.device,
        "module": state.module,
        "hub": hub.access.host,
        "connected": state.connected,
        "reported": _reported(state),
        "settings": {**_settings(shown), "device": state.device},
    }
    endpoint = _methods(hub, state.device, state.module)
    return _deployment(state.name, shown, status or state_of(state, record), endpoint, detail)


def described_fleet(fleet: Fleet, served: Served | None = None, status: State | None = None) -> Deployment:
    """A layered deployment."""
    record = fleet.record
    shown = served or (record.shown if record else None)
    if record is None or shown is None:
        raise DeploymentFailed(f"the record of {fleet.name!r} names no release", hint=f"dray delete {fleet.name}")
    serial = fleet.live_serial if shown is record.live else fleet.trial_serial
    found = fleet.found.get(serial) or {}
    detail = {
        "configuration": str(found.get("id") or ""),
        "module": module_name(fleet.name),
        "target_condition": str(found.get("targetCondition") or ""),
        "priority": found.get("priority"),
        "devices": counts(found),
        "settings": _settings(shown),
    }
    return _deployment(fleet.name, shown, status or _fleet_state(record, counts(found)), None, detail)


def state_of(state: Device, record: Record) -> State:
    """How a deployment to one device goes, by what was last reported."""
    if record.live is None or record.waits:
        return "pending"
    if state.entry is None:
        return "failed"
    reported = state.reported_module
    if not reported:
        return "unhealthy"
    found = _STATES.get(str(reported.get("runtimeStatus")), "unhealthy")
    said = str((state.reported.get(SECTION) or {}).get("state") or "")
    return _SAID.get(said, "unhealthy") if found == "running" and said else found


def _fleet_state(record: Record, found: Mapping[str, int]) -> State:
    if record.live is None or record.waits:
        return "pending"
    if not found.get("targetedCount") or not found.get("appliedCount"):
        return "pending"
    if found.get("reportedFailedCount"):
        return "unhealthy"
    return "running"


def _reported(state: Device) -> dict[str, Any]:
    """What agent and module last said."""
    agent = reported_of(state.agent)
    module = state.reported_module
    kept = ("runtimeStatus", "exitCode", "restartCount", "lastExitTimeUtc", "statusDescription")
    return {
        "agent": agent.get("lastDesiredStatus") or {},
        "module": {name: module[name] for name in kept if name in module},
    }


def _settings(served: Served) -> dict[str, Any]:
    return served.chosen().model_dump(mode="json", exclude_defaults=True)


def _methods(hub: Hub, device: str, module: str) -> str:
    """Where the module's direct methods are called."""
    path = f"/twins/{quote(device, safe='')}/modules/{quote(module, safe='')}/methods"
    return f"{hub.access.base_url}{path}?api-version={API_VERSION}"


def _deployment(name: str, served: Served, state: State, endpoint: str | None, detail: Mapping[str, Any]) -> Deployment:
    package = kept_package(served.package)
    return Deployment(
        name=name,
        target=TARGET,
        state=state,
        endpoint=endpoint,
        model=served.model,
        version=served.version,
        digest=served.package,
        package=str(package) if package else None,
        image=served.image,
        created_at=served.created,
        detail=detail,
    )
