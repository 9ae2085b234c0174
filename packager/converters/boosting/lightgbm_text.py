"""LightGBM's text format: the one that ``save_model`` and ``model_to_string`` write."""

import json
import re
from collections.abc import Iterator, Mapping

import numpy as np

from packager.converters.boosting.forest import ZERO, Forest, Tree, TreeBuilder, below, category_bounds
from packager.converters.boosting.model import BoostedModel, Link, unconvertible
from packager.core.errors import ModelInvalid
from runtime.contract.manifest import Label

# Bits of decision_type. Source: kCategoricalMask, kDefaultLeftMask and GetMissingType in LightGBM's tree.h.
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_NONE, _MISSING_ZERO, _MISSING_NAN = 0, 1, 2
_GENERATED_NAME = re.compile(r"Column_\d+")
_LINKS = {
    "regression": Link.IDENTITY,
    "regression_l1": Link.IDENTITY,
    "huber": Link.IDENTITY,
    "fair": Link.IDENTITY,
    "quantile": Link.IDENTITY,
    "mape": Link.IDENTITY,
    "lambdarank": Link.IDENTITY,
    "rank_xendcg": Link.IDENTITY,
    "poisson": Link.EXP,
    "gamma": Link.EXP,
    "tweedie": Link.EXP,
    "binary": Link.SIGMOID,
    "multiclassova": Link.SIGMOID,
    "cross_entropy": Link.SIGMOID,
    "multiclass": Link.SOFTMAX,
    "cross_entropy_lambda": Link.LOG1P_EXP,
}
_CLASSIFIERS = {"binary", "multiclass", "multiclassova"}
Fields = Mapping[str, str]


def read_lightgbm(text: str, *, classes: tuple[Label, ...] | None = None) -> BoostedModel:
    """The model in LightGBM's own text.

    Args:
        classes: Of a scikit-learn classifier; without them, a classifying objective has 0, 1, ...

    Raises:
        ModelInvalid: The text is cut off or of another form.
        ConverterMissing: A part of it has no faithful form; names it.
    """
    try:
        return _model(text, classes)
    except (KeyError, ValueError, IndexError) as error:
        raise ModelInvalid(
            f"the LightGBM model is damaged or cut off: {type(error).__name__}: {error}",
            hint="save it again with booster.save_model('model.txt')",
        ) from error


def _model(text: str, classes: tuple[Label, ...] | None) -> BoostedModel:
    head, *blocks = re.split(r"^Tree=\d+$", text.partition("\nend of trees")[0], flags=re.MULTILINE)
    if "\nend of trees" not in text:
        raise ValueError("it has no 'end of trees'")
    fields = _fields(head)
    _refuse_pandas_categories(text)
    scores = int(fields["num_tree_per_iteration"])
    width = int(fields["max_feature_idx"]) + 1
    trees = [_fields(block) for block in blocks]
    missing = _MissingTypes(trees, width)
    weight = scores / max(1, len(trees)) if "average_output" in head.split("\n") else 1.0
    name, parameters = _objective(fields)
    if classes is None and name in _CLASSIFIERS:
        classes = tuple(range(max(2, scores)))
    return BoostedModel(
        forest=Forest(
            trees=tuple(_tree(tree, index % scores, weight) for index, tree in enumerate(trees)),
            base=np.zeros(scores),
            width=width,
            zero_missing=missing.zero,
            categorical=missing.categorical,
        ),
        link=Link.SIGNED_SQUARE if "sqrt" in parameters else _LINKS[name],
        classes=classes,
        columns=_columns(fields, width),
        double=True,
        single_precision_input=False,
        slope=float(parameters.get("sigmoid", "1")) if name in _CLASSIFIERS else 1.0,
    )


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in block.splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


def _objective(fields: Fields) -> tuple[str, dict[str, str]]:
    """The objective's name and its parameters; a custom one gives raw scores."""
    name, *rest = fields.get("objective", "regression").split() or ["regression"]
    if name == "custom":
        name = "regression"
    if name not in _LINKS:
        raise unconvertible(
            f"its objective {name!r} is not known to dray",
            hint=f"known are {', '.join(sorted(_LINKS))}",
            objective=name,
        )
    return name, {key: value for key, _, value in (item.partition(":") for item in rest)}


