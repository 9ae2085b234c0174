"""Deployments to one device: its manifest with dray's module in it, its tags with what is known."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from packager.core.artifact import Release
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Findings
from packager.core.errors import DeploymentMissing, DeviceOffline, DrayError
from packager.core.progress import Progress
from packager.core.protocols import InferenceClient
from targets.iot_edge import change, findings
from targets.iot_edge.causes import log_of
from targets.iot_edge.change import TARGET, Work
from targets.iot_edge.client import EdgeClient
from targets.iot_edge.course import Course, actions, course
from targets.iot_edge.module import Wanted
from targets.iot_edge.record import Served
from targets.iot_edge.secrets import SecretValues
from targets.iot_edge.settings import IotEdgeSettings
from targets.iot_edge.state import Device, read
from targets.iot_edge.view import described
from targets.kit.iothub.hub import Hub
from targets.kit.packages import keep_package

_TAKEN_UP_S: Final = 600.0
_FOLLOW_S: Final = 2.0
_FOLLOWED: Final = 500


@dataclass(frozen=True, slots=True)
class OneDevice:
    """What the target does with one device of a hub."""

    hub: Hub
    values: SecretValues = field(repr=False)

    def plan(self, name: str, release: Release, settings: IotEdgeSettings) -> DeploymentPlan:
        """What would be sent to the device, and what that would change."""
        state, chosen = self._course(name, release, settings)
        held: Findings = ()
        try:
            change.refuse_if_busy(state)
        except DrayError as error:
            held = (findings.of_error(error),)
        record = state.record
        live = described(state, self.hub, record.live) if record and record.live else None
        return DeploymentPlan(
            target=TARGET,
            name=name,
            actions=actions(state, chosen),
            release=release,
            settings=settings,
            live=live,
            findings=(*held, *findings.of_device(state, chosen, release, self.values)),
        )

    def apply(self, plan: DeploymentPlan, settings: IotEdgeSettings, progress: Progress, limit_s: float) -> Candidate:
        """The release on the device, on hold and ready; or left there to wait for it."""
        state, chosen = self._course(plan.name, plan.release, settings)
        change.refuse_if_busy(state)
        if chosen.way == "keep":
            return Candidate(described(state, self.hub), plan, handle={"way": "keep"})
        if settings.offline == "refuse" and not state.connected:
            raise DeviceOffline(f"device {state.device!r} is not connected", hint="offline=wait lets it wait")
        keep_package(plan.release.package)
        work = self._work(plan.name, state.device, progress, limit_s)
        record = change.begin(work, chosen, state)
        ending = change.try_on(work, chosen, state)
        shown = described(work.read(), self.hub, record.trial, "pending")
        waits = f"device {state.device!r} is not connected" if ending == "offline" else ""
        return Candidate(shown, plan, handle={"way": chosen.way}, waits=waits)

    def promote(self, deployment: Deployment, progress: Progress) -> Deployment:
        """Let it take messages, and be the one that serves."""
        work = self._work_of(deployment, progress)
        change.take(work)
        return described(work.read(), self.hub)

    def discard(self, deployment: Deployment, progress: Progress) -> None:
        """Bring back what served before."""
        change.undo(self._work_of(deployment, progress))

    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        """Take it from the device."""
        change.destroy(self._work_of(deployment, progress))

    def show(self, device: str, name: str) -> Deployment | None:
        """It as it is now; None where the device has none of this name."""
        state = read(self.hub, device, name)
        return described(state, self.hub) if state.record else None

    def previous(self, deployment: Deployment) -> Served | None:
        """What served before: of one that waits untested, what it would replace."""
        record = read(self.hub, str(deployment.detail["device"]), deployment.name).record
        if record is None:
            return None
        return record.live if record.waits else record.previous

    @contextmanager
    def connect(self, deployment: Deployment) -> Iterator[InferenceClient]:
        """A client of its module."""
        yield EdgeClient(self.hub, str(deployment.detail["device"]), str(deployment.detail["module"]))

    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        """Its log, as the device's agent gives it."""
        device, module = str(deployment.detail["device"]), str(deployment.detail["module"])
        if not follow:
            yield from log_of(self.hub, device, module, tail=None)
            return
        seen: list[str] = []
        while True:
            lines = log_of(self.hub, device, module, tail=_FOLLOWED)
            yield from new_lines(seen, lines)
            seen = lines
            time.sleep(_FOLLOW_S)

    def _course(self, name: str, release: Release, settings: IotEdgeSettings) -> tuple[Device, Course]:
        state = read(self.hub, _device(settings), name)
        return state, course(state, self.wanted(name, release, settings))

    def wanted(self, name: str, release: Release, settings: IotEdgeSettings) -> Wanted:
        """The release as it shall run."""
        pull = release.image is not None and self.values.pulls(release.image, settings)
        return Wanted(name, Served.of(release, settings, pull=pull), settings)

    def _work_of(self, deployment: Deployment, progress: Progress) -> Work:
        return self._work(deployment.name, str(deployment.detail["device"]), progress, _TAKEN_UP_S)

    def _work(self, name: str, device: str, progress: Progress, limit_s: float) -> Work:
        return Work(self.hub, device, name, self.values, progress, limit_s)


def new_lines(seen: list[str], lines: list[str]) -> list[str]:
    """Lines that are not the end of what was seen before."""
    for overlap in range(min(len(seen), len(lines)), 0, -1):
        if seen[-overlap:] == lines[:overlap]:
            return lines[overlap:]
    return lines


def _device(settings: IotEdgeSettings) -> str:
    if settings.device is None:
        raise DeploymentMissing("nothing says which device is meant", hint="--set device=ID")
    return settings.device
