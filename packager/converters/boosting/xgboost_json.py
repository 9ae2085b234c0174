"""XGBoost's JSON format: the one that ``save_model`` and ``save_raw`` write."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from packager.converters.boosting.forest import Forest, Tree, TreeBuilder, below_single, category_bounds
from packager.converters.boosting.model import BoostedModel, Link, unconvertible
from packager.core.errors import ModelInvalid
from runtime.contract.manifest import Label

_LINKS = {
    "reg:squarederror": Link.IDENTITY,
    "reg:linear": Link.IDENTITY,
    "reg:absoluteerror": Link.IDENTITY,
    "reg:pseudohubererror": Link.IDENTITY,
    "reg:squaredlogerror": Link.IDENTITY,
    "reg:quantileerror": Link.IDENTITY,
    "rank:ndcg": Link.IDENTITY,
    "rank:map": Link.IDENTITY,
    "rank:pairwise": Link.IDENTITY,
    "binary:logitraw": Link.IDENTITY,
    "binary:hinge": Link.STEP,
    "binary:logistic": Link.SIGMOID,
    "reg:logistic": Link.SIGMOID,
    "count:poisson": Link.EXP,
    "reg:gamma": Link.EXP,
    "reg:tweedie": Link.EXP,
    "survival:cox": Link.EXP,
    "survival:aft": Link.EXP,
    "multi:softmax": Link.SOFTMAX,
    "multi:softprob": Link.SOFTMAX,
}
_CLASSIFIERS = {"binary:logistic", "binary:hinge", "multi:softmax", "multi:softprob"}
# Where a model starts whose objective makes raw scores of base_score first. Source: ProbToMargin in XGBoost.
_LOGIT = {"binary:logistic", "reg:logistic"}
_TRAINED_ON_CATEGORIES = "it was trained on pandas columns of type category, whose values XGBoost numbers by itself"
Document = Mapping[str, Any]


def read_xgboost(
    text: bytes,
    *,
    rounds: int | None = None,
    classes: tuple[Label, ...] | None = None,
    regresses: bool = False,
    missing_value: float | None = None,
) -> BoostedModel:
    """The model in XGBoost's own JSON.

    Args:
        rounds: Boosting rounds that take part; all where None.
        classes: Of a scikit-learn classifier; without them, a classifying objective has 0, 1, ...
        regresses: True for one whose answers are no classes, whatever the objective.
        missing_value: A number that counts as missing, besides NaN.

    Raises:
        ModelInvalid: The document is cut off or of another form.
        ConverterMissing: A part of it has no faithful form; names it.
    """
    try:
        learner = json.loads(text)["learner"]
        model = _model(learner, rounds, missing_value)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise ModelInvalid(
            f"the XGBoost model is damaged or of an unknown version: {type(error).__name__}: {error}",
            hint="save it again with booster.save_model('model.json')",
        ) from error
    objective = learner["objective"]["name"]
    if objective in _CLASSIFIERS and not objective.startswith("multi:") and len(model.base) > 1 and not regresses:
        raise unconvertible(
            f"it gives {len(model.base)} labels a row (multi-label)",
            hint="train one classifier a label",
            objective=objective,
        )
    if classes is None and objective in _CLASSIFIERS and not regresses:
        classes = tuple(range(max(2, len(model.base))))
    return BoostedModel(
        forest=model,
        link=_LINKS[objective],
        classes=classes,
        columns=_columns(learner, model.width),
        double=False,
        single_precision_input=True,
    )


def _model(learner: Document, rounds: int | None, missing_value: float | None) -> Forest:
    objective = learner["objective"]["name"]
    if objective not in _LINKS:
        raise unconvertible(
            f"its objective {objective!r} is not known to dray",
            hint=f"known are {', '.join(sorted(_LINKS))}",
            objective=objective,
        )
    parameters = learner["learner_model_param"]
    scores = max(int(parameters["num_class"]), int(parameters.get("num_target", "1")), 1)
    width = int(parameters["num_feature"])
    booster, weights = _trees_of(learner["gradient_booster"])
    if booster.get("cats", {}).get("enc"):
        raise unconvertible(
            _TRAINED_ON_CATEGORIES,
            hint="encode the categories as numbers before the model, and train with feature_types=['c', ...]",
        )
    count = _trees_in(booster, rounds, scores)
    documents = booster["trees"][:count]
    return Forest(
        trees=tuple(
            _tree(tree, output, scores, weight)
            for tree, output, weight in zip(documents, booster["tree_info"], weights, strict=False)
        ),
        base=_base(parameters["base_score"], objective, scores),
        width=width,
        zero_missing=np.zeros(width, bool),
        categorical=_categorical(documents, width),
        missing_value=missing_value,
    )


def _trees_of(booster: Document) -> tuple[Document, Sequence[float]]:
    """The trees, and what each counts for."""
    match booster["name"]:
        case "gbtree":
            return booster["model"], [1.0] * len(booster["model"]["trees"])
        case "dart":
            return booster["gbtree"]["model"], booster["weight_drop"]
    raise unconvertible(
        f"its booster is {booster['name']!r}, which has no trees",
        hint="train with booster='gbtree', or a linear model of scikit-learn",
        booster=booster["name"],
    )


def _trees_in(booster: Document, rounds: int | None, scores: int) -> int:
    """Trees of the first rounds."""
    total = len(booster["trees"])
    if rounds is None:
        return total
    if starts := booster.get("iteration_indptr"):
        return int(starts[min(rounds, len(starts) - 1)])
    a_round = scores * max(1, int(booster["gbtree_model_param"].get("num_parallel_tree", "1")))
    return min(total, rounds * a_round)


def _base(text: str, objective: str, scores: int) -> Any:
    """Raw scores before the first tree; base_score is one number, or since XGBoost 3.1 one for each score."""
    given = np.array([float(value) for value in text.strip("[]").split(",")], np.float32)
    if len(given) not in (1, scores):
        raise ValueError(f"base_score has {len(given)} values for {scores} scores")
    wide = np.broadcast_to(given, (scores,)).astype(np.float64)
    if objective in _LOGIT:
        return -np.log(1.0 / wide - 1.0)
    return np.log(wide) if _LINKS[objective] is Link.EXP else wide


def _categorical(trees: Sequence[Document], width: int) -> Any:
    found = np.zeros(width, bool)
    for tree in trees:
        for node in tree.get("categories_nodes", ()):
            found[tree["split_indices"][node]] = True
    return found


def _tree(document: Document, output: int, scores: int, weight: float) -> Tree:
    left, right = document["left_children"], document["right_children"]
    size = int(document["tree_param"].get("size_leaf_vector", "1"))
    vector = size > 1
    builder = TreeBuilder(outputs=tuple(range(scores)) if vector else (output,))
    builder.reserve(len(left))
    sets = _category_sets(document)
    conditions = document["split_conditions"]
    for node in _reached(left, right):
        if left[node] < 0:
            # A leaf of several values has its place among them where others have their right child.
            start = right[node] * size
            given = document["leaf_weights"][start : start + size] if vector else [conditions[node]]
            # Written in decimals, a leaf's value is a float32.
            builder.set_leaf(node, [float(np.float32(value)) * weight for value in given])
            continue
        goes_left = bool(document["default_left"][node])
        feature = document["split_indices"][node]
        if node in sets:
            # Categories of the set go right; a number under 0 is no category.
            bounds = category_bounds(sets[node], first_low=below_single(0.0))
            builder.set_membership(
                node, feature, bounds, inside=right[node], outside=left[node], missing_inside=not goes_left
            )
        else:
            threshold = below_single(conditions[node])
            builder.set_split(node, feature, threshold, left=left[node], right=right[node], missing_left=goes_left)
    return builder.tree()


def _reached(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Nodes that the root leads to; pruning leaves others behind."""
    found, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if left[node] >= 0:
            waiting += [left[node], right[node]]
    return found


def _category_sets(document: Document) -> dict[int, list[int]]:
    starts, sizes, flat = (document.get(f"categories{end}", ()) for end in ("_segments", "_sizes", ""))
    nodes = document.get("categories_nodes", ())
    return {node: list(flat[start : start + size]) for node, start, size in zip(nodes, starts, sizes, strict=True)}


def _columns(learner: Document, width: int) -> tuple[str, ...] | None:
    names = tuple(learner.get("feature_names", ()))
    generated = all(re.fullmatch(r"f\d+", name) for name in names)
    return None if generated or len(names) != width else names


def attributes_of(text: bytes) -> Mapping[str, str]:
    """What was written beside the model: ``best_iteration``, and ``scikit_learn`` by its wrappers."""
    attributes: Mapping[str, str] = json.loads(text)["learner"].get("attributes", {})
    return attributes
