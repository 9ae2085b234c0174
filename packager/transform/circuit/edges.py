"""Rows for the verification of trees: into every leaf, along both sides of every threshold on the way there."""

import numpy as np

from packager.transform.circuit.ir import Circuit, Decisions, Forest
from packager.transform.circuit.network import Integers

# More rows say little more, and each is simulated.
MOST = 4096


def edges(circuit: Circuit, samples: Integers) -> Integers:
    """Samples changed to end in each leaf of each tree, one bound of the leaf's box met at a time; none without trees.

    A threshold that is off by one, or a leaf that is wrong, shows in one of them, unless all trees hide it together.
    """
    random = np.random.default_rng(0)
    found = [
        row
        for step in circuit.steps
        if isinstance(step.operation, Forest)
        for tree in step.operation.trees
        for row in _of_tree(tree, step.operation.missing, circuit.format.high, samples, random)
    ]
    if not found:
        return np.zeros((0, *circuit.shape), np.int64)
    kept = np.unique(np.linspace(0, len(found) - 1, min(len(found), MOST)).astype(np.int64))
    return np.stack([found[at] for at in kept])


def _of_tree(
    tree: Decisions, missing: Integers, most: int, samples: Integers, random: np.random.Generator
) -> list[Integers]:
    rows: list[Integers] = []
    for low, high in _boxes(tree, missing):
        inside = np.clip(samples[random.integers(len(samples))], low, high)
        for feature in np.flatnonzero((low > 0) | (high < missing - 1)):
            for bound in {int(low[feature]), int(high[feature])}:
                row = inside.copy()
                row[feature] = bound
                rows.append(row)
        absent = inside.copy()
        absent[random.integers(len(absent))] = most
        rows += [inside, absent]
    return rows


def _boxes(tree: Decisions, missing: Integers) -> list[tuple[Integers, Integers]]:
    """The least and the greatest numbers that lead to each leaf; those that no number leads to are left out."""
    found = []
    waiting = [(0, np.zeros_like(missing), missing - 1)]
    while waiting:
        node, low, high = waiting.pop()
        if (low > high).any():
            continue
        if tree.left[node] < 0:
            found.append((low, high))
            continue
        feature, threshold = tree.feature[node], tree.threshold[node]
        below, above = high.copy(), low.copy()
        below[feature] = min(high[feature], threshold)
        above[feature] = max(low[feature], threshold + 1)
        waiting += [(int(tree.left[node]), low, below), (int(tree.right[node]), above, high)]
    return found
