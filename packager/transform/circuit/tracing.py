"""Alkaid's part: operations on symbols, which it turns into adders and tables (``growing`` and ``mutation`` use it)."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from packager.core.errors import CircuitRefused
from packager.transform.circuit.growing import grown
from packager.transform.circuit.ir import (
    Circuit,
    Forest,
    Format,
    Largest,
    Operation,
    Place,
    Positive,
    Product,
    Rescale,
    Step,
    Table,
    Total,
)
from packager.transform.circuit.network import Floats, Integers

if TYPE_CHECKING:
    from alkaid.trace import FVArray
    from alkaid.types import CombLogic

# Nanoseconds of logic between two registers, by alkaid's model of a device: what its pipelines are cut by.
STAGE_NS = 5.0
# Alkaid computes with constants in float32: of whole numbers it keeps so much.
_EXACT = 1 << 24


@dataclass(frozen=True, slots=True)
class Port:
    """How a circuit's numbers lie in a port: ``count`` integers of ``bits`` bits, the first in the lowest bits."""

    count: int
    bits: int
    signed: bool
    shift: int  # what the port leaves away: the integer is its value shifted left by so many bits

    @property
    def width(self) -> int:
        """Bits of the whole port."""
        return self.count * self.bits

    def integers(self, values: Integers) -> Integers:
        """What the port's values stand for."""
        return values << self.shift if self.shift >= 0 else values >> -self.shift


@dataclass(frozen=True, slots=True)
class Traced:
    """A circuit as alkaid's program of adders, and what alkaid estimates of it."""

    logic: "CombLogic"
    luts: int
    name: str


@dataclass(frozen=True, slots=True)
class Rtl:
    """Verilog sources by file name, and what surrounds them needs to know."""

    sources: dict[str, str]
    name: str
    input: Port
    output: Port
    latency: int  # cycles from a row's acceptance to its answer at the pipeline's end
    registers: int
    luts: int  # alkaid's estimate, of what it wrote


def traced(circuit: Circuit, name: str) -> Traced:
    """The circuit as adders, selections and tables.

    Raises:
        CircuitRefused: A constant is beyond what alkaid computes exactly.
    """
    from alkaid.trace import FVArray, trace

    bounds = np.full(circuit.shape, circuit.format.low), np.full(circuit.shape, circuit.format.high)
    entry = FVArray.from_lhs(*bounds, np.ones(circuit.shape))
    found = [entry]
    for step in circuit.steps:
        source = circuit.format_of(step.sources[0])
        found.append(_apply(step, source, [found[number] for number in step.sources]))
    logic = trace(entry.ravel(), found[-1].ravel(), keep_dead_inputs=True)
    return Traced(logic, round(float(logic.cost)), module_name(name))


def module_name(name: str) -> str:
    """A Verilog name for a model's: the prefix keeps it clear of Verilog's words, of which ``small`` is one."""
    return "dray_" + re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()


def interpreted(logic: "CombLogic", rows: Integers) -> Integers:
    """Answers of alkaid's own interpreter of the program, not of its Verilog."""
    answers = logic.predict(np.ascontiguousarray(rows.reshape(len(rows), -1), np.float64))
    return np.asarray(np.rint(answers), np.int64)


def written(trace: Traced, stage_ns: float = STAGE_NS) -> Rtl:
    """Verilog of the pipeline: a new row in each cycle.

    Raises:
        CircuitRefused: The answers are the same whatever is asked.
    """
    from alkaid.codegen.rtl import RTLModel

    with tempfile.TemporaryDirectory(prefix="dray-rtl-") as folder:
        model = RTLModel(trace.logic, folder, trace.name, latency_cutoff=stage_ns, print_latency=False)
        model.write()
        sources = {path.name: path.read_text() for path in sorted(Path(folder, "src").rglob("*.v"))}
    entry, answer = model.fsm.inp_signals[0], model.fsm.out_signals[0]
    if not (_port(entry.precisions).bits and _port(answer.precisions).bits):
        raise CircuitRefused(
            "the circuit gives the same answer to everything",
            hint="ask for more --bits, or look at the model's weights",
        )
    cycles = answer.schedule.bias
    luts = round(sum(float(part.cost) for part in model.fsm.logic.values()))
    return Rtl(sources, trace.name, _port(entry.precisions), _port(answer.precisions), cycles, model.reg_bits, luts)


