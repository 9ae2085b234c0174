"""Changing a device: begun under a holder's name, tried on hold, and then taken or undone.

Every request may be the last one of a command that is killed; what it leaves is enough for the next one. The device's
tags change under their etag, so that of two commands only one begins; the hub takes a manifest whatever was there, so
that it is made of what is there right before.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from packager.core.errors import DeploymentBusy, DeploymentMissing, DrayError, Transitioning
from packager.core.progress import Progress
from targets.iot_edge.causes import last_end
from targets.iot_edge.course import Course
from targets.iot_edge.manifest import device_manifest, without
from targets.iot_edge.module import SECTION, Wanted, credentials_of, wanted_of
from targets.iot_edge.record import TAG, Record, Served
from targets.iot_edge.secrets import SecretValues
from targets.iot_edge.state import Device, read
from targets.iot_edge.watch import Ending, refuse_untaken_routes, wait_gone, wait_ready
from targets.kit.holder import Holder, refuse_if_held
from targets.kit.iothub.hub import Hub

logger = logging.getLogger(__name__)
TARGET: Final = "iot-edge"
_TRIES: Final = 5
_GONE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """One command at work on one deployment of one device.

    Attributes:
        limit_s: For how long it may take.
    """

    hub: Hub
    device: str
    name: str
    values: SecretValues = field(repr=False)
    progress: Progress
    limit_s: float

    @property
    def until(self) -> float:
        """On the monotonic clock, from now on."""
        return time.monotonic() + self.limit_s

    def read(self) -> Device:
        """The device as it is now."""
        return read(self.hub, self.device, self.name)


def refuse_if_busy(state: Device) -> None:
    """Let one command at a time change a device: its manifest is one, whatever modules it is about.

    Raises:
        DeploymentBusy: Another command is at it.
    """
    for record in state.records.values():
        refuse_if_held(record.name, TARGET, record.held_by)


def begin(work: Work, chosen: Course, state: Device) -> Record:
    """Write down that this command is at it, and with what; void where somebody else was quicker.

    Raises:
        DeploymentBusy: Somebody else was.
        CredentialsUnusable: A secret of either release is not here; nothing was begun.
    """
    credentials_of(chosen.wanted, work.values)
    if live := chosen.record.live:
        credentials_of(wanted_of(work.name, live), work.values)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    trial = chosen.wanted.served.model_copy(update={"created": now})
    if chosen.record.trial and chosen.record.waits and trial.same_release(chosen.record.trial):
        trial = chosen.record.trial
    holder = str(Holder.me(limit_s=2 * work.limit_s))
    return _claim(work, state, chosen.record.begun(trial, holder))


def put(work: Work, wanted: Wanted, *, hold: Served | None) -> None:
    """Give the device the release's module; what others have there meanwhile stays.

    Args:
        hold: The release that takes no messages meanwhile; the one beside it does, as long as it runs.
    """
    state = work.read()
    work.progress.step(f"giving module/{wanted.module} to device/{work.device}")
    manifest = device_manifest(
        state.present, wanted, work.values, hold=hold.package if hold else None, gone=state.routes_before()
    )
    work.hub.apply(work.device, manifest)


def wait(work: Work, wanted: Wanted, *, ended_before: str = "") -> Ending:
    """Until the device runs it, or is away when the time is up."""
    work.progress.step(f"waiting for device/{work.device}")
    return wait_ready(work.hub, work.device, wanted, work.progress, until=work.until, ended_before=ended_before)


def try_on(work: Work, chosen: Course, state: Device) -> Ending:
    """The release on the device, on hold and ready; undone where it does not come up there."""
    wanted = chosen.wanted
    resumed = chosen.record.waits and chosen.there
    try:
        if not resumed:
            put(work, wanted, hold=wanted.served if state.connected else None)
        if not state.connected:
            return leave_waiting(work)
        ending = wait(work, wanted, ended_before=last_end(state.reported_module))
        if ending == "offline":
            return leave_waiting(work)
        refuse_untaken_routes(work.hub, work.device)
        return ending
    except BaseException:
        _quietly(work, lambda: undo(work))
        raise


def leave_waiting(work: Work) -> Ending:
    """Leave the release to a device that is away: it takes it when it is back, and its own self-test decides."""
    release_hold(work)
    write(work, Record.waiting)
    return "offline"


def release_hold(work: Work) -> None:
    """Let the module take messages."""
    state = work.read()
    if "hold" in ((state.present.get(state.module) or {}).get(SECTION) or {}):
        body = {"properties": {"desired": {SECTION: {"hold": None}}}}
        work.hub.patch_twin(work.device, body, module=state.module)


def take(work: Work) -> Record:
    """Let the trial be the one that serves."""
    _mine(work, work.read())
    release_hold(work)
    return write(work, Record.taken)


def undo(work: Work) -> None:
    """Bring back what served before; with nothing before, all goes.

    The one that failed stays on hold as long as it is still there; what served before takes messages once it is up.
    """
    state = work.read()
    record = _mine(work, state)
    if record.live is None:
        remove(work)
        return
    wanted = wanted_of(work.name, record.live)
    work.progress.step(f"bringing {record.live.version} back to device/{work.device}")
    before = last_end(state.reported_module)
    try:
        put(work, wanted, hold=(record.trial or record.live) if state.connected else None)
        if state.connected:
            wait(work, wanted, ended_before=before)
    finally:
        release_hold(work)
    write(work, Record.undone)


def remove(work: Work) -> None:
    """Take the module, its routes and its credentials from the device, and then its tag."""
    state = work.read()
    record = _mine(work, state)
    served = record.trial or record.live
    if served is not None:
        wanted = wanted_of(work.name, served)
        manifest = without(state.present, wanted, gone=state.routes_before(), credentials=_unneeded(state))
        if state.entry is not None or state.routes_before():
            work.hub.apply(work.device, manifest)
    if state.connected:
        wait_gone(work.hub, work.device, state.module, until=time.monotonic() + min(_GONE_S, work.limit_s))
    others = any(module != state.module for module in state.records)
    work.hub.patch_twin(work.device, {"tags": {TAG: {state.module: None} if others else None}})


def destroy(work: Work) -> None:
    """The same, under a holder's name; gone already is gone."""
    state = work.read()
    if state.record is None:
        return
    refuse_if_busy(state)
    _claim(work, state, state.record.model_copy(update={"holder": str(Holder.me(limit_s=work.limit_s))}))
    remove(work)


