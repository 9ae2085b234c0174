"""One row of the report: a model at a number of bits, made a circuit, verified, simulated, synthesised if asked."""

import resource
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fpga.subjects import Array, Subject
from packager.core.errors import DrayError
from packager.transform.circuit import reference
from packager.transform.circuit.compile import Asked, Compiled, answers, compiled
from packager.transform.circuit.ends import run_model, to_circuit
from packager.transform.circuit.simulator import built, simulate
from packager.transform.circuit.verify import rows_for

# A simulation is timed over at least so many rows.
_TIMED_ROWS = 4000


@dataclass(frozen=True, slots=True)
class Row:
    """What is told of a model at a number of bits; seconds are of processor time, children included.

    Attributes:
        refused: Why there is no circuit; nothing else is known then but ``seconds["refused"]``.
        luts: By who says so.
        cycles: From a row's offer to its answer. ``interval``: cycles between two rows.
    """

    model: str
    bits: int
    refused: str = ""
    before: float | None = None
    after: float | None = None
    agreement: float | None = None
    luts: dict[str, int] = field(default_factory=dict)
    flip_flops: int | None = None
    dsps: int | None = None
    carry_bits: int | None = None
    wide_muxes: int | None = None
    cycles: int | None = None
    interval: int | None = None
    compared: int | None = None
    netlist_compared: int | None = None
    mutants: int | None = None
    caught: int | None = None
    samples_per_s: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


class Clock:
    """Processor seconds from step to step, of this process and of those that it waited for."""

    def __init__(self) -> None:
        self.marks: list[tuple[str, float]] = [("begin", _cpu())]

    def step(self, text: str) -> None:
        """A step begins."""
        self.marks.append((text, _cpu()))

    def between(self, start: str, end: str) -> float:
        """Seconds from the step that starts with this text to that one."""
        at = {name: value for text, value in self.marks for name in (start, end) if text.startswith(name)}
        return round(at[end] - at[start], 2) if len(at) == 2 else 0.0


def measured(subject: Subject, bits: int, cache: Path, *, synthesize: bool) -> Row:
    """The row; a refusal is one too."""
    clock = Clock()
    asked = Asked(bits=bits, min_agreement=0.0, break_rtl=False, synthesize=synthesize)
    try:
        found = compiled(subject.model, subject.feeds, "report", asked, cache, on_step=clock.step)
    except DrayError as refusal:
        clock.step("end")
        return Row(subject.name, bits, refused=str(refusal), seconds={"refused": clock.between("begin", "end")})
    clock.step("end")
    seconds = {
        "trace": clock.between("tracing", "building"),
        "simulation": clock.between("building", "synthesising" if synthesize else "end"),
    }
    if synthesize:
        seconds["synthesis"] = clock.between("synthesising", "end")
    return _row(subject, found, cache, seconds)


def _row(subject: Subject, found: Compiled, cache: Path, seconds: dict[str, float]) -> Row:
    verified, made = found.verified, found.synthesised
    luts = {"dray": found.estimate.luts, "alkaid": found.luts}
    if made:
        luts["yosys"] = made.cells.luts
    return Row(
        model=subject.name,
        bits=found.bits,
        before=_accuracy(run_model(subject.model, subject.feeds), subject.truth),
        after=_accuracy(answers(found.cut, found.circuit, subject.feeds), subject.truth),
        agreement=round(found.agreement, 4),
        luts=luts,
        flip_flops=made.cells.flip_flops if made else None,
        dsps=made.cells.dsps if made else None,
        carry_bits=made.cells.carry_bits if made else None,
        wide_muxes=made.cells.wide_muxes if made else None,
        cycles=verified.first,
        interval=(verified.cycles - verified.first) // verified.rows,
        compared=verified.rows,
        netlist_compared=verified.rows if made else None,
        mutants=verified.mutants,
        caught=verified.caught,
        samples_per_s=_speed(subject, found, cache),
        seconds=seconds,
    )


def _accuracy(outputs: Mapping[str, Array], truth: Array | None) -> float | None:
    """Share of rows whose label, or whose highest score, is the true one."""
    if truth is None:
        return None
    scores = list(outputs.values())
    labels = next((each for each in scores if each.ndim == 1), None)
    said = labels if labels is not None else scores[0].argmax(axis=-1)
    return round(float((said == truth).mean()), 4)


def _speed(subject: Subject, found: Compiled, cache: Path) -> float:
    rows = rows_for(found.circuit, reference.quantise(to_circuit(found.cut, subject.feeds), found.circuit.format))
    many = np.concatenate([rows] * -(-_TIMED_ROWS // len(rows)))
    library = built(found.rtl, cache)
    began = time.process_time()
    simulate(library, found.rtl, many)
    return float(round(len(many) / (time.process_time() - began)))


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
