"""Layered deployments as the target makes them: configurations for many devices, tested on some of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from packager.core.artifact import Release
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Findings
from packager.core.errors import DeviceOffline, DrayError
from packager.core.progress import Progress
from packager.core.protocols import InferenceClient
from targets.iot_edge import findings, fleet_change
from targets.iot_edge.causes import log_of
from targets.iot_edge.change import TARGET
from targets.iot_edge.client import EdgeClient, FleetClient
from targets.iot_edge.fleet import fleet_actions, fleet_course, fleets, members, read_fleet
from targets.iot_edge.fleet_change import FleetWork, sample_of
from targets.iot_edge.module import Wanted
from targets.iot_edge.record import Served
from targets.iot_edge.secrets import SecretValues
from targets.iot_edge.settings import IotEdgeSettings
from targets.iot_edge.state import platform_of
from targets.iot_edge.view import described_fleet
from targets.kit.iothub.hub import AGENT, Hub
from targets.kit.packages import keep_package

_TAKEN_UP_S: Final = 600.0
_LOOKED_AT: Final = 20


@dataclass(frozen=True, slots=True)
class Layered:
    """What the target does with many devices of a hub."""

    hub: Hub
    values: SecretValues = field(repr=False)

    def plan(self, name: str, release: Release, settings: IotEdgeSettings) -> DeploymentPlan:
        """The configuration that would be made, and what that would change."""
        fleet, wanted = read_fleet(self.hub, name), self.wanted(name, release, settings)
        held: Findings = ()
        try:
            fleet_change.refuse_if_busy(fleet)
        except DrayError as error:
            held = (findings.of_error(error),)
        devices = members(self.hub, settings.target_condition or "*")
        twins = ((device, self.hub.find_twin(device, AGENT)) for device, _ in devices[:_LOOKED_AT])
        known = {device: platform_of(twin) for device, twin in twins if twin}
        live = described_fleet(fleet, fleet.record.live) if fleet.record and fleet.record.live else None
        return DeploymentPlan(
            target=TARGET,
            name=name,
            actions=fleet_actions(fleet, wanted),
            release=release,
            settings=settings,
            live=live,
            findings=(
                *held,
                *findings.platforms(settings, release, known),
                *findings.of_fleet(devices, wanted, release, self.values),
            ),
        )

    def apply(self, plan: DeploymentPlan, settings: IotEdgeSettings, progress: Progress, limit_s: float) -> Candidate:
        """The release as a layer above the one before, ready on some devices; or left to wait for one."""
        fleet, wanted = read_fleet(self.hub, plan.name), self.wanted(plan.name, plan.release, settings)
        fleet_change.refuse_if_busy(fleet)
        way, _ = fleet_course(fleet, wanted)
        if way == "keep":
            return Candidate(described_fleet(fleet), plan, handle={"way": "keep"})
        work = FleetWork(self.hub, plan.name, self.values, progress, limit_s)
        if way == "tidy":
            fleet_change.delete_others(work, fleet)
            return Candidate(described_fleet(work.read()), plan, handle={"way": "keep"})
        keep_package(plan.release.package)
        record = fleet_change.begin(work, fleet, wanted)
        ending, _ = fleet_change.try_on(work, wanted)
        shown = described_fleet(work.read(), record.trial, "pending")
        waits = f"no device of {settings.target_condition!r} is connected" if ending == "offline" else ""
        return Candidate(shown, plan, handle={"way": way}, waits=waits)

    def promote(self, deployment: Deployment, progress: Progress) -> Deployment:
        """Let it be the one that serves, and delete the one before."""
        work = self._work(deployment, progress)
        fleet_change.take(work)
        return described_fleet(work.read())

    def discard(self, deployment: Deployment, progress: Progress) -> None:
        """Delete it: the devices fall back to the one before."""
        fleet_change.undo(self._work(deployment, progress))

    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        """Delete all of it."""
        fleet_change.destroy(self._work(deployment, progress))

    def shown(self) -> tuple[Deployment, ...]:
        """All of them."""
        return tuple(described_fleet(each) for each in fleets(self.hub) if each.record and each.record.shown)

    def previous(self, deployment: Deployment) -> Served | None:
        """What served before: of one that waits untested, what it would replace."""
        record = read_fleet(self.hub, deployment.name).record
        if record is None:
            return None
        return record.live if record.waits else record.previous

    @contextmanager
    def connect(self, deployment: Deployment) -> Iterator[InferenceClient]:
        """A client of some of its devices: all of them must be right."""
        module = str(deployment.detail["module"])
        yield FleetClient(tuple(EdgeClient(self.hub, device, module) for device in self._devices(deployment)))

    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        """Logs of some of its devices, each line told by its device."""
        module = str(deployment.detail["module"])
        for device in self._devices(deployment):
            for line in log_of(self.hub, device, module, tail=None):
                yield f"{device}  {line}"

    def wanted(self, name: str, release: Release, settings: IotEdgeSettings) -> Wanted:
        """The release as it shall run."""
        pull = release.image is not None and self.values.pulls(release.image, settings)
        return Wanted(name, Served.of(release, settings, pull=pull), settings)

    def _devices(self, deployment: Deployment) -> tuple[str, ...]:
        settings = IotEdgeSettings.model_validate(deployment.detail["settings"])
        if found := sample_of(self.hub, settings, str(deployment.detail["configuration"])):
            return found
        raise DeviceOffline(
            f"no device of {settings.target_condition!r} that has the deployment is connected",
            hint="again when one is; `dray status` counts them",
        )

    def _work(self, deployment: Deployment, progress: Progress) -> FleetWork:
        return FleetWork(self.hub, deployment.name, self.values, progress, _TAKEN_UP_S)
