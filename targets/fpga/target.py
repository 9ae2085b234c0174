"""The target ``fpga``: which of its modes, on which host, a deployment is for."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar

from packager.core.artifact import Release
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Finding, Findings
from packager.core.errors import ConfigurationError
from packager.core.image import ImageRef
from packager.core.progress import Progress
from packager.core.protocols import Gradual, InferenceClient, Secrets, Target, Various
from targets.fpga.ep import places as cards
from targets.fpga.hosted import NAME
from targets.fpga.hosting import Hosted
from targets.fpga.modes import mode_of
from targets.fpga.rtl import places as simulations
from targets.fpga.settings import FpgaSettings

Ways = Mapping[tuple[str, str], Hosted]


def _ways() -> Ways:
    """By mode and host."""
    return ways_of(
        cards.OnDocker(),
        cards.OnKubernetes(),
        cards.OnThisMachine(),
        simulations.OnDocker(),
        simulations.OnKubernetes(),
        simulations.OnThisMachine(),
    )


def ways_of(*hosts: Hosted) -> Ways:
    """These, by mode and host."""
    return {(each.mode, each.on): each for each in hosts}


@dataclass(frozen=True, slots=True)
class FpgaTarget(Target[FpgaSettings], Gradual, Various[FpgaSettings]):
    """The front of the ways to serve: each is a target of its own, which this one only chooses.

    Attributes:
        ways: By mode and host, as a deployment's detail has them.
    """

    name: ClassVar[str] = NAME
    settings_type = FpgaSettings
    takes_image: ClassVar[bool] = True
    ways: Ways = field(default_factory=_ways)

    def at(self, settings: FpgaSettings) -> Hosted:
        """The way that settings name.

        Raises:
            ConfigurationError: They name none, or one that there is not.
        """
        found = self.ways.get((settings.mode or "", settings.where))
        if found is not None:
            return found
        modes = sorted({mode for mode, _ in self.ways})
        said = f"mode={settings.mode}" if settings.mode else "no mode is set"
        raise ConfigurationError(
            f"the target fpga cannot serve so: {said}, host={settings.where}",
            hint=f"--set mode={' or '.join(modes)}; host={' or '.join(sorted({on for _, on in self.ways}))}",
        )

    def preflight(self, settings: FpgaSettings) -> Findings:
        """Of the way."""
        try:
            return self.at(settings).preflight(settings)
        except ConfigurationError as error:
            return (Finding.of_error(error),)

    def plan(self, name: str, release: Release, settings: FpgaSettings) -> DeploymentPlan:
        """Of the way."""
        return self.at(settings).plan(name, release, settings)

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        """Of the way whose plan it is."""
        return self._planned(plan).apply(plan, secrets, progress, timeout_s=timeout_s)

    def advance(self, candidate: Candidate, progress: Progress) -> Candidate | None:
        """With its next share of the traffic, where the way knows shares."""
        return self._of(candidate.deployment).advance(candidate, progress)

    def connect(self, deployment: Deployment) -> AbstractContextManager[InferenceClient]:
        """A client of it."""
        return self._of(deployment).connect(deployment)

    def promote(self, candidate: Candidate, progress: Progress) -> Deployment:
        """Of the way."""
        return self._of(candidate.deployment).promote(candidate, progress)

    def discard(self, candidate: Candidate, progress: Progress) -> None:
        """Of the way."""
        self._of(candidate.deployment).discard(candidate, progress)

    def inspect(self, name: str, settings: FpgaSettings) -> Deployment | None:
        """The deployment, whichever way it is served."""
        found = (way.inspect(name, settings) for way in self._hosts())
        return next((each for each in found if each), None)

    def deployments(self, settings: FpgaSettings) -> tuple[Deployment, ...]:
        """All of them, whichever way they are served."""
        found = [each for way in self._hosts() for each in way.deployments(settings)]
        return tuple(sorted(found, key=lambda each: each.name))

    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        """Its log."""
        return self._of(deployment).logs(deployment, follow=follow)

    def previous(self, deployment: Deployment) -> tuple[Release | ImageRef, FpgaSettings] | None:
        """What served before."""
        return self._of(deployment).previous(deployment)

    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        """End it."""
        self._of(deployment).destroy(deployment, progress)

    def _hosts(self) -> Iterable[Hosted]:
        """One way for each host: it knows the deployments of the other mode there as well."""
        return {way.on: way for way in self.ways.values()}.values()

    def _of(self, deployment: Deployment) -> Hosted:
        return self.ways[str(deployment.detail["mode"]), str(deployment.detail["host"])]

    def _planned(self, plan: DeploymentPlan) -> Hosted:
        """A plan's settings are of the host's target that carries it out."""
        mode = mode_of(plan.settings.model_dump(include={"provider"}))
        for way in self.ways.values():
            if way.mode == mode and isinstance(plan.settings, way.inner.settings_type):
                return way
        return self.at(FpgaSettings.model_validate(plan.settings, from_attributes=True))
