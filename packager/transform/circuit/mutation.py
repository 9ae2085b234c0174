"""Circuits that are broken on purpose: a verification that would not notice them would be worth nothing."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from packager.core.errors import CircuitUnfaithful
from packager.transform.circuit.network import Integers
from packager.transform.circuit.tracing import Traced, interpreted

if TYPE_CHECKING:
    from alkaid.types import CombLogic


# Numbers of alkaid's operations: a sum and a difference of two, one shifted; a sum with a constant; a selection; bit by
# bit, "and" or "or" of two.
class Op(IntEnum):
    """An operation of alkaid's that is broken here."""

    SUM = 0
    DIFFERENCE = 1
    CONSTANT = 4
    SELECTION = 6
    BITS = 10


SUMS = frozenset({Op.SUM, Op.DIFFERENCE})
GROWN = frozenset(Op)
MUTANTS = 20
# A broken operation can compute the same (of a bit that is always zero), so not all need be noticed.
LEAST_CAUGHT = 0.9


@dataclass(frozen=True, slots=True)
class Mutations:
    """How many broken circuits were made, how many differed from the reference, and one that did and has Verilog.

    Alkaid writes no selection whose sides changed places where their numbers have different scales.
    """

    made: int
    caught: int
    one: Traced | None


def mutated(
    trace: Traced, rows: Integers, expected: Integers,
    *, kinds: frozenset[Op] = SUMS, count: int = MUTANTS, seed: int = 0,
) -> Mutations:  # fmt: skip
    """Break one operation at a time, and ask alkaid's interpreter for the answers to these rows.

    Args:
        kinds: Operations that are broken: a sum becomes a difference, a selection the other one, a constant one more.

    Raises:
        CircuitUnfaithful: Too many broken circuits answer as the reference does.
    """
    places = [at for at, op in enumerate(trace.logic.ops) if op.opcode in kinds]
    chosen = np.random.default_rng(seed).permutation(places)[:count]
    wanted = expected.reshape(len(expected), -1)
    caught: list[tuple[int, Traced]] = []
    for at in chosen:
        broken = _broken(trace.logic, int(at))
        if _differs(broken, rows, wanted):
            caught.append((trace.logic.ops[at].opcode, Traced(broken, trace.luts, trace.name)))
    if len(caught) < LEAST_CAUGHT * len(chosen):
        raise CircuitUnfaithful(
            f"of {len(chosen)} circuits with one broken operation, the rows at hand show only {len(caught)}",
            hint="give more samples, of all kinds that the model will be asked about (--samples)",
        )
    one = next((circuit for opcode, circuit in caught if opcode != Op.SELECTION), None)
    return Mutations(len(chosen), len(caught), one)


def _differs(broken: "CombLogic", rows: Integers, wanted: Integers) -> bool:
    try:
        return not np.array_equal(interpreted(broken, rows), wanted)
    except RuntimeError:  # a table is asked for an entry that it has not: the broken sum was seen
        return True


def _broken(logic: "CombLogic", at: int) -> "CombLogic":
    """The program with one operation changed."""
    ops = list(logic.ops)
    op = ops[at]
    match op.opcode:
        case Op.SUM | Op.DIFFERENCE:
            ops[at] = op._replace(opcode=int(Op.DIFFERENCE if op.opcode == Op.SUM else Op.SUM))
        case Op.CONSTANT:
            # A threshold one step off; never zero, which is no sum.
            value, *rest = op.data
            ops[at] = op._replace(data=(value + (1 if value != -1 else -1), *rest))
        case Op.BITS:
            shift, which = op.data
            ops[at] = op._replace(data=(shift, 1 - which if which < 2 else 0))
        case _:
            left, right, *decided = op.addr
            ops[at] = op._replace(addr=(right, left, *decided))
    return logic._replace(ops=ops)
