"""Random pipelines for the fuzz: data with edges, preprocessing, an estimator; each made from one seed."""

from typing import Any

import numpy as np
import pandas as pd
from fuzz_estimators import classifier, regressor, unsupervised
from fuzz_steps import numeric_steps, selector, text_steps, vectorizer

Rng = np.random.Generator
_WORDS = [
    "der",
    "die",
    "das",
    "Müller",
    "café",
    "naïve",
    "price",
    "42",
    "a",
    "I",
    "groß",
    "ÉTÉ",
    "don't",
    "e-mail",
    "x_y",
    "你好",
    "good",
    "bad",
    "very",
    "not",
]
ROWS = 200


def pipeline(seed: int) -> tuple[Any, Any]:
    """A fitted model, and fresh rows of its kind."""
    rng = np.random.default_rng(seed)
    kind = rng.random()
    if kind < 0.07:
        return _of_texts(rng)
    if kind < 0.13:
        return _unsupervised(rng)
    frame, target, regression = table(rng)
    last = (regressor if regression else classifier)(rng)
    if type(last).__name__ == "MultiOutputRegressor":
        target = np.column_stack([target, np.square(target)])
    if rng.random() < 0.4:
        return _of_numbers(frame, target, last, rng, regression=regression)
    return _of_columns(frame, target, last, rng, regression=regression)


