"""The decision trees inside a model: their thresholds, which leaf a row ends in, and the box of inputs of each leaf."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.boosting.estimators import boosted_model, is_boosted, library_of
from packager.converters.boosting.forest import Tree as BoostedTree
from packager.converters.sklearn.parts import Part, is_tree_family, members_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tree:
    """One binary tree in arrays by node; ``left`` is -1 at a leaf. A row goes left where ``value <= threshold``.

    Attributes:
        native: scikit-learn's own tree, which compares float32 values; None for histogram trees, which compare float64.
    """

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    missing_left: Bools
    native: Any = None

    @property
    def leaves(self) -> Ints:
        """Numbers of the leaf nodes."""
        return np.flatnonzero(self.left < 0)

    def leaf_of(self, rows: Any) -> Ints:
        """The leaf that each row ends in; rows are as the ensemble is fed."""
        if self.native is not None:
            return np.asarray(self.native.apply(np.ascontiguousarray(rows, dtype=np.float32)), np.int64)
        node = np.zeros(len(rows), np.int64)
        every = np.arange(len(rows))
        while (inner := self.left[node] >= 0).any():
            values = rows[every, self.feature[node]]
            goes_left = np.where(np.isnan(values), self.missing_left[node], values <= self.threshold[node])
            node = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), node)
        return node

    def boxes(self, width: int) -> tuple[Floats, Floats]:
        """Bounds of every leaf, (leaves, width) each: a row is in it where low < value <= high in all features."""
        low = np.full((len(self.left), width), -np.inf)
        high = np.full((len(self.left), width), np.inf)
        for node in self._parents_first():
            feature, threshold = self.feature[node], self.threshold[node]
            left, right = self.left[node], self.right[node]
            low[left], high[left] = low[node], high[node]
            low[right], high[right] = low[node], high[node]
            high[left, feature] = min(high[node, feature], threshold)
            low[right, feature] = max(low[node, feature], threshold)
        return low[self.leaves], high[self.leaves]

    def _parents_first(self) -> Iterator[int]:
        waiting = [0]
        while waiting:
            node = waiting.pop()
            if self.left[node] >= 0:
                yield node
                waiting += [int(self.left[node]), int(self.right[node])]


@dataclass(slots=True)
class Grove:
    """The trees of one estimator, and which of their leaves the rows seen so far have reached.

    Attributes:
        features: For each tree, the columns of the estimator's input that it is given; None for all.
    """

    part: Part
    trees: "Sequence[Tree | BoostedTree]"
    features: list[Any]
    reached: list[Bools] = field(init=False)

    def __post_init__(self) -> None:
        self.reached = [np.zeros(len(tree.left), bool) for tree in self.trees]

    def see(self, samples: Any) -> None:
        """Count the leaves that these model inputs reach."""
        fed = self.part.feed(samples)
        fed = np.asarray(fed.toarray() if hasattr(fed, "toarray") else fed)
        for tree, chosen, reached in zip(self.trees, self.features, self.reached, strict=True):
            reached[tree.leaf_of(fed if chosen is None else fed[:, chosen])] = True

    @property
    def leaves_total(self) -> int:
        """Leaves of all trees."""
        return sum(len(tree.leaves) for tree in self.trees)

    @property
    def leaves_reached(self) -> int:
        """Leaves that a row has ended in."""
        return sum(int(reached[tree.leaves].sum()) for tree, reached in zip(self.trees, self.reached, strict=True))

    def thresholds(self) -> Iterable[tuple[int, Floats]]:
        """Thresholds by feature of the estimator's input."""
        by_feature: dict[int, list[Floats]] = {}
        for tree, chosen in zip(self.trees, self.features, strict=True):
            inner = tree.left >= 0
            for feature in np.unique(tree.feature[inner]):
                outer = int(feature if chosen is None else chosen[feature])
                by_feature.setdefault(outer, []).append(tree.threshold[inner & (tree.feature == feature)])
        return ((feature, np.unique(np.concatenate(found))) for feature, found in sorted(by_feature.items()))


def groves_of(parts: Iterable[Part]) -> list[Grove]:
    """All trees that take part in the model's answers, grouped by the estimator that owns them."""
    return [grove for part in parts if (grove := _grove(part)) is not None]


def _grove(part: Part) -> Grove | None:
    model = part.estimator
    if hasattr(model, "_predictors"):
        trees = [_histogram_tree(tree.nodes) for stage in model._predictors for tree in stage]
        return Grove(part, trees, [None] * len(trees))
    if is_boosted(model):
        forest = boosted_model(model).forest
        gaps = library_of(model) == "xgboost"
        cleaned = replace(part, feed=lambda x: forest.cleaned(_dense(part.feed(x), gaps=gaps)))
        return Grove(cleaned, forest.trees, [None] * len(forest.trees))
    if not is_tree_family(model):
        return None
    members = [model] if hasattr(model, "tree_") else members_of(model)
    features = getattr(model, "estimators_features_", None)
    return Grove(
        part, [_native_tree(member.tree_) for member in members], list(features) if features else [None] * len(members)
    )


def _dense(fed: Any, *, gaps: bool) -> Any:
    """A matrix without sparse zeros, which XGBoost takes for missing values."""
    if not hasattr(fed, "toarray"):
        return fed
    dense = np.asarray(fed.toarray(), np.float64)
    return np.where(dense == 0, np.nan, dense) if gaps else dense


def _native_tree(tree: Any) -> Tree:
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))
    return Tree(
        feature=tree.feature.astype(np.int64),
        threshold=tree.threshold,
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        missing_left=missing.astype(bool),
        native=tree,
    )


def _histogram_tree(nodes: Any) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        missing_left=nodes["missing_go_to_left"].astype(bool),
    )
