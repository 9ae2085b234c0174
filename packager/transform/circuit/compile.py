"""From a model to a verified circuit: the steps in their order, what is cheap and may refuse before what is slow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from packager.core.errors import CircuitTooLarge, GateFailed
from packager.transform.agreement import agreement_of
from packager.transform.circuit import reference
from packager.transform.circuit.canonical import canonical
from packager.transform.circuit.ends import from_circuit, run_model, to_circuit
from packager.transform.circuit.estimate import MAX_LUTS, Estimate, check_size, estimated
from packager.transform.circuit.fixing import Widths, fixed
from packager.transform.circuit.frontend import Cut, cut
from packager.transform.circuit.grid import on_grid
from packager.transform.circuit.ir import Circuit
from packager.transform.circuit.network import Floats
from packager.transform.circuit.simulator import BUILD_TIMEOUT_S
from packager.transform.circuit.synthesis import SYNTHESIS_TIMEOUT_S, Synthesised, check_netlist, synthesised
from packager.transform.circuit.tracing import Rtl, traced, written
from packager.transform.circuit.verify import Verified, rows_for, verified
from packager.transform.wanted import CIRCUIT_MIN_AGREEMENT
from runtime.contract.transformation import OutputAgreement

SEARCHED = (4, 5, 6, 7, 8, 10, 12)
# With fewer rows than this all of them calibrate.
_ENOUGH_TO_SPLIT = 40
# A broken circuit's Verilog takes as long to build as the circuit's own.
MOST_LUTS_BROKEN = 60_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What a circuit has to be.

    Attributes:
        bits: None lets the agreement choose the fewest that will do.
        break_rtl: Whether a broken circuit's Verilog is built as well; None where that is soon done.
        synthesize: Whether yosys counts its cells on the family of ``part`` (None: the default one's), and all rows are
            asked of the netlist too, which takes minutes.
    """

    bits: int | None = None
    max_luts: int = MAX_LUTS
    min_agreement: float = CIRCUIT_MIN_AGREEMENT
    break_rtl: bool | None = None
    synthesize: bool = False
    part: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A verified circuit.

    Attributes:
        luts: Alkaid's estimate of what was written; ``estimate`` is the one before tracing.
        agreements: With the model, by output. ``tried``: the least of them, by bits.
        calibration_rows: Those that set the scales; all rows were judged.
    """

    cut: Cut
    circuit: Circuit
    bits: int
    agreement: float
    estimate: Estimate
    luts: int
    rtl: Rtl
    verified: Verified
    agreements: Mapping[str, OutputAgreement]
    tried: Mapping[int, float]
    calibration_rows: int
    synthesised: Synthesised | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    bits: int
    circuit: Circuit
    agreements: Mapping[str, OutputAgreement]
    estimate: Estimate

    @property
    def agreement(self) -> float:
        """Of the output that agrees least."""
        return min(each.agreement for each in self.agreements.values())


def compiled(
    model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]], name: str, asked: Asked, cache: Path,
    *, expected: Mapping[str, NDArray[Any]] | None = None, labelled: frozenset[str] = frozenset(),
    timeout_s: float = BUILD_TIMEOUT_S, synthesis_timeout_s: float = SYNTHESIS_TIMEOUT_S,
    on_step: Callable[[str], None] | None = None,
) -> Compiled:  # fmt: skip
    """The model's circuit, simulated on all of these rows.

    Args:
        expected: What the circuit has to agree with; the model's own answers where None.
        labelled: Outputs of which it is known that each column is a class.
        timeout_s: For the build of one simulation; ``synthesis_timeout_s`` is yosys'.

    Raises:
        CircuitRefused: An operator has no circuit.
        CircuitTooLarge: By an estimate it needs more than ``max_luts``.
        GateFailed: No width agrees with the original on enough rows.
        CircuitUnfaithful: The simulation or the netlist differs from the reference, or a broken circuit would not have
            been noticed.
        CircuitTimeout: A simulation was not built, or the synthesis did not end, in its time.
        EnvironmentMissing: Verilator, its compiler, or the yosys that was asked for is not here.
    """
    parts = on_grid(cut(canonical(model)), {name: _calibrating(rows) for name, rows in feeds.items()})
    entering = to_circuit(parts, feeds)
    wanted = run_model(model, feeds) if expected is None else expected
    tried = _tried(parts, feeds, entering, wanted, labelled, asked)
    chosen = tried[-1]
    tell = on_step or _silent
    tell(f"tracing the circuit at {chosen.bits} bits (about {chosen.estimate.luts:,} look-up tables)")
    trace = traced(chosen.circuit, name)
    rtl = written(trace)
    _check_traced(rtl.luts, asked)
    rows = rows_for(chosen.circuit, reference.quantise(entering, chosen.circuit.format))
    broken = rtl.luts <= MOST_LUTS_BROKEN if asked.break_rtl is None else asked.break_rtl
    found = verified(chosen.circuit, trace, rtl, rows, cache, break_rtl=broken, timeout_s=timeout_s, on_step=tell)
    cells = None
    if asked.synthesize:
        tell("synthesising it")
        cells = synthesised(rtl, cache, part=asked.part, timeout_s=synthesis_timeout_s)
        check_netlist(cells, chosen.circuit, rtl, rows)
    return Compiled(
        parts, chosen.circuit, chosen.bits, chosen.agreement, chosen.estimate, rtl.luts, rtl, found,
        chosen.agreements, {each.bits: each.agreement for each in tried}, len(_calibrating(entering)),
        cells,
    )  # fmt: skip


def _silent(_step: str) -> None:
    """Nobody listens."""


def answers(parts: Cut, circuit: Circuit, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The model's outputs as the integer reference has them."""
    return _answers(parts, circuit, feeds, to_circuit(parts, feeds))


