"""``mode: ep``: the host's own target does the serving, with the contract, the card and a look at the host in front."""

from abc import abstractmethod
from typing import ClassVar

from packager.core.acceleration import CPU_FALLBACK_CODE
from packager.core.artifact import Release
from packager.core.deployment import Candidate, DeploymentPlan, Finding, Findings, TargetSettings
from packager.core.errors import DrayError
from packager.core.form import Form
from packager.core.progress import Progress
from packager.core.protocols import Secrets
from targets.fpga.ep import findings
from targets.fpga.ep.host import Host
from targets.fpga.ep.needs import needs_of
from targets.fpga.hosted import Mode
from targets.fpga.hosting import Hosted
from targets.fpga.settings import FpgaSettings


class Accelerated(Hosted):
    """A card's host."""

    mode: ClassVar[Mode] = "ep"

    @abstractmethod
    def look(self, settings: FpgaSettings) -> Host:
        """What can be seen of the host without changing it."""

    @abstractmethod
    def translated(self, settings: FpgaSettings, host: Host) -> TargetSettings:
        """The settings as the host's target takes them."""

    def host(self, settings: FpgaSettings) -> Host:
        """What was seen; nothing where nobody shall look."""
        return Host(False, f"the host ({self.on})") if settings.unchecked else self.look(settings)

    def given(self, settings: FpgaSettings) -> TargetSettings:
        """With the card that the host has."""
        return self.translated(settings, self.host(settings))

    def remarks(self, settings: FpgaSettings, release: Release) -> Findings:
        """That a model is not in the form that the card takes."""
        return findings.of_release(settings, needs_of(settings), release)

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        """As the host's target does it; that the CPU will stand in is said once more."""
        for finding in plan.findings:
            if finding.code == CPU_FALLBACK_CODE:
                progress.step(finding.message)
        return super().apply(plan, secrets, progress, timeout_s=timeout_s)

    def form(self, settings: FpgaSettings) -> Form:
        """The form that a model is packaged in where nobody says another."""
        chosen = settings.quantize or needs_of(settings).quantize
        return Form(quantize=None if chosen == "none" else chosen)

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