def _columns(fields: Fields, width: int) -> tuple[str, ...] | None:
    names = tuple(fields.get("feature_names", "").split())
    generated = all(_GENERATED_NAME.fullmatch(name) for name in names)
    return None if generated or len(names) != width else names


def _refuse_pandas_categories(text: str) -> None:
    found = re.search(r"^pandas_categorical:(.+)$", text, flags=re.MULTILINE)
    if found and json.loads(found[1]):
        raise unconvertible(
            "it was trained on pandas columns of type category, whose values LightGBM numbers by itself",
            hint="encode the categories as numbers before the model; train with categorical_feature=[their columns]",
        )


class _MissingTypes:
    """By column, what its decisions take for missing."""

    def __init__(self, trees: list[dict[str, str]], width: int) -> None:
        self.zero = np.zeros(width, bool)
        self.categorical = np.zeros(width, bool)
        other = np.zeros(width, bool)
        for tree in trees:
            for feature, kind in _decisions(tree):
                if kind & _CATEGORICAL:
                    self.categorical[feature] = True
                elif (kind >> 2) & 3 == _MISSING_ZERO:
                    self.zero[feature] = True
                else:
                    other[feature] = True
        if (mixed := np.flatnonzero(self.zero & (other | self.categorical))).size:
            raise unconvertible(
                f"some trees take zeros of column {int(mixed[0])} for missing and others do not",
                hint="train all trees with the same zero_as_missing",
            )


def _decisions(tree: Fields) -> Iterator[tuple[int, int]]:
    if int(tree["num_leaves"]) > 1:
        yield from zip(_ints(tree["split_feature"]), _ints(tree["decision_type"]), strict=True)


def _tree(fields: Fields, output: int, weight: float) -> Tree:
    if fields.get("is_linear", "0") != "0":
        raise unconvertible("its leaves hold linear models (linear_tree)", hint="train with linear_tree=False")
    leaves = int(fields["num_leaves"])
    values = [float(value) * weight for value in fields["leaf_value"].split()]
    builder = TreeBuilder(outputs=(output,))
    builder.reserve(2 * leaves - 1)
    for leaf in range(leaves):
        builder.set_leaf(leaves - 1 + leaf, (values[leaf],))
    if leaves > 1:
        _set_decisions(builder, fields, leaves)
    return builder.tree()


def _set_decisions(builder: TreeBuilder, fields: Fields, leaves: int) -> None:
    thresholds = [float(value) for value in fields["threshold"].split()]
    left, right = ([_node(child, leaves) for child in _ints(fields[side])] for side in ("left_child", "right_child"))
    for node, (feature, kind) in enumerate(_decisions(fields)):
        threshold = _past_zero(thresholds[node])
        if kind & _CATEGORICAL:
            bounds = category_bounds(_categories(fields, int(thresholds[node])), first_low=-1.0)
            builder.set_membership(node, feature, bounds, inside=left[node], outside=right[node], missing_inside=False)
            continue
        # Without a way of their own, missing values are zeros.
        missing_type = (kind >> 2) & 3
        goes_left = threshold >= 0.0 if missing_type == _MISSING_NONE else bool(kind & _DEFAULT_LEFT)
        builder.set_split(node, feature, threshold, left=left[node], right=right[node], missing_left=goes_left)


def _past_zero(threshold: float) -> float:
    """The threshold, moved out of the numbers that LightGBM takes for 0 before it compares."""
    if -ZERO <= threshold < 0.0:
        return below(-ZERO)
    return ZERO if 0.0 <= threshold < ZERO else threshold


def _categories(fields: Fields, index: int) -> list[int]:
    """The set of categories that go left, from its bits."""
    bounds, words = _ints(fields["cat_boundaries"]), _ints(fields["cat_threshold"])
    chosen = words[bounds[index] : bounds[index + 1]]
    return [32 * place + bit for place, word in enumerate(chosen) for bit in range(32) if word >> bit & 1]


def _node(child: int, leaves: int) -> int:
    """Decisions come first, then the leaves, which the text counts as -1, -2, ..."""
    return child if child >= 0 else leaves - 1 + ~child


def _ints(text: str) -> list[int]:
    return [int(value) for value in text.split()]
