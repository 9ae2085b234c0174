"""What the figures were measured on, and whether it was quiet."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Of one core: what an otherwise idle machine shows after the models were trained.
_QUIET_LOAD: Final = 0.5


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts about this machine, at the beginning of a run."""

    cpu: str
    cores: int
    python: str
    load_average: tuple[float, float, float]

    @property
    def quiet(self) -> bool:
        """Whether next to nothing else ran during the last minute."""
        return self.load_average[0] < _QUIET_LOAD


def this_machine() -> Machine:
    """As it is now."""
    return Machine(_cpu(), len(os.sched_getaffinity(0)), platform.python_version(), os.getloadavg())


def _cpu() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
