"""What this machine is, and whether a package's circuit can be simulated on it."""

import platform as machine
import sys
from typing import Final

from runtime.contract.circuit import Simulation
from runtime.contract.package import VerifiedPackage

# As images spell them.
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


def this_platform() -> str:
    """Such as ``linux/amd64``."""
    name = machine.machine().lower()
    return f"{sys.platform}/{_MACHINES.get(name, name)}"


def simulation_here(package: VerifiedPackage) -> Simulation | None:
    """The library that simulates the package's circuit on this machine, if it holds one."""
    evidence = package.certificate.circuit
    return evidence.simulation(this_platform()) if evidence is not None else None
