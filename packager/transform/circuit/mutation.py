"""Circuits that are broken on purpose: a verification that would not notice them would be worth nothing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from packager.core.errors import CircuitUnfaithful
from packager.transform.circuit.network import Integers
from packager.transform.circuit.tracing import Traced, interpreted

if TYPE_CHECKING:
    from alkaid.types import CombLogic

# Numbers of alkaid's operations: a sum and a difference of two, one shifted.
_SUM, _DIFFERENCE = 0, 1
MUTANTS = 20
# A broken adder can compute the same (of a bit that is always zero), so not all need be noticed.
LEAST_CAUGHT = 0.9


@dataclass(frozen=True, slots=True)
class Mutations:
    """How many broken circuits were made, how many differed from the reference, and one that did."""

    made: int
    caught: int
    one: Traced | None


def mutated(trace: Traced, rows: Integers, expected: Integers, *, count: int = MUTANTS, seed: int = 0) -> Mutations:
    """Break one adder at a time, and ask alkaid's interpreter for the answers to these rows.

    Raises:
        CircuitUnfaithful: Too many broken circuits answer as the reference does.
    """
    adders = [at for at, op in enumerate(trace.logic.ops) if op.opcode in (_SUM, _DIFFERENCE)]
    chosen = np.random.default_rng(seed).permutation(adders)[:count]
    wanted = expected.reshape(len(expected), -1)
    caught = []
    for at in chosen:
        broken = _flipped(trace.logic, int(at))
        if _differs(broken, rows, wanted):
            caught.append(Traced(broken, trace.luts, trace.name))
    if len(caught) < LEAST_CAUGHT * len(chosen):
        raise CircuitUnfaithful(
            f"of {len(chosen)} circuits with one broken adder, the rows at hand show only {len(caught)}",
            hint="give more samples, of all kinds that the model will be asked about (--samples)",
        )
    return Mutations(len(chosen), len(caught), caught[0] if caught else None)


def _differs(broken: "CombLogic", rows: Integers, wanted: Integers) -> bool:
    try:
        return not np.array_equal(interpreted(broken, rows), wanted)
    except RuntimeError:  # a table is asked for an entry that it has not: the broken sum was seen
        return True


def _flipped(logic: "CombLogic", at: int) -> "CombLogic":
    """The program with one sum made a difference, or the other way round."""
    ops = list(logic.ops)
    ops[at] = ops[at]._replace(opcode=_DIFFERENCE if ops[at].opcode == _SUM else _SUM)
    return logic._replace(ops=ops)