def table(rng: Rng) -> tuple[pd.DataFrame, Any, bool]:
    """A data set as a frame with edges, its target, and whether that is a number."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine, make_classification

    load = [load_iris, load_wine, load_breast_cancer, load_diabetes, None][rng.integers(5)]
    if load is None:
        values, target = make_classification(
            180, 6, n_informative=4, n_classes=int(rng.integers(2, 5)), random_state=int(rng.integers(1000))
        )
        frame, names = pd.DataFrame(values).rename(columns=lambda place: f"f{place}"), list("abcd")
    else:
        bunch = load(as_frame=True)
        frame, target, names = bunch.data, np.asarray(bunch.target), getattr(bunch, "target_names", None)
    frame = frame.iloc[:, : int(rng.integers(3, 9))].copy()
    regression = load is load_diabetes
    frame = frame * 1000 if regression else frame
    if regression and rng.random() < 0.2:
        target, regression = np.asarray(target > 140), False
    rows = rng.permutation(len(frame))[:240]
    frame, target = frame.iloc[rows].reset_index(drop=True), target[rows]
    if not regression:
        target = _labels(target, names, rng)
    return _edged(frame, rng), target, regression


def _labels(target: Any, names: Any, rng: Rng) -> Any:
    """The classes as texts, booleans or whole numbers; sometimes one of them in a single row."""
    kind = rng.random()
    if kind < 0.04 and target.dtype.kind == "i":
        target = target.copy()
        target[0] = 7
    elif kind < 0.3 and names is not None and target.dtype.kind == "i":
        return np.array(names)[target]
    elif kind < 0.4:
        return target > 0
    elif kind < 0.5 and target.dtype.kind == "i":
        return target * 10 - 5
    return target


def _edged(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Some columns huge, tiny, constant, rounded, doubled, or with zeros of both signs."""
    made = {}
    for name in frame.columns:
        values = frame[name].to_numpy(np.float64, copy=True)
        kind = str(rng.choice(["plain"] * 9 + ["timestamp", "huge", "tiny", "constant", "rounded", "rounded", "zeros"]))
        match kind:
            case "timestamp":
                values = np.round(1.7e9 + 1e6 * (values - values.mean()) / (values.std() or 1))
            case "huge":
                values = values * 1e9
            case "tiny":
                values = values * 1e-9
            case "constant":
                values = np.full_like(values, 3.0)
            case "rounded":
                values = np.round(values, 0)
            case "zeros":
                values = np.where(rng.random(len(values)) < 0.5, values, np.where(values > values.mean(), 0.0, -0.0))
        made[str(name)] = values
    edged = pd.DataFrame(made)
    if rng.random() < 0.15:  # rows twice: ties
        edged.iloc[len(edged) // 2 :] = edged.iloc[: len(edged) - len(edged) // 2].to_numpy()
    return edged


def _of_numbers(frame: pd.DataFrame, target: Any, last: Any, rng: Rng, *, regression: bool) -> tuple[Any, Any]:
    from sklearn.pipeline import make_pipeline

    fresh: Any = shaken(frame, rng)
    steps = numeric_steps(rng, gaps=False)
    if rng.random() < 0.15:
        steps.append(selector(rng, regression=regression))
    model = make_pipeline(*steps, last)
    if rng.random() < 0.4:
        frame, fresh = frame.to_numpy(), fresh.to_numpy()
    return model.fit(frame, target), fresh


def _of_columns(frame: pd.DataFrame, target: Any, last: Any, rng: Rng, *, regression: bool) -> tuple[Any, Any]:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline, make_pipeline

    frame, kinds = mixed(frame, rng)
    parts: list[Any] = []
    for kind, columns in kinds.items():
        if kind == "prose":
            parts += [(f"prose {name}", vectorizer(rng), name) for name in columns]
        elif columns:
            gaps = "gappy" in kind
            steps = (
                text_steps(rng, gaps=gaps) if "text" in kind else numeric_steps(rng, gaps=gaps, flags=kind == "bool")
            )
            parts.append((kind, make_pipeline(*steps) if steps else "passthrough", columns))
    remainder = "passthrough" if rng.random() < 0.2 else "drop"
    steps = [("columns", ColumnTransformer(parts, remainder=remainder, sparse_threshold=0))]
    if rng.random() < 0.2:
        steps.append(("select", selector(rng, regression=regression)))
    model = Pipeline([*steps, ("model", last)])
    return model.fit(frame, target), shaken(frame, rng)


def mixed(frame: pd.DataFrame, rng: Rng) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Some columns made text, whole numbers, booleans or gappy; the names of the columns by kind."""
    kinds: dict[str, list[str]] = {
        name: [] for name in ("number", "text", "int", "bool", "gappy", "gappy text", "category text", "prose")
    }
    weights = np.array([4, 2, 1, 1, 2, 1, 0.5, 0.3])
    made: dict[str, Any] = {}
    for name in frame.columns:
        kind = str(rng.choice(list(kinds), p=weights / weights.sum()))
        values = frame[name].to_numpy(np.float64)
        bins = np.searchsorted(np.quantile(values, [0.3, 0.5, 0.9]), values)
        words = np.array(["Oslo", "NA", "01234", "Zürich"], object)[bins]
        holes = rng.random(len(values)) < (1.0 if rng.random() < 0.03 else 0.15)
        match kind:
            case "text":
                made[name] = words
            case "category text":
                made[name] = pd.Categorical(words)
            case "gappy text":
                made[name] = np.where(holes, np.nan, words)
            case "prose":
                made[name] = _texts(len(values), rng)
            case "int":
                made[name] = np.round(values).astype(np.int64)
            case "bool":
                made[name] = values > np.median(values)
            case "gappy":
                made[name] = np.where(holes, np.nan, values)
            case _:
                made[name] = values
        kinds[kind].append(str(name))
    return pd.DataFrame(made), kinds


def shaken(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Fresh rows: numbers moved by a little, as they were, or half-way between two; the rest in another order."""
    fresh = {}
    for name in frame.columns:
        column = frame[name].iloc[rng.integers(0, len(frame), ROWS)].reset_index(drop=True)
        if column.dtype.kind == "f":
            values = column.to_numpy()
            moved = values + rng.standard_normal(ROWS) * np.nan_to_num(np.nanstd(values)) * 0.3
            known = np.unique(values[np.isfinite(values)])
            halves = rng.choice((known[1:] + known[:-1]) / 2, ROWS) if len(known) > 1 else values
            how = rng.random(ROWS)
            fresh[name] = np.where(np.isnan(values) | (how < 0.4), values, np.where(how < 0.9, moved, halves))
        else:
            fresh[name] = column
    return pd.DataFrame(fresh)


def _texts(count: int, rng: Rng) -> Any:
    return np.array([" ".join(rng.choice(_WORDS, int(rng.integers(0, 9)))) for _ in range(count)], object)


def _of_texts(rng: Rng) -> tuple[Any, Any]:
    from sklearn.pipeline import make_pipeline

    texts = _texts(160, rng)
    target = np.array([("good" in text) + 2 * ("not" in text) for text in texts])
    return make_pipeline(vectorizer(rng), classifier(rng)).fit(texts, target), _texts(ROWS, rng)


def _unsupervised(rng: Rng) -> tuple[Any, Any]:
    from sklearn.pipeline import make_pipeline

    frame, _, _ = table(rng)
    return make_pipeline(*numeric_steps(rng, gaps=False), unsupervised(rng)).fit(frame), shaken(frame, rng)
