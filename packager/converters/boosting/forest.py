"""Boosted trees in one form for all libraries: arrays by node, every decision ``value <= threshold`` in float64."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
# A zero for LightGBM: |x| <= 1e-35f. Source: kZeroThreshold in LightGBM's meta.h.
ZERO = float(np.float32(1e-35))


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree; a row goes left where ``value <= threshold``. Several nodes may lead to one, where a set is tested.

    Attributes:
        left, right: -1 at a leaf.
        missing_left: Where NaN goes.
        values: By node, (nodes, len(outputs)); what a leaf adds to these raw scores.
    """

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    missing_left: Bools
    values: Floats
    outputs: tuple[int, ...]

    @property
    def leaves(self) -> Ints:
        """Numbers of the leaf nodes."""
        return np.flatnonzero(self.left < 0)

    def leaf_of(self, rows: Any) -> Ints:
        """The leaf that each row ends in."""
        node = np.zeros(len(rows), np.int64)
        every = np.arange(len(rows))
        while (inner := self.left[node] >= 0).any():
            values = rows[every, self.feature[node]]
            goes_left = np.where(np.isnan(values), self.missing_left[node], values <= self.threshold[node])
            node = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), node)
        return node

    def boxes(self, width: int) -> tuple[Floats, Floats]:
        """Bounds of every leaf, (leaves, width) each: low < value <= high leads there; one way, if there are many."""
        low = np.full((len(self.left), width), -np.inf)
        high = np.full((len(self.left), width), np.inf)
        for node, child, goes_left in self._first_ways():
            low[child], high[child] = low[node], high[node]
            feature, threshold = self.feature[node], self.threshold[node]
            if goes_left:
                high[child, feature] = min(high[node, feature], threshold)
            else:
                low[child, feature] = max(low[node, feature], threshold)
        return low[self.leaves], high[self.leaves]

    def _first_ways(self) -> Iterator[tuple[int, int, bool]]:
        """(parent, child, to the left) for every node but the root, parents first."""
        waiting, seen = [0], {0}
        while waiting:
            node = waiting.pop()
            for child, goes_left in ((int(self.right[node]), False), (int(self.left[node]), True)):
                if self.left[node] >= 0 and child not in seen:
                    seen.add(child)
                    waiting.append(child)
                    yield node, child, goes_left


@dataclass(frozen=True, slots=True)
class Forest:
    """All trees of a model; raw scores are ``base`` plus what the leaves add.

    Attributes:
        width: Columns of the input.
        zero_missing: By column, whether zeros count as missing.
        missing_value: A number that counts as missing, besides NaN.
        categorical: By column, whether it holds numbers of categories.
    """

    trees: tuple[Tree, ...]
    base: Floats
    width: int
    zero_missing: Bools
    categorical: Bools
    missing_value: float | None = None

    def cleaned(self, rows: Any) -> Floats:
        """The rows as the trees see them: NaN for everything that counts as missing."""
        clean = np.array(rows, np.float64)
        clean[(np.abs(clean) <= ZERO) & self.zero_missing] = np.nan
        if self.missing_value is not None:
            clean[clean == self.missing_value] = np.nan
        return clean

    def thresholds(self) -> dict[int, Floats]:
        """Finite thresholds by column."""
        found: dict[int, list[Floats]] = {}
        for tree in self.trees:
            inner = tree.left >= 0
            for feature in np.unique(tree.feature[inner]):
                values = tree.threshold[inner & (tree.feature == feature)]
                found.setdefault(int(feature), []).append(values[np.isfinite(values)])
        return {feature: np.unique(np.concatenate(values)) for feature, values in sorted(found.items())}


@dataclass(slots=True)
class TreeBuilder:
    """Nodes added one by one, in any order; children may be named before they are filled in."""

    outputs: tuple[int, ...]
    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    missing_left: list[bool] = field(default_factory=list)
    values: list[Sequence[float]] = field(default_factory=list)

    def reserve(self, count: int) -> None:
        """Room for ``count`` nodes, all leaves of value 0 until they are set."""
        for _ in range(count):
            self._append()

    def set_leaf(self, node: int, values: Sequence[float]) -> None:
        """A leaf that adds ``values``."""
        self.values[node] = values

    def set_split(
        self, node: int, feature: int, threshold: float, *, left: int, right: int, missing_left: bool
    ) -> None:
        """A decision; ``x < t`` is ``x <= below(t)``."""
        self.feature[node], self.threshold[node] = feature, threshold
        self.left[node], self.right[node], self.missing_left[node] = left, right, missing_left

    def set_membership(
        self, node: int, feature: int, bounds: Sequence[float], *, inside: int, outside: int, missing_inside: bool
    ) -> None:
        """A test for lying in one of several intervals, as a chain of decisions along their bounds.

        Args:
            bounds: Ascending: (low, high] of the first interval, of the second, and so on.
        """
        if not bounds:
            self.set_split(node, feature, np.inf, left=outside, right=inside, missing_left=not missing_inside)
        place = node
        for index, bound in enumerate(bounds):
            last = index == len(bounds) - 1
            following = outside if last else self._append()
            # Left of an even bound is outside. NaN follows the first decision, or, to get inside, the second.
            is_outside = index % 2 == 0
            self.set_split(
                place,
                feature,
                bound,
                left=outside if is_outside else inside,
                right=following,
                missing_left=is_outside != missing_inside,
            )
            place = following

    def tree(self) -> Tree:
        """The tree that was built."""
        return Tree(
            feature=np.array(self.feature, np.int64),
            threshold=np.array(self.threshold, np.float64),
            left=np.array(self.left, np.int64),
            right=np.array(self.right, np.int64),
            missing_left=np.array(self.missing_left, bool),
            values=np.array(self.values, np.float64).reshape(len(self.left), len(self.outputs)),
            outputs=self.outputs,
        )

    def _append(self) -> int:
        self.feature.append(0)
        self.threshold.append(0.0)
        self.left.append(-1)
        self.right.append(-1)
        self.missing_left.append(False)
        self.values.append([0.0] * len(self.outputs))
        return len(self.left) - 1


def below(value: float) -> float:
    """Largest float64 under a value: x < value exactly when x is at or below it."""
    return float(np.nextafter(value, -np.inf))


def below_single(value: float) -> float:
    """The largest float32 under a float32, as ``below`` for values that are float32."""
    return float(np.nextafter(np.float32(value), np.float32(-np.inf)))


def category_bounds(categories: Sequence[int], *, first_low: float) -> list[float]:
    """Bounds of the intervals of numbers that are cut to one of these whole numbers, neighbours joined.

    Args:
        first_low: The largest number that is not cut to 0.
    """
    bounds: list[float] = []
    for category in sorted(set(categories)):
        low = first_low if category == 0 else below(float(category))
        if bounds and bounds[-1] == low:
            bounds[-1] = below(float(category + 1))
        else:
            bounds += [low, below(float(category + 1))]
    return bounds
