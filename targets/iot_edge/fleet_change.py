"""Changing a layered deployment: a configuration above the one that serves, tried on some devices, taken or undone.

A configuration is made, relabelled under its etag, or deleted; after each request the next command can go on.
"""

import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from packager.core.errors import DeploymentBusy, DeploymentMissing, DrayError, NotReady, Transitioning
from packager.core.progress import Progress
from targets.iot_edge.change import TARGET
from targets.iot_edge.fleet import Fleet, configuration, fleets, members, read_fleet, relabelled
from targets.iot_edge.module import Wanted, credentials_of, wanted_of
from targets.iot_edge.names import configuration_name, module_name
from targets.iot_edge.record import Record
from targets.iot_edge.secrets import SecretValues
from targets.iot_edge.settings import IotEdgeSettings
from targets.iot_edge.watch import Ending, wait_gone, wait_ready
from targets.kit.holder import Holder, refuse_if_held
from targets.kit.iothub.hub import AGENT, Hub

logger = logging.getLogger(__name__)
_TRIES: Final = 5
_GONE_S: Final = 60.0
# So many devices are looked at to find some for the tests, connected ones at so many times the sample.
_LOOKED_AT, _MORE = 200, 5
# So many looks more for the rest of the sample, once a configuration has reached one.
_PATIENCE: Final = 10


@dataclass(frozen=True, slots=True)
class FleetWork:
    """One command at work on one layered deployment."""

    hub: Hub
    name: str
    values: SecretValues = field(repr=False)
    progress: Progress
    limit_s: float

    def read(self) -> Fleet:
        """As it is now."""
        return read_fleet(self.hub, self.name)


def refuse_if_busy(fleet: Fleet) -> None:
    """Raises DeploymentBusy: another command is changing it."""
    if fleet.record:
        refuse_if_held(fleet.name, TARGET, fleet.record.held_by)


def begin(work: FleetWork, fleet: Fleet, wanted: Wanted) -> Record:
    """Write down that this command is at it, and with what; void where somebody else was quicker.

    For a first release, that is its configuration itself.

    Raises:
        DeploymentBusy: Somebody else was.
        CredentialsUnusable: A secret is not here; nothing was begun.
    """
    credentials_of(wanted, work.values)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    trial = wanted.served.model_copy(update={"created": now})
    record = fleet.record or Record(name=wanted.name)
    if record.trial and record.waits and trial.same_release(record.trial):
        trial = record.trial
    holder = str(Holder.me(limit_s=2 * work.limit_s))
    begun = record.begun(trial, holder).model_copy(update={"trial_serial": fleet.trial_serial})
    if fleet.record is None:
        _make(work, fleet, wanted, begun)
    else:
        _relabel(work, fleet, begun)
    return begun


def put(work: FleetWork, wanted: Wanted) -> None:
    """The release's configuration beside the one that serves; what a killed command left in its place goes first."""
    fleet = work.read()
    serial = fleet.trial_serial
    there = fleet.found.get(serial)
    if there is not None:
        body = configuration(fleet, wanted, work.values, None)
        if there.get("content") == body["content"] and there.get("targetCondition") == body["targetCondition"]:
            return
        if serial == fleet.record_serial:
            work.hub.delete_configuration(str(there["id"]))
            _make(work, fleet, wanted, fleet.record)
            return
        work.hub.delete_configuration(str(there["id"]))
    work.progress.step(f"making configuration {serial} of {wanted.name}")
    _make(work, fleet, wanted, None)


def try_on(work: FleetWork, wanted: Wanted) -> tuple[Ending, tuple[str, ...]]:
    """The release on some of its devices, ready there; undone where it does not come up.

    Returns:
        Whether some were connected, and which.
    """
    try:
        put(work, wanted)
        until = time.monotonic() + work.limit_s
        there = _reached(work, wanted, until)
        ready = tuple(each for each in there if _ready(work, each, wanted, until))
        if not ready:
            write(work, Record.waiting)
            return "offline", ()
        return "ready", ready
    except BaseException:
        _quietly(work, lambda: undo(work))
        raise


def sample_of(hub: Hub, settings: IotEdgeSettings, configuration: str) -> tuple[str, ...]:
    """Connected devices that a configuration has reached, as many as are tested."""
    found = members(hub, settings.target_condition or "*", most=_LOOKED_AT)
    connected = [name for name, there in sorted(found) if there][: _MORE * settings.sample]
    reached = (name for name in connected if _is_applied(hub, name, configuration))
    return tuple(itertools.islice(reached, settings.sample))


def _reached(work: FleetWork, wanted: Wanted, until: float) -> tuple[str, ...]:
    """Some of the devices, once a configuration has reached them; none where no device is connected.

    A hub takes its time, and a device that no base deployment is for is never reached.

    Raises:
        NotReady: Devices are connected, and it has reached none of them.
    """
    settings, name = wanted.settings, configuration_name(wanted.name, work.read().trial_serial)
    patience, seen = _PATIENCE * work.hub.access.poll_s, 0.0
    while True:
        connected = [device for device, there in members(work.hub, settings.target_condition or "*") if there]
        found = sample_of(work.hub, settings, name)
        now = time.monotonic()
        seen = seen or (now if found else 0.0)
        enough = len(found) >= min(settings.sample, len(connected)) or (seen and now - seen > patience)
        if enough:
            return found
        if now >= until:
            raise NotReady(
                f"configuration {name!r} has reached none of the connected devices of {settings.target_condition!r}",
                hint="a layer needs a base deployment on the device: az iot edge deployment create without --layered",
                detail={"devices": connected},
            )
        time.sleep(work.hub.access.poll_s)


