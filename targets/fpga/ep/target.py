"""``mode: ep``: the host's own target does the serving, with the contract, the card and a look at the host in front."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

from packager.core.artifact import Release
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Finding, Findings, TargetSettings
from packager.core.errors import DrayError
from packager.core.image import ImageRef
from packager.core.progress import Progress
from packager.core.protocols import ChoosesForm, Gradual, InferenceClient, Secrets, Target
from targets.fpga.ep import findings
from targets.fpga.ep.host import Host
from targets.fpga.ep.hosts import asked_again
from targets.fpga.ep.needs import needs_of
from targets.fpga.settings import FpgaSettings

NAME = "fpga"


class Accelerated(Target[FpgaSettings], Gradual, ChoosesForm[FpgaSettings]):
    """A card's host; what is deployed there is found, changed and ended by the host's own target.

    A plan's settings are those of the host's target, which is who carries it out.

    Attributes:
        on: The host, as the setting ``host`` names it.
    """

    name: ClassVar[str] = NAME
    settings_type = FpgaSettings
    on: ClassVar[str]

    @property
    @abstractmethod
    def inner(self) -> Target[Any]:
        """The target of the host."""

    @abstractmethod
    def look(self, settings: FpgaSettings) -> Host:
        """What can be seen of the host without changing it."""

    @abstractmethod
    def translated(self, settings: FpgaSettings, host: Host) -> TargetSettings:
        """The settings as the host's target takes them."""

    def host(self, settings: FpgaSettings) -> Host:
        """What was seen; nothing where nobody shall look."""
        return Host(False, f"the host ({self.on})") if settings.unchecked else self.look(settings)

    def quantization(self, settings: FpgaSettings) -> str | None:
        """The form that a model is packaged in where nobody says another."""
        chosen = settings.quantize or needs_of(settings).quantize
        return None if chosen == "none" else chosen

    def preflight(self, settings: FpgaSettings) -> Findings:
        """The card first, which costs milliseconds to look for; then what the host's own target says."""
        needs = needs_of(settings)
        found = findings.of_resource(settings, needs)
        if not any(each.blocking for each in found):
            try:
                host = self.host(settings)
            except DrayError as error:
                return (Finding.of_error(error),)
            found = (*found, *findings.of_host(settings, needs, host), *findings.of_size(settings, host))
        if any(each.blocking for each in found):
            return found
        return (*found, *self.inner.preflight(self.translated(settings, host)))

    def plan(self, name: str, release: Release, settings: FpgaSettings) -> DeploymentPlan:
        """The host's own plan, with the card in it."""
        made = self.inner.plan(name, release, self.translated(settings, self.host(settings)))
        noted = findings.of_release(settings, needs_of(settings), release)
        live = self._ours(made.live) if made.live else None
        return replace(made, target=self.name, live=live, findings=(*noted, *made.findings))

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        """As the host's target does it; that the CPU will stand in is said once more."""
        for finding in plan.findings:
            if finding.code == findings.CPU_FALLBACK:
                progress.step(finding.message)
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
        detail = {**deployment.detail, "mode": "ep", "host": self.on}
        return replace(deployment, target=self.name, detail=detail)

    def _theirs(self, deployment: Deployment) -> Deployment:
        return replace(deployment, target=self.inner.name)

    def _outer(self, candidate: Candidate, plan: DeploymentPlan) -> Candidate:
        return replace(candidate, deployment=self._ours(candidate.deployment), plan=plan)

    def _inner(self, candidate: Candidate) -> Candidate:
        plan = replace(candidate.plan, target=self.inner.name)
        return replace(candidate, deployment=self._theirs(candidate.deployment), plan=plan)
