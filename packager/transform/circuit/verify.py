"""The simulated circuit against the integer reference, on all rows, and the same with a broken circuit."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from packager.core.errors import CircuitUnfaithful
from packager.transform.circuit import reference
from packager.transform.circuit.edges import edges
from packager.transform.circuit.ir import Circuit, Forest
from packager.transform.circuit.mutation import GROWN, SUMS, Op, mutated
from packager.transform.circuit.network import Integers
from packager.transform.circuit.simulator import BUILD_TIMEOUT_S, built, simulate
from packager.transform.circuit.tracing import Rtl, Traced, written

_RANDOM_ROWS = 64
# Any number but zero, which stands for no pauses.
_PAUSES = 2026


@dataclass(frozen=True, slots=True)
class Verified:
    """What was compared: rows, all equal; cycles; broken circuits noticed. ``broken_rtl`` None: it was not built."""

    rows: int
    cycles: int
    first: int
    mutants: int
    caught: int
    broken_rtl: bool | None


def rows_for(circuit: Circuit, samples: Integers) -> Integers:
    """The samples, rows from all over the input's format, its two extremes, and the edges of trees."""
    random = np.random.default_rng(0)
    low, high = circuit.format.low, circuit.format.high
    anywhere = random.integers(low, high + 1, size=(_RANDOM_ROWS, *circuit.shape))
    extremes = np.stack([np.full(circuit.shape, low), np.full(circuit.shape, high)])
    return np.concatenate([samples, anywhere, extremes, edges(circuit, samples)]).astype(np.int64)


def verified(
    circuit: Circuit,
    trace: Traced,
    rtl: Rtl,
    rows: Integers,
    cache: Path,
    *,
    break_rtl: bool = False,
    timeout_s: float = BUILD_TIMEOUT_S,
    on_step: Callable[[str], None] = lambda _step: None,
) -> Verified:
    """Simulate all rows, with a free stream and with one that pauses, and break operations.

    Args:
        break_rtl: Build the Verilog of one broken circuit as well, which takes as long as the circuit itself.
        timeout_s: For each build.

    Raises:
        CircuitUnfaithful: With the first row that differs.
    """
    expected = reference.run(circuit, rows)
    on_step("breaking it on purpose, to see that its rows notice")
    broken = mutated(trace, rows, expected, kinds=_kinds(circuit))
    on_step(f"building its simulation, for {len(rows):,} rows")
    library = built(rtl, cache, timeout_s=timeout_s)
    free = simulate(library, rtl, rows)
    _check_equal(free.rows, expected, "the simulated circuit")
    _check_equal(simulate(library, rtl, rows, seed=_PAUSES).rows, expected, "the circuit, its stream pausing,")
    noticed = None
    if break_rtl and broken.one is not None:
        on_step("building the simulation of a broken one")
        noticed = _notices(broken.one, rows, expected, cache, timeout_s)
    return Verified(len(rows), free.cycles, free.first, broken.made, broken.caught, noticed)


def _kinds(circuit: Circuit) -> frozenset[Op]:
    """What is broken: sums, and where there are trees their selections and thresholds as well."""
    return GROWN if any(isinstance(step.operation, Forest) for step in circuit.steps) else SUMS


def _notices(broken: Traced, rows: Integers, expected: Integers, cache: Path, timeout_s: float) -> bool:
    rtl = written(broken)
    answers = simulate(built(rtl, cache, timeout_s=timeout_s), rtl, rows).rows
    if np.array_equal(answers, expected.reshape(answers.shape)):
        raise CircuitUnfaithful(
            "Verilog with a broken operation answers as the reference does", hint="report it with the model"
        )
    return True


def _check_equal(answers: Integers, expected: Integers, what: str) -> None:
    wanted = expected.reshape(answers.shape)
    if np.array_equal(answers, wanted):
        return
    row, column = (int(found[0]) for found in np.nonzero(answers != wanted))
    raise CircuitUnfaithful(
        f"{what} answers {int(answers[row, column])} where the reference has {int(wanted[row, column])}"
        f" (row {row}, output {column})",
        hint="nothing was written; report it with the model",
    )
