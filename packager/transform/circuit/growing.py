"""Trees as alkaid's symbols: one comparator for each threshold of a feature, and selections from the leaves up."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from packager.transform.circuit.ir import Decisions, Forest
from packager.transform.circuit.network import Integers, upwards

if TYPE_CHECKING:
    from alkaid.trace import FVariable, FVArray


@dataclass(slots=True)
class _Comparators:
    """Decisions by what they ask; trees that ask the same share one."""

    numbers: list["FVariable"]
    missing: Integers
    made: dict[tuple[int, int, bool], "FVariable"] = field(default_factory=dict)

    def left(self, feature: int, threshold: int, *, missing_left: bool) -> "FVariable":
        """One where the number is at most the threshold, or missing and that leads to the left; else zero."""
        asked = feature, threshold, missing_left
        if asked not in self.made:
            at_most = (self.numbers[feature] - float(threshold + 1)).is_negative()
            if missing_left:
                at_most = at_most | ~(self.numbers[feature] - float(self.missing[feature])).is_negative()
            self.made[asked] = at_most
        return self.made[asked]


def grown(forest: Forest, numbers: "FVArray") -> "FVArray":
    """The sums of a forest, one for each output."""
    from alkaid.trace import FVariable, FVArray

    flat = list(np.asarray(numbers).ravel())
    comparators = _Comparators(flat, forest.missing)
    sums = []
    for output, base in enumerate(forest.base.tolist()):
        terms = [_tree(tree, output, comparators) for tree in forest.trees]
        constant = base + sum(term for term in terms if isinstance(term, int))
        symbols = [term for term in terms if not isinstance(term, int)]
        total = _added(symbols) if symbols else FVariable.from_const(0.0, flat[0].hwconf)
        sums.append(total + float(constant))
    return FVArray(np.array(sums, dtype=object), numbers.solver_options, hwconf=numbers.hwconf)


def _tree(tree: Decisions, output: int, comparators: _Comparators) -> "FVariable | int":
    """What a tree adds to an output, a number where that is the same in all its leaves."""
    found: dict[int, FVariable | int] = {}
    for node in upwards(tree.left, tree.right):
        if tree.left[node] < 0:
            found[node] = int(tree.values[node, output])
            continue
        left, right = found[int(tree.left[node])], found[int(tree.right[node])]
        if left is right or (isinstance(left, int) and left == right):
            found[node] = left
            continue
        decided = comparators.left(
            int(tree.feature[node]), int(tree.threshold[node]), missing_left=bool(tree.missing_left[node])
        )
        found[node] = _selected(decided, left, right)
    return found[0]


def _selected(decided: "FVariable", left: "FVariable | int", right: "FVariable | int") -> "FVariable | int":
    if decided.low == decided.high:
        return left if decided.low else right
    return decided.msb_mux(*(float(side) if isinstance(side, int) else side for side in (left, right)))


def _added(terms: list["FVariable"]) -> "FVariable":
    """The sum, two by two, so that no path is longer than it has to be."""
    while len(terms) > 1:
        terms = [terms[at] + terms[at + 1] if at + 1 < len(terms) else terms[at] for at in range(0, len(terms), 2)]
    return terms[0]