def _port(precisions: tuple[tuple[bool, int, int], ...]) -> Port:
    """The port of alkaid's wrapper, in which all numbers are as wide as the widest."""
    signed = any(one[0] for one in precisions)
    whole, fraction = max(one[1] for one in precisions), max(one[2] for one in precisions)
    return Port(len(precisions), int(signed) + whole + fraction, signed, -fraction)


def _apply(step: Step, source: Format, values: list["FVArray"]) -> "FVArray":
    from alkaid.trace import FVArray

    operation: Operation = step.operation
    first = values[0]
    match operation:
        case Place(index):
            return _placed(first, index)
        case Product(weight, bias):
            _check_exact(step, weight)
            return _multiplied(step, first, weight.astype(np.float64), bias.astype(np.float64))
        case Positive():
            return first.relu()
        case Largest():
            return np.max(first, axis=-1)
        case Total(shifts):
            return first * float(1 << shifts[0]) + values[1] * float(1 << shifts[1])
        case Rescale(shift):
            return _rescaled(first, shift, step.format)
        case Table(table):
            flat = [one.lookup(_column(one, table, source)) for one in np.asarray(first).ravel()]
            return FVArray(np.array(flat, dtype=object).reshape(first.shape), first.solver_options, hwconf=first.hwconf)
        case Forest():
            return grown(operation, first)


def _multiplied(step: Step, values: "FVArray", weight: Floats, bias: Floats) -> "FVArray":
    """``values @ weight + bias``; what is constant goes into the sum: alkaid takes one bit of it for a signal."""
    from alkaid.trace import FVariable, FVArray

    rows = []
    for row in np.asarray(values).reshape(-1, weight.shape[0]):
        least, most = (np.array([float(getattr(one, end)) for one in row]) for end in ("low", "high"))
        moves = least < most
        added = least[~moves] @ weight[~moves] + bias
        _check_exact(step, added)
        if (weight[moves] != 0).any():
            part = FVArray(row[moves], values.solver_options, hwconf=values.hwconf)
            rows.append(np.asarray(part @ weight[moves] + added))
        else:
            rows.append(np.array([FVariable.from_const(one, values.hwconf) for one in added], dtype=object))
    found = np.stack(rows).reshape(*values.shape[:-1], weight.shape[1])
    return FVArray(found, values.solver_options, hwconf=values.hwconf)


def _placed(values: "FVArray", index: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> "FVArray":
    from alkaid.trace import FVariable, FVArray

    zero = FVariable.from_const(0.0, values.hwconf)
    flat = np.array([*np.asarray(values).ravel(), zero], dtype=object)
    return FVArray(flat[index], values.solver_options, hwconf=values.hwconf)


def _rescaled(values: "FVArray", shift: int, to: Format) -> "FVArray":
    whole = to.bits - to.signed
    count = values.shape
    narrow = values.quantize(
        np.full(count, int(to.signed)), np.full(count, whole + shift), np.full(count, -shift), "SAT", "RND"
    )
    return narrow * 2.0**-shift


def _column(variable: object, table: Integers, source: Format) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The entries that this element can reach, which may be fewer than its format has."""
    low, high, step = (round(value) for value in variable.qint)  # type: ignore[attr-defined]
    return table[low - source.low : high - source.low + 1 : max(step, 1)].astype(np.float64)


def _check_exact(step: Step, constants: Integers | Floats) -> None:
    whole = np.abs(constants).astype(np.int64)
    if (whole // np.maximum(whole & -whole, 1)).max(initial=0) >= _EXACT:
        raise CircuitRefused(f"a constant of {step.name!r} needs more than 24 bits", hint="ask for fewer bits")
