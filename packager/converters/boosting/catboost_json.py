"""CatBoost's JSON format: the one that ``save_model(format="json")`` writes for models of numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from packager.converters.boosting.forest import Forest, Tree, TreeBuilder
from packager.converters.boosting.model import BoostedModel, Link, unconvertible
from packager.core.errors import ModelInvalid
from runtime.contract.manifest import Label

_IDENTITY = (
    "RMSE", "MAE", "Quantile", "MultiQuantile", "LogLinQuantile", "MAPE", "Lq", "Huber", "Expectile", "LogCosh",
    "MultiRMSE", "MultiRMSEWithMissingValues", "PairLogit", "PairLogitPairwise", "YetiRank", "YetiRankPairwise",
    "QueryRMSE", "QuerySoftMax", "StochasticFilter", "StochasticRank", "LambdaMart", "Focal",
)  # fmt: skip
_LINKS = {
    **dict.fromkeys(_IDENTITY, Link.IDENTITY),
    "Poisson": Link.EXP,
    "Tweedie": Link.EXP,
    "Logloss": Link.SIGMOID,
    "CrossEntropy": Link.SIGMOID,
    "MultiClassOneVsAll": Link.SIGMOID,
    "MultiClass": Link.SOFTMAX,
}
_CLASSIFIERS = {"Logloss", "CrossEntropy", "MultiClassOneVsAll", "MultiClass"}
Document = Mapping[str, Any]


def document_of(booster: Any) -> bytes:
    """The model in JSON, which CatBoost writes to files only.

    Raises:
        ConverterMissing: It takes categories, texts or embeddings.
    """
    for kind in ("cat", "text", "embedding"):
        if columns := list(getattr(booster, f"get_{kind}_feature_indices")()):
            names = {"cat": "categories", "text": "texts", "embedding": "embeddings"}
            raise unconvertible(
                f"column {columns[0]} holds {names[kind]}, which CatBoost turns into numbers while it predicts",
                hint="encode such columns as numbers before the model, and train without cat_features",
                columns=columns,
            )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        booster.save_model(str(path), format="json")
        return path.read_bytes()


def read_catboost(text: bytes) -> BoostedModel:
    """The model in CatBoost's own JSON.

    Raises:
        ModelInvalid: The document is cut off or of another form.
        ConverterMissing: A part of it has no faithful form; names it.
    """
    try:
        return _model(json.loads(text))
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise ModelInvalid(
            f"the CatBoost model is damaged or of an unknown version: {type(error).__name__}: {error}",
            hint="save it again with model.save_model('model.cbm')",
        ) from error


def _model(document: Document) -> BoostedModel:
    info = document["model_info"]
    loss = info["params"]["loss_function"]["type"]
    if loss not in _LINKS:
        raise unconvertible(f"its loss {loss!r} is not known to dray", hint=f"known are {', '.join(sorted(_LINKS))}")
    features = document["features_info"]["float_features"]
    width = 1 + max(feature["flat_feature_index"] for feature in features)
    places = {feature["feature_index"]: feature["flat_feature_index"] for feature in features}
    # A value is compared with `value > border`; NaN is not greater, unless the column's treatment says so.
    greater = {feature["feature_index"]: feature["nan_value_treatment"] == "AsTrue" for feature in features}
    scale, bias = document["scale_and_bias"]
    outputs = tuple(range(len(bias)))
    reader = _TreeReader(places, greater, outputs, float(scale))
    trees = [reader.symmetric(tree) for tree in document.get("oblivious_trees", ())]
    trees += [reader.free(tree) for tree in document.get("trees", ())]
    names = {feature["flat_feature_index"]: feature["feature_id"] for feature in features}
    given = tuple(names.get(column, "") for column in range(width))
    nothing = np.zeros(width, bool)
    return BoostedModel(
        forest=Forest(tuple(trees), np.array(bias, np.float64), width, nothing, nothing.copy()),
        link=_LINKS[loss],
        classes=_classes(info, len(bias)) if loss in _CLASSIFIERS else None,
        columns=given if all(given) and not all(name.isdigit() for name in given) else None,
        double=True,
        single_precision_input=True,
    )


def _classes(info: Document, scores: int) -> tuple[Label, ...]:
    known = info.get("class_params", {})
    classes = tuple(known.get("class_names", ())) or tuple(range(max(2, scores)))
    if known.get("class_label_type") == "Float":
        classes = tuple(float(label) for label in classes)
    elif known.get("class_label_type") not in (None, "Boolean", "Integer", "String"):
        raise unconvertible(
            f"its labels are of the type {known['class_label_type']!r}",
            hint="train with strings or whole numbers as labels",
        )
    return classes


class _TreeReader:
    """Reads trees of one model."""

    def __init__(
        self, places: Mapping[int, int], greater: Mapping[int, bool], outputs: tuple[int, ...], scale: float
    ) -> None:
        self._places = places
        self._greater = greater
        self._outputs = outputs
        self._scale = scale

    def symmetric(self, document: Document) -> Tree:
        """A tree that asks the same question on a whole level; the first question is the lowest bit of a leaf."""
        splits = document["splits"] or []
        values = np.array(document["leaf_values"], np.float64).reshape(-1, len(self._outputs)) * self._scale
        if len(values) != 1 << len(splits):
            raise ValueError(f"a tree has {len(values)} leaves for {len(splits)} questions")
        builder = TreeBuilder(self._outputs)
        builder.reserve(2 * len(values) - 1)
        for depth, split in enumerate(splits):
            first = (1 << depth) - 1
            for place in range(1 << depth):
                self._split(builder, first + place, split, (1 << depth + 1) - 1 + 2 * place)
        for place in range(len(values)):
            # Here the first question decides the highest bit of a leaf's place.
            leaf = sum(((place >> bit) & 1) << (len(splits) - 1 - bit) for bit in range(len(splits)))
            builder.set_leaf(len(values) - 1 + place, values[leaf].tolist())
        return builder.tree()

    def free(self, document: Document) -> Tree:
        """A tree of any form."""
        builder = TreeBuilder(self._outputs)
        builder.reserve(1)
        waiting = [(0, document)]
        while waiting:
            node, entry = waiting.pop()
            if "split" not in entry:
                given = entry["value"] if isinstance(entry["value"], list) else [entry["value"]]
                builder.set_leaf(node, [value * self._scale for value in given])
                continue
            first = len(builder.left)
            builder.reserve(2)
            self._split(builder, node, entry["split"], first)
            waiting += [(first, entry["left"]), (first + 1, entry["right"])]
        return builder.tree()

    def _split(self, builder: TreeBuilder, node: int, split: Document, first_child: int) -> None:
        if split["split_type"] != "FloatFeature":
            raise unconvertible(
                f"it decides by a {split['split_type']}",
                hint="train on numbers alone, without one_hot_max_size or CTRs",
            )
        feature = split["float_feature_index"]
        # Written in decimals, a border is a float32.
        builder.set_split(
            node,
            self._places[feature],
            float(np.float32(split["border"])),
            left=first_child,
            right=first_child + 1,
            missing_left=not self._greater[feature],
        )
