"""The three hosts of a simulation: this machine, a Docker engine, Kubernetes."""

from dataclasses import dataclass

from packager.core.artifact import Release
from packager.core.deployment import Findings
from packager.core.image import Platform
from targets.fpga import hosting
from targets.fpga.rtl import findings
from targets.fpga.rtl.target import Simulated
from targets.fpga.settings import FpgaSettings


@dataclass(frozen=True, slots=True)
class OnThisMachine(Simulated, hosting.OnThisMachine):
    """A process."""

    def runs(self, settings: FpgaSettings) -> tuple[Platform, ...]:
        """This machine."""
        return (Platform.here(),)

    def remarks(self, settings: FpgaSettings, release: Release) -> Findings:
        """What the local target does not say itself, as it does where there is no simulation for this machine."""
        return findings.of_package(settings, release.package, ())


@dataclass(frozen=True, slots=True)
class OnDocker(Simulated, hosting.OnDocker):
    """A container."""

    def runs(self, settings: FpgaSettings) -> tuple[Platform, ...]:
        """The engine's machine."""
        return (self.platform(settings),)


@dataclass(frozen=True, slots=True)
class OnKubernetes(Simulated, hosting.OnKubernetes):
    """Pods."""

    def runs(self, settings: FpgaSettings) -> tuple[Platform, ...]:
        """The nodes."""
        return self.platforms(settings)
