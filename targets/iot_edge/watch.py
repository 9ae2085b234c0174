"""Waiting until a device runs a release and says that it is ready, or for the cause why it never will."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from packager.core.errors import ManifestRefused
from packager.core.progress import Progress
from targets.iot_edge.causes import INVALID, cause_of, is_ours, log_if_any, pull_never_ended
from targets.iot_edge.client import EdgeClient, Health, never_ready
from targets.iot_edge.module import Wanted
from targets.kit import endings
from targets.kit.iothub.hub import AGENT, HUB, Hub, desired_version, is_connected, reported_of

_OK: Final = 200
Ending = Literal["ready", "offline"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a device.

    Attributes:
        applied: Whether the agent has dealt with the present manifest.
        running: Whether the release's container runs.
    """

    connected: bool
    applied: bool
    running: bool
    words: str


def wait_ready(hub: Hub, device: str, wanted: Wanted, progress: Progress, *, until: float, ended_before: str) -> Ending:
    """``ready`` once the release's module says that it is; ``offline`` where the device is away when the time is up.

    Args:
        until: On the monotonic clock.
        ended_before: When the module's container had last ended before this change.

    Raises:
        DrayError: The first cause why it will not be: manifest, image, crash, memory, self-test, time.
    """
    client, told = EdgeClient(hub, device, wanted.module), ""
    while True:
        agent = hub.twin(device, AGENT)
        seen = look(agent, wanted)
        reported = reported_of(agent)
        if cause := cause_of(hub, device, wanted, reported, applied=seen.applied, ended_before=ended_before):
            raise cause
        health = client.health() if seen.running and seen.connected else None
        if health is not None and health.digest == wanted.served.package:
            if health.state == "failed":
                raise never_ready(device, health)
            if health.serves:
                return "ready"
        if (now := _words(seen, health)) != told:
            progress.detail(f"{device}: {now}")
            told = now
        if time.monotonic() >= until:
            if not seen.connected:
                return "offline"
            if pulling := pull_never_ended(device, wanted, reported, applied=seen.applied):
                raise pulling
            log = log_if_any(hub, device, wanted.module)
            raise endings.late(f"in time on device {device!r}: {now}", log, device=device, health=_document(health))
        time.sleep(hub.access.poll_s)


def look(agent: Mapping[str, Any], wanted: Wanted) -> Seen:
    """What the twin of a device's agent says of a release."""
    reported = reported_of(agent)
    module = (reported.get("modules") or {}).get(wanted.module) or {}
    applied = int(reported.get("lastDesiredVersion") or 0) >= desired_version(agent)
    ours, status = is_ours(module, wanted), str(module.get("runtimeStatus") or "not there")
    runs = ours and status == "running"
    told = reported.get("lastDesiredStatus") or {}
    failing = applied and int(told.get("code") or _OK) != _OK
    said = str(told.get("description") or "") if failing else str(module.get("statusDescription") or "")
    words = f"the module is {status}" if ours else "the device has not taken it yet"
    return Seen(is_connected(agent), applied, runs, words if runs or not said else f"{words}: {said}")


def refuse_untaken_routes(hub: Hub, device: str) -> None:
    """Raises ManifestRefused: the device's hub says that it does not take its routes, and so no message arrives."""
    router = hub.twin(device, HUB)
    reported = reported_of(router)
    status = reported.get("lastDesiredStatus") or {}
    current = int(reported.get("lastDesiredVersion") or 0) >= desired_version(router)
    if current and int(status.get("code") or _OK) in INVALID:
        said = str(status.get("description") or status["code"])
        raise ManifestRefused(
            f"the hub of device {device!r} does not take its routes: {said}",
            hint="look at sources and routes in the settings, and at routes of other modules there",
            detail={"code": status["code"], "description": said},
        )


def wait_gone(hub: Hub, device: str, module: str, *, until: float) -> None:
    """Return once a device that is connected has the module no more, nor the hub its identity, or the time is up."""
    while time.monotonic() < until:
        agent = hub.twin(device, AGENT)
        there = module in (reported_of(agent).get("modules") or {})
        if not is_connected(agent) or (not there and hub.find_twin(device, module) is None):
            return
        time.sleep(hub.access.poll_s)


def _words(seen: Seen, health: Health | None) -> str:
    if not seen.connected:
        return "the device is offline"
    if not seen.running:
        return seen.words
    if health is None:
        return "the module runs and does not answer yet"
    return f"the module says {health.state!r}"


def _document(health: Health | None) -> dict[str, Any]:
    return dict(health.document) if health else {}