def _answers(
    parts: Cut, circuit: Circuit, feeds: Mapping[str, NDArray[Any]], entering: Floats
) -> dict[str, NDArray[Any]]:
    rows = reference.quantise(entering, circuit.format)
    return from_circuit(parts, reference.dequantise(reference.run(circuit, rows), circuit.answer), feeds)


def _tried(
    parts: Cut,
    feeds: Mapping[str, NDArray[Any]],
    entering: Floats,
    expected: Mapping[str, NDArray[Any]],
    labelled: frozenset[str],
    asked: Asked,
) -> list[_Tried]:
    """Circuits of more and more bits, to the first that agrees, of those that are small enough."""
    widths = (asked.bits,) if asked.bits else SEARCHED
    sizes = {bits: estimated(parts.network, Widths.of(bits)) for bits in widths}
    check_size(sizes[widths[0]], asked.max_luts)
    calibrating = _calibrating(entering)
    tried: list[_Tried] = []
    for bits in widths:
        if sizes[bits].luts > asked.max_luts:
            break
        circuit = fixed(parts.network, calibrating, Widths.of(bits))
        found = agreement_of(expected, [_answers(parts, circuit, feeds, entering)], labelled=labelled)
        tried.append(_Tried(bits, circuit, found, sizes[bits]))
        if tried[-1].agreement >= asked.min_agreement:
            return tried
    raise _nothing_agrees(tried, asked)


def _nothing_agrees(tried: Sequence[_Tried], asked: Asked) -> GateFailed:
    best = max(tried, key=lambda one: one.agreement)
    widths = "" if len(tried) == 1 else f", the best of {tried[0].bits} to {tried[-1].bits},"
    return GateFailed(
        f"at {best.bits} bits{widths} the circuit agrees with the original on {best.agreement:.2%} of the samples,"
        f" and {asked.min_agreement:.2%} are asked for",
        hint=f"{_more(tried[-1].bits, asked)}, or take less with --min-agreement",
        detail={"tried": {str(one.bits): one.agreement for one in tried}},
    )


def _more(last: int, asked: Asked) -> str:
    """What would give more agreement, when the last width tried was this one."""
    if asked.bits is not None:
        return "ask for more bits (--bits)"
    if last < SEARCHED[-1]:
        return "allow a larger circuit (--max-luts)"
    return "look at the samples: values far from all others stretch the scales, and some may not be finite"


def _check_traced(luts: int, asked: Asked) -> None:
    if luts > asked.max_luts:
        raise CircuitTooLarge(
            f"alkaid estimates {luts:,} look-up tables, and {asked.max_luts:,} are the most (--max-luts)",
            hint="ask for fewer bits, a smaller model, another target, or mode=ep",
            detail={"alkaid_luts": luts, "max_luts": asked.max_luts},
        )


def _calibrating(rows: NDArray[Any]) -> NDArray[Any]:
    """Those that set the scales: every other one, so that as many that did not are judged as well."""
    return rows[:: 2 if len(rows) >= _ENOUGH_TO_SPLIT else 1]
