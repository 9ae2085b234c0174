"""Deployments to IoT Edge, known by the tags of devices and the labels of configurations; nothing is kept elsewhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar

from packager.core.artifact import Release
from packager.core.credentials import CredentialSource
from packager.core.credentials_azure import registry_credentials
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Findings
from packager.core.errors import ConfigurationError, DrayError, UsageError
from packager.core.image import ImageRef, Platform
from packager.core.progress import Progress
from packager.core.protocols import InferenceClient, Secrets, Target, Waits
from runtime.contract.package import read_package
from targets.iot_edge import findings
from targets.iot_edge.access import access_of
from targets.iot_edge.change import TARGET
from targets.iot_edge.fleet import members
from targets.iot_edge.layered import Layered
from targets.iot_edge.one import OneDevice
from targets.iot_edge.record import Served
from targets.iot_edge.secrets import SecretValues
from targets.iot_edge.settings import IotEdgeSettings
from targets.iot_edge.state import places_of, platform_of
from targets.kit.images import required_image
from targets.kit.iothub.access import HubAccess, hub_configured
from targets.kit.iothub.hub import AGENT, Hub
from targets.kit.packages import kept_package

logger = logging.getLogger(__name__)
_DEFAULT = Platform("linux", "amd64")
_LOOKED_AT = 20
_PLACE = ("hub", "resource_group", "subscription")


@dataclass(frozen=True, slots=True)
class IotEdgeTarget(Target[IotEdgeSettings], Waits):
    """Deployments are modules of devices, or layered deployments of a hub.

    Attributes:
        access: To the hub; None asks the environment.
        credentials: Of registries, for pulling; None asks what every command asks.
    """

    name: ClassVar[str] = TARGET
    settings_type = IotEdgeSettings
    takes_image: ClassVar[bool] = True
    access: HubAccess | None = None
    credentials: CredentialSource | None = field(default=None, repr=False)

    def platforms(self, settings: IotEdgeSettings) -> tuple[Platform, ...]:
        """What the settings name, else what the devices report of themselves; amd64 where they have never reported.

        Raises:
            ConfigurationError: The settings name no device.
        """
        settings = self._here(settings)
        if settings.architecture:
            return tuple(Platform("linux", each) for each in settings.architecture)
        with self._hub(settings) as hub:
            if settings.device:
                devices = [settings.device]
            elif settings.target_condition:
                devices = [name for name, _ in members(hub, settings.target_condition, most=_LOOKED_AT)]
            else:
                raise ConfigurationError(
                    "nothing says which device is meant",
                    hint="--set device=ID, or --set target_condition=\"tags.site='x'\" for many",
                )
            found = [platform for device in devices if (platform := _platform(hub, device))]
        return tuple(dict.fromkeys(found)) or (_DEFAULT,)

    def preflight(self, settings: IotEdgeSettings) -> Findings:
        """Whether a device is named and the hub knows it, and who could reach the endpoint."""
        settings = self._here(settings)
        early = findings.early(settings)
        if any(each.blocking for each in early):
            return early
        try:
            with self._hub(settings) as hub:
                if settings.device:
                    hub.twin(settings.device)
                elif settings.target_condition:
                    members(hub, settings.target_condition, most=1)
        except DrayError as error:
            return (findings.of_error(error),)
        return early

    def plan(self, name: str, release: Release, settings: IotEdgeSettings) -> DeploymentPlan:
        """What would be sent, and what that would change."""
        required_image(release)
        settings = self._here(settings)
        with self._hub(settings) as hub:
            made = self._kind(hub, settings).plan(name, release, settings)
        return replace(made, live=_placed(made.live, settings)) if made.live else made

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        """The release where it shall run, and ready; what is out of reach waits for it there."""
        settings = _settings_of(plan)
        with self._hub(settings) as hub:
            candidate = self._kind(hub, settings, secrets).apply(plan, settings, progress, timeout_s)
        return replace(candidate, deployment=_placed(candidate.deployment, settings))

    @contextmanager
    def connect(self, deployment: Deployment) -> Iterator[InferenceClient]:
        """A client of it by direct methods, which reach a device behind any router."""
        settings = _settings(deployment)
        with self._hub(settings) as hub, self._kind(hub, settings).connect(deployment) as client:
            yield client

    def promote(self, candidate: Candidate, progress: Progress) -> Deployment:
        """Let it take messages, and be the one that serves."""
        if candidate.handle["way"] == "keep":
            return candidate.deployment
        return self.settle(candidate.deployment, progress)

    def settle(self, deployment: Deployment, progress: Progress) -> Deployment:
        """The same for one that waited for its device, and has passed its tests now."""
        settings = _settings(deployment)
        with self._hub(settings) as hub:
            return _placed(self._kind(hub, settings).promote(deployment, progress), settings)

    def discard(self, candidate: Candidate, progress: Progress) -> None:
        """Bring back what served before."""
        if candidate.handle["way"] == "keep":
            return
        settings = _settings(candidate.deployment)
        with self._hub(settings) as hub:
            self._kind(hub, settings).discard(candidate.deployment, progress)

    def inspect(self, name: str, settings: IotEdgeSettings) -> Deployment | None:
        """The deployment as device or configuration shows it; ``pending`` while it was never tested.

        Raises:
            UsageError: Several devices have one of this name.
        """
        found = self._found(settings, name)
        if len(found) > 1:
            places = [str(each.detail.get("device") or "a layered deployment") for each in found]
            raise UsageError(
                f"{name!r} is deployed to {', '.join(places)}",
                hint="say which: targets in dray.yaml with their device, and -t",
            )
        return found[0] if found else None

    def deployments(self, settings: IotEdgeSettings) -> tuple[Deployment, ...]:
        """All of dray's deployments: of one device, or of the hub."""
        return self._found(settings, None)

    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        """Lines of its log, which devices' agents give."""
        settings = _settings(deployment)
        with self._hub(settings) as hub:
            yield from self._kind(hub, settings).logs(deployment, follow=follow)

    def previous(self, deployment: Deployment) -> tuple[Release | ImageRef, IotEdgeSettings] | None:
        """The release before, as the record remembers it."""
        settings = _settings(deployment)
        with self._hub(settings) as hub:
            before = self._kind(hub, settings).previous(deployment)
        if before is None:
            return None
        image, package = ImageRef.parse(before.image), kept_package(before.package)
        return (Release(read_package(package), image) if package else image), _there(before, deployment)

    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        """Take its module and routes from the device, or delete its configurations; others' stay."""
        progress.step(f"deleting {deployment.name}")
        settings = _settings(deployment)
        with self._hub(settings) as hub:
            self._kind(hub, settings).destroy(deployment, progress)

    def _here(self, settings: IotEdgeSettings) -> IotEdgeSettings:
        """With the device of the access, where the settings name none."""
        device = self.access.device if self.access else None
        if device is None or settings.device or settings.layered:
            return settings
        return settings.model_copy(update={"device": device})

    def _hub(self, settings: IotEdgeSettings) -> Hub:
        return Hub(self.access or access_of(settings))

    def _kind(self, hub: Hub, settings: IotEdgeSettings, secrets: Secrets | None = None) -> OneDevice | Layered:
        values = SecretValues(secrets or {}, self.credentials or registry_credentials())
        return Layered(hub, values) if settings.layered else OneDevice(hub, values)

    def _found(self, settings: IotEdgeSettings, name: str | None) -> tuple[Deployment, ...]:
        if self.access is None and not settings.hub and not hub_configured():
            logger.info("no deployments on iot-edge: no hub is configured")
            return ()
        with self._hub(settings) as hub:
            values = SecretValues({}, self.credentials or registry_credentials())
            rows: list[Deployment] = []
            if not settings.device:
                layered = Layered(hub, values).shown()
                rows += [each for each in layered if name in (None, each.name)]
            if not settings.target_condition:
                one = OneDevice(hub, values)
                places = places_of(hub, name, settings.device)
                rows += [found for place in places if (found := one.show(*place))]
        placed = [_placed(row, settings) for row in rows]
        return tuple(sorted(placed, key=lambda row: (row.name, str(row.detail.get("device") or ""))))


def _platform(hub: Hub, device: str) -> Platform | None:
    agent = hub.find_twin(device, AGENT)
    return platform_of(agent) if agent else None


def _placed(deployment: Deployment, settings: IotEdgeSettings) -> Deployment:
    """With the reader's own way to the hub among its settings, for what is asked of it later."""
    way = {key: value for key in _PLACE if (value := getattr(settings, key)) is not None}
    return replace(deployment, detail={**deployment.detail, "settings": {**deployment.detail["settings"], **way}})


def _there(before: Served, deployment: Deployment) -> IotEdgeSettings:
    """The settings of a release, for where the deployment is now."""
    now = _settings(deployment)
    return before.chosen().model_copy(update={key: getattr(now, key) for key in ("device", *_PLACE)})


def _settings(deployment: Deployment) -> IotEdgeSettings:
    return IotEdgeSettings.model_validate(deployment.detail["settings"])


def _settings_of(plan: DeploymentPlan) -> IotEdgeSettings:
    return IotEdgeSettings.model_validate(plan.settings, from_attributes=True)
