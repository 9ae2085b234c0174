"""Rows for the verification of trees: into every leaf, along all thresholds on the way there."""

import numpy as np

from packager.transform.circuit.ir import Circuit, Decisions, Forest
from packager.transform.circuit.network import Integers

# Rows are simulated twice; of an ensemble with more leaves than this allows, some are left to the samples.
MOST = 20_000
Box = tuple[Integers, Integers]


def edges(circuit: Circuit, samples: Integers) -> Integers:
    """Samples moved into the leaves of all trees: into both corners of each one's box, and there with a number missing.

    In a corner all thresholds on the way to the leaf are met at once: one that is off by one leads elsewhere.
    """
    random = np.random.default_rng(0)
    forests = [step.operation for step in circuit.steps if isinstance(step.operation, Forest)]
    boxes = [box for forest in forests for tree in forest.trees for box in _boxes(tree, forest.missing)]
    if not boxes:
        return np.zeros((0, *circuit.shape), np.int64)
    chosen = [boxes[at] for at in random.permutation(len(boxes))[: MOST // 3]]
    rows = [row for box in chosen for row in _corners(box, forests[0].missing, circuit.format.high, samples, random)]
    return np.stack(rows)


def _corners(
    box: Box, missing: Integers, most: int, samples: Integers, random: np.random.Generator
) -> tuple[Integers, Integers, Integers]:
    low, high = box
    sample = np.clip(samples[random.integers(len(samples))], low, high)
    bounded = np.flatnonzero((low > 0) | (high < missing - 1))
    lower, upper, absent = (sample.copy() for _ in range(3))
    # Where there is no bound the sample stays: a corner of everything would be far from all of them.
    lower[bounded], upper[bounded] = low[bounded], high[bounded]
    absent[random.choice(bounded if len(bounded) else len(absent))] = most
    return lower, upper, absent


def _boxes(tree: Decisions, missing: Integers) -> list[Box]:
    """The least and the greatest numbers on each way to a leaf; those that no number leads to are left out."""
    found: list[Box] = []
    waiting = [(0, np.zeros_like(missing), missing - 1)]
    # Where nodes share what they lead to, as tests of sets do, there may be more ways than anyone can go.
    while waiting and len(found) < MOST:
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
