"""What dray's server is to reach, as ratios of which more is better, and what it reached."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.serving.cells import Cell, cell
from benchmarks.serving.figures import Figures, Table

Metric = Literal["rate", "cpu_us", "p99_ms"]


@dataclass(frozen=True, slots=True)
class Rivals:
    """Whom a figure is compared with: the best of these."""

    title: str
    names: Collection[str]


@dataclass(frozen=True, slots=True)
class Aim:
    """In one cell, a metric of dray at least so many times better than the best rival's."""

    cell: Cell
    metric: Metric
    rivals: Rivals
    least: float

    @property
    def text(self) -> str:
        """What the tables call it."""
        of = {"rate": "requests/s of", "cpu_us": "less CPU a request than", "p99_ms": "p99 no worse than"}[self.metric]
        return f"{self.cell.name}: {of} {self.rivals.title}"


@dataclass(frozen=True, slots=True)
class Reached:
    """The ratio that a contender reached against the best rival; None where either was not measured."""

    aim: Aim
    ratio: float | None
    rival: str

    @property
    def met(self) -> bool | None:
        """None where it is not known."""
        return None if self.ratio is None else self.ratio >= self.aim.least


def aims(cells: Collection[Cell], kinds: Mapping[str, str]) -> list[Aim]:
    """Those that can be judged in these cells; ``kinds`` are the contenders'."""
    python = Rivals("the best Python peer", [name for name, kind in kinds.items() if kind == "python"])
    triton = Rivals("Triton", [name for name, kind in kinds.items() if kind == "triton"])
    anyone = Rivals("the best peer", [*python.names, *triton.names])
    nginx, loop = Rivals("nginx with a constant", ["nginx"]), Rivals("ONNX Runtime alone", ["onnxruntime-loop"])
    fixed = [
        Aim(cell("logreg-json-32"), "rate", triton, 3.0),
        Aim(cell("gbdt-json-32"), "rate", triton, 2.5),
        Aim(cell("cnn-json-32"), "rate", triton, 2.5),
        Aim(cell("logreg-json-32"), "rate", python, 12.0),
        Aim(cell("logreg-json-32"), "rate", nginx, 0.35),
        Aim(cell("logreg-json-32"), "cpu_us", triton, 3.0),
        Aim(cell("image-binary-8"), "rate", triton, 3.0),
        Aim(cell("mobilenet-binary-1"), "rate", loop, 0.85),
        Aim(cell("mobilenet-binary-8"), "rate", loop, 0.85),
    ]
    one_by_one = [Aim(each, "rate", anyone, 1.0) for each in cells if each.connections == 1]
    tails = [Aim(each, "p99_ms", anyone, 1.0) for each in cells]
    return [aim for aim in [*fixed, *one_by_one, *tails] if aim.cell in cells]


def judge(aim: Aim, contender: str, table: Table) -> Reached:
    """How far a contender got."""
    own = table.get((contender, aim.cell))
    measured = {name: table[name, aim.cell] for name in aim.rivals.names if (name, aim.cell) in table}
    if own is None or not measured:
        return Reached(aim, None, "")
    value, better = _VALUES[aim.metric], _BETTER[aim.metric]
    rival = better(measured, key=lambda name: value(measured[name]))
    return Reached(aim, _ratio(aim.metric, value(own), value(measured[rival])), rival)


_VALUES: Final[Mapping[Metric, Callable[[Figures], float]]] = {
    "rate": lambda figures: figures.rate,
    "cpu_us": lambda figures: figures.cpu_us,
    "p99_ms": lambda figures: figures.p99_ms,
}
_BETTER: Final[Mapping[Metric, Callable[..., str]]] = {"rate": max, "cpu_us": min, "p99_ms": min}


def _ratio(metric: Metric, own: float, other: float) -> float | None:
    """Of dray to the rival, upside down where less is better."""
    above, below = (own, other) if metric == "rate" else (other, own)
    return None if not below or math.isnan(above) or math.isnan(below) else above / below
