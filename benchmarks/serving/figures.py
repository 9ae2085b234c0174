"""What a contender did in a cell: the middle of its rounds."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.serving.cells import Cell
from benchmarks.serving.contenders import Turn


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over rounds; errors are those of all rounds together.

    Attributes:
        cpu_us: Of the whole process tree, a request.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    pss_mib: float
    errors: Mapping[str, int]
    rounds: int


Table = Mapping[tuple[str, Cell], Figures]


def middle(turns: Sequence[Turn]) -> Figures:
    """The figures of these rounds."""
    errors: Counter[str] = Counter()
    for turn in turns:
        errors.update(turn.load.errors)
    return Figures(
        rate=statistics.median(turn.load.rate for turn in turns),
        p50_ms=statistics.median(turn.load.p50_ms for turn in turns),
        p99_ms=statistics.median(turn.load.p99_ms for turn in turns),
        cpu_us=statistics.median(turn.cpu_us for turn in turns),
        pss_mib=statistics.median(turn.pss_mib for turn in turns),
        errors=dict(errors),
        rounds=len(turns),
    )
