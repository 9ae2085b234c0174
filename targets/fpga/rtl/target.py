"""``mode: rtl``: a package with a circuit, whose simulation the host's own target serves."""

from abc import abstractmethod
from typing import ClassVar

from packager.core.artifact import Release
from packager.core.deployment import Findings, TargetSettings
from packager.core.form import CircuitAsked, Form
from packager.core.image import Platform
from targets.fpga.hosted import MADE_FOR, Mode
from targets.fpga.hosting import Hosted
from targets.fpga.rtl import findings
from targets.fpga.settings import FpgaSettings


class Simulated(Hosted):
    """What runs the simulation; what builds it is looked for where a package is made, and not here."""

    mode: ClassVar[Mode] = "rtl"

    @abstractmethod
    def runs(self, settings: FpgaSettings) -> tuple[Platform, ...]:
        """The platforms of the host, which the simulation must have been built for."""

    def given(self, settings: FpgaSettings) -> TargetSettings:
        """Those of the host, and for whom."""
        place = self.place(settings)
        return type(place).model_validate({**place.model_dump(exclude_unset=True), "made_for": MADE_FOR})

    def remarks(self, settings: FpgaSettings, release: Release) -> Findings:
        """Whether the package has a circuit that can be simulated there, and what it is."""
        return findings.of_package(settings, release.package, self.runs(settings))

    def form(self, settings: FpgaSettings) -> Form:
        """A circuit, whose simulation is built on this machine.

        Raises:
            SimulationAbsent: It would not run on the host.
        """
        findings.refuse_platform(self.runs(settings))
        return Form(
            circuit=CircuitAsked(
                bits=settings.bits,
                max_luts=settings.max_luts,
                min_agreement=settings.min_agreement,
                part=settings.part,
                clock_ns=settings.clock_ns,
                synthesize=settings.synthesize or None,
            )
        )