def _is_applied(hub: Hub, device: str, configuration: str) -> bool:
    known = (hub.find_twin(device, AGENT) or {}).get("configurations") or {}
    return str((known.get(configuration) or {}).get("status")).lower() == "applied"


def take(work: FleetWork) -> Record:
    """Let the trial be the one that serves, and delete the one before."""
    fleet = _mine(work)
    if fleet.record is None or fleet.record.trial is None:
        raise DeploymentMissing(f"no trial of {work.name!r} is under way", hint="deploy again")
    serial = fleet.record.trial_serial
    taken = fleet.record.taken().model_copy(update={"serial": serial, "trial_serial": 0})
    found = fleet.found[serial]
    work.hub.put_configuration(str(found["id"]), relabelled(found, taken), etag=str(found.get("etag") or "*"))
    delete_others(work, fleet, serial)
    return taken


def delete_others(work: FleetWork, fleet: Fleet, kept: int | None = None) -> None:
    """Delete every configuration but the one that serves."""
    for serial, each in fleet.found.items():
        if serial != (kept or fleet.live_serial):
            work.hub.delete_configuration(str(each["id"]))


def undo(work: FleetWork) -> None:
    """Take the trial away: the devices fall back to the one before; with nothing before, all goes."""
    fleet = _mine(work)
    record = fleet.record
    if record is None or record.live is None:
        _delete_all(work, fleet)
        return
    delete_others(work, fleet)
    wanted = wanted_of(work.name, record.live)
    work.progress.step(f"bringing {record.live.version} back to the devices")
    until, name = time.monotonic() + work.limit_s, str(fleet.found[fleet.live_serial]["id"])
    for device in sample_of(work.hub, wanted.settings, name):
        _ready(work, device, wanted, until)
    write(work, lambda known: known.undone().model_copy(update={"trial_serial": 0}))


def destroy(work: FleetWork) -> None:
    """Delete every configuration of the deployment; the one that holds the record last."""
    fleet = next((each for each in fleets(work.hub) if each.name == work.name), None)
    if fleet is None:
        return
    refuse_if_busy(fleet)
    _delete_all(work, fleet)


def write(work: FleetWork, change: Callable[[Record], Record]) -> Record:
    """Change the record, unless another command has taken it over."""
    for attempt in range(1, _TRIES + 1):
        fleet = _mine(work)
        if fleet.record is None:
            raise DeploymentMissing(f"{work.name!r} on {TARGET!r} is gone", hint="somebody deleted it; deploy again")
        made, found = change(fleet.record), fleet.found[fleet.record_serial]
        try:
            work.hub.put_configuration(str(found["id"]), relabelled(found, made), etag=str(found.get("etag") or "*"))
            return made
        except Transitioning:
            if attempt == _TRIES:
                raise
    raise AssertionError("the last try returns or raises")


def _make(work: FleetWork, fleet: Fleet, wanted: Wanted, record: Record | None) -> None:
    body = configuration(fleet, wanted, work.values, record)
    try:
        work.hub.put_configuration(str(body["id"]), body)
    except Transitioning as error:
        now = work.read()
        made = now.found.get(fleet.trial_serial)
        if made is not None and made.get("labels") == body["labels"]:
            return  # it was done, and the answer did not arrive
        refuse_if_busy(now)
        raise _changed(work) from error


def _relabel(work: FleetWork, fleet: Fleet, begun: Record) -> None:
    """Write the record down where nobody has changed it since; what else of the configuration was, is no matter."""
    seen = fleet.record
    for _ in range(_TRIES):
        found = fleet.found[fleet.record_serial]
        try:
            work.hub.put_configuration(str(found["id"]), relabelled(found, begun), etag=str(found.get("etag") or "*"))
            return
        except Transitioning:
            fleet = work.read()
            if fleet.record is not None and fleet.record.holder == begun.holder:
                return  # it was done, and the answer did not arrive
            refuse_if_busy(fleet)
            if fleet.record is None or fleet.record != seen:
                break
    raise _changed(work)


def _mine(work: FleetWork) -> Fleet:
    """The deployment, which no other command has taken over.

    Raises:
        DeploymentBusy: One has.
    """
    fleet = work.read()
    refuse_if_busy(fleet)
    return fleet


def _ready(work: FleetWork, device: str, wanted: Wanted, until: float) -> bool:
    work.progress.step(f"waiting for device/{device}")
    return wait_ready(work.hub, device, wanted, work.progress, until=until, ended_before="") == "ready"


def _delete_all(work: FleetWork, fleet: Fleet) -> None:
    newest = fleet.found.get(fleet.serial) or {}
    shown = fleet.record.shown if fleet.record else None
    there = sample_of(work.hub, shown.chosen(), str(newest.get("id"))) if shown else ()
    for serial, each in sorted(fleet.found.items(), key=lambda pair: (pair[0] == fleet.record_serial, pair[0])):
        work.progress.detail(f"deleting configuration {serial}")
        work.hub.delete_configuration(str(each["id"]))
    until = time.monotonic() + min(_GONE_S, work.limit_s)
    for device in there:
        wait_gone(work.hub, device, module_name(work.name), until=until)


def _changed(work: FleetWork) -> DeploymentBusy:
    return DeploymentBusy(
        f"{work.name!r} on {TARGET!r} was changed by another command at this moment", hint="run it again"
    )


def _quietly(work: FleetWork, undoing: Callable[[], None]) -> None:
    try:
        undoing()
    except DrayError as error:
        logger.warning("%s could not be brought back: %s", work.name, error.message)
