"""What all modes have in common: the host's own target serves, under this target's name and with its mode."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from packager.core.artifact import ModelPackage, Release
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Findings, TargetSettings
from packager.core.image import ImageRef, Platform
from packager.core.progress import Progress
from packager.core.protocols import ChoosesForm, Gradual, HoldsImages, InferenceClient, PullsImages, Secrets, Target
from targets.aks import AksTarget
from targets.docker import DockerTarget
from targets.fpga.hosted import MADE_FOR, NAME, Mode, On
from targets.fpga.modes import asked_again, mode_of
from targets.fpga.settings import FpgaSettings
from targets.local import LocalTarget


class Hosted(Target[FpgaSettings], Gradual, ChoosesForm[FpgaSettings]):
    """One mode on one host; what is deployed there is found, changed and ended by the host's own target.

    A plan's settings are those of the host's target, which is who carries it out. A deployment of either mode is found:
    under one name there is one, and an update may change its mode.

    Attributes:
        on: The host, as the setting ``host`` names it.
    """

    name: ClassVar[str] = NAME
    settings_type = FpgaSettings
    mode: ClassVar[Mode]
    on: ClassVar[On]

    @property
    @abstractmethod
    def inner(self) -> Target[Any]:
        """The target of the host."""

    @abstractmethod
    def given(self, settings: FpgaSettings) -> TargetSettings:
        """The settings as the host's target takes them."""

    @abstractmethod
    def remarks(self, settings: FpgaSettings, release: Release) -> Findings:
        """What this mode has to say about a release."""

    def preflight(self, settings: FpgaSettings) -> Findings:
        """What the host's own target says."""
        return self.inner.preflight(self.given(settings))

    def plan(self, name: str, release: Release, settings: FpgaSettings) -> DeploymentPlan:
        """The host's own plan."""
        made = self.inner.plan(name, release, self.given(settings))
        live = self._ours(made.live) if made.live else None
        found = (*self.remarks(settings, release), *made.findings)
        return replace(made, target=self.name, live=live, findings=found)

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        """As the host's target does it."""
        live = self._theirs(plan.live) if plan.live else None
        given = replace(plan, target=self.inner.name, live=live)
        return self._outer(self.inner.apply(given, secrets, progress, timeout_s=timeout_s), plan)

    def advance(self, candidate: Candidate, progress: Progress) -> Candidate | None:
        """With its next share of the traffic, where the host knows shares."""
        if not isinstance(self.inner, Gradual):
            return None
        further = self.inner.advance(self._inner(candidate), progress)
        return self._outer(further, candidate.plan) if further else None

    def connect(self, deployment: Deployment) -> AbstractContextManager[InferenceClient]:
        """A client of it."""
        return self.inner.connect(self._theirs(deployment))

    def promote(self, candidate: Candidate, progress: Progress) -> Deployment:
        """As the host's target does it."""
        return self._ours(self.inner.promote(self._inner(candidate), progress))

    def discard(self, candidate: Candidate, progress: Progress) -> None:
        """As the host's target does it."""
        self.inner.discard(self._inner(candidate), progress)

    def inspect(self, name: str, settings: FpgaSettings) -> Deployment | None:
        """The deployment as the host shows it."""
        found = self.inner.inspect(name, self.place(settings))
        return self._ours(found) if found else None

    def deployments(self, settings: FpgaSettings) -> tuple[Deployment, ...]:
        """Those of this target on the host."""
        return tuple(self._ours(each) for each in self.inner.deployments(self.place(settings)))

    def place(self, settings: FpgaSettings) -> TargetSettings:
        """Which engine or cluster is meant, as the host's own settings say it."""
        place: TargetSettings = getattr(settings, self.on)
        return place

    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        """Its log."""
        return self.inner.logs(self._theirs(deployment), follow=follow)

    def previous(self, deployment: Deployment) -> tuple[Release | ImageRef, FpgaSettings] | None:
        """What served before, with the settings that lead there again."""
        before = self.inner.previous(self._theirs(deployment))
        return (before[0], asked_again(self.on, before[1])) if before else None

    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        """End it."""
        self.inner.destroy(self._theirs(deployment), progress)

    def _ours(self, deployment: Deployment) -> Deployment:
        detail = {**deployment.detail, "mode": mode_of(deployment.detail["settings"]), "host": self.on}
        return replace(deployment, target=self.name, detail=detail)

    def _theirs(self, deployment: Deployment) -> Deployment:
        return replace(deployment, target=self.inner.name)

    def _outer(self, candidate: Candidate, plan: DeploymentPlan) -> Candidate:
        return replace(candidate, deployment=self._ours(candidate.deployment), plan=plan)

    def _inner(self, candidate: Candidate) -> Candidate:
        plan = replace(candidate.plan, target=self.inner.name)
        return replace(candidate, deployment=self._theirs(candidate.deployment), plan=plan)


@dataclass(frozen=True, slots=True)
class OnDocker(Hosted, HoldsImages[FpgaSettings]):
    """A container of an engine."""

    on: ClassVar[On] = "docker"
    takes_image: ClassVar[bool] = True
    inner: DockerTarget = field(default_factory=lambda: DockerTarget(made_for=MADE_FOR))

    def package_of(self, image: ImageRef, settings: FpgaSettings) -> ModelPackage | None:
        """The package of an image that the engine has."""
        return self.inner.package_of(image, settings.docker)

    def load_image(self, archive: Iterator[bytes], settings: FpgaSettings) -> None:
        """Take an image in the form that ``docker load`` reads."""
        self.inner.load_image(archive, settings.docker)

    def platform(self, settings: FpgaSettings) -> Platform:
        """Of the engine."""
        return self.inner.platform(settings.docker)


@dataclass(frozen=True, slots=True)
class OnKubernetes(Hosted, PullsImages[FpgaSettings]):
    """Pods of a cluster."""

    on: ClassVar[On] = "kubernetes"
    takes_image: ClassVar[bool] = True
    inner: AksTarget = field(default_factory=lambda: AksTarget(made_for=MADE_FOR))

    def platforms(self, settings: FpgaSettings) -> tuple[Platform, ...]:
        """Of the nodes."""
        return self.inner.platforms(settings.kubernetes)


@dataclass(frozen=True, slots=True)
class OnThisMachine(Hosted):
    """A process, which sees what its user sees."""

    on: ClassVar[On] = "local"
    takes_image: ClassVar[bool] = False
    inner: LocalTarget = field(default_factory=lambda: LocalTarget(made_for=MADE_FOR))