def write(work: Work, change: Callable[[Record], Record]) -> Record:
    """Change the record, unless another command has taken it over.

    Raises:
        DeploymentBusy: One has.
    """
    for attempt in range(1, _TRIES + 1):
        state = work.read()
        made = change(_mine(work, state))
        try:
            work.hub.patch_twin(work.device, _tag(state.module, made), etag=state.etag)
            return made
        except Transitioning:
            if attempt == _TRIES:
                raise
    raise AssertionError("the last try returns or raises")


def _claim(work: Work, state: Device, wanted: Record) -> Record:
    """Write the record down where nobody has changed dray's tags since."""
    seen = state.records
    for _ in range(_TRIES):
        try:
            work.hub.patch_twin(work.device, _tag(state.module, wanted), etag=state.etag)
            return wanted
        except Transitioning:
            state = work.read()
            if state.record is not None and state.record.holder == wanted.holder:
                return wanted  # it was done, and the answer did not arrive
            refuse_if_busy(state)
            if state.records != seen:
                break  # something else in the twin was changed otherwise
    raise DeploymentBusy(
        f"{work.name!r} on {TARGET!r} was changed by another command at this moment", hint="run it again"
    )


def _mine(work: Work, state: Device) -> Record:
    """The record, which no other command has taken over.

    Raises:
        DeploymentBusy: One has.
        DeploymentMissing: Somebody deleted it.
    """
    if state.record is None:
        raise DeploymentMissing(f"{work.name!r} on {TARGET!r} is gone", hint="somebody deleted it; deploy again")
    refuse_if_held(work.name, TARGET, state.record.held_by)
    return state.record


def _tag(module: str, record: Record) -> dict[str, Any]:
    return {"tags": {TAG: {module: record.as_tag()}}}


def _unneeded(state: Device) -> set[str]:
    """Credentials of the deployment's that no other of the device's needs."""

    def names(record: Record | None) -> set[str]:
        known = (record.live, record.trial) if record else ()
        return {name for served in known if served for name in credentials_of(wanted_of(state.name, served), str)}

    needed = {name for module, record in state.records.items() if module != state.module for name in names(record)}
    return names(state.record) - needed


def _quietly(work: Work, undoing: Callable[[], None]) -> None:
    """Undo after a failure, which is what the user must hear about, whatever becomes of this."""
    try:
        undoing()
    except DrayError as error:
        logger.warning("%s could not be brought back: %s", work.name, error.message)
