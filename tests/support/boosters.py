"""Small real boosters over objectives, missing values, categories and hyper-parameters: one for every number."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

Array = np.ndarray
_REGRESSION = load_diabetes(return_X_y=True)
_TWO = load_breast_cancer(return_X_y=True)
_SEVERAL = (load_iris(return_X_y=True), load_wine(return_X_y=True))


@dataclass(frozen=True)
class Booster:
    """One trained booster, as its library would be used.

    Attributes:
        predict: The library's own answers, by output name.
        rows: Rows like those it was trained on.
    """

    description: str
    save: Callable[[Path], Path]
    predict: Callable[[Array], dict[str, Array]]
    rows: Array

    def fresh(self, count: int, rng: np.random.Generator) -> Array:
        """Rows that nobody has seen: others' values mixed by column, moved a little, some missing, some as they are."""
        rows = rng.permuted(self.rows[rng.integers(0, len(self.rows), count)], axis=0)
        moved = rows * (1 + rng.normal(0, 0.05, rows.shape)) * (rng.random((count, 1)) < 0.6) + rows * 0
        rows = np.where(rng.random((count, 1)) < 0.6, np.where(moved == 0, rows, moved), rows)
        return np.where(rng.random(rows.shape) < 0.03, 0.0, rows)


def trained(seed: int) -> Booster:
    """The booster of this number."""
    rng = np.random.default_rng(seed)
    return (lightgbm_booster, xgboost_booster, lightgbm_booster, xgboost_booster, catboost_booster)[seed % 5](rng)


def lightgbm_booster(rng: np.random.Generator) -> Booster:
    """A LightGBM text file."""
    import lightgbm

    task = str(rng.choice(["two", "several", "number", "positive", "share", "rank"]))
    objective = str(rng.choice({
        "two": ["binary", "cross_entropy", "cross_entropy_lambda"],
        "several": ["multiclass", "multiclassova"],
        "number": ["regression", "regression_l1", "huber", "fair", "quantile", "mape"],
        "positive": ["poisson", "gamma", "tweedie"],
        "share": ["cross_entropy"],
        "rank": ["lambdarank", "rank_xendcg"],
    }[task]))  # fmt: skip
    rows, target = _data(task, rng)
    categorical = _with_categories(rows, rng)
    parameters: dict[str, Any] = {
        "objective": objective, "num_leaves": int(rng.choice([2, 7, 31])), "min_data_in_leaf": int(rng.choice([3, 20])),
        "learning_rate": float(rng.choice([0.05, 0.3])), "zero_as_missing": bool(rng.random() < 0.25),
        "use_missing": bool(rng.random() < 0.85), "verbose": -1, "num_threads": 1, "seed": 1,
        "max_cat_to_onehot": int(rng.choice([1, 4])), "sigmoid": float(rng.choice([1.0, 0.7])),
        "boosting": str(rng.choice(["gbdt", "gbdt", "dart", "rf", "goss"])), "min_data_per_group": 5,
    }  # fmt: skip
    if parameters["boosting"] == "rf":
        parameters |= {"bagging_freq": 1, "bagging_fraction": 0.7}
    if objective in {"multiclass", "multiclassova"}:
        parameters["num_class"] = int(target.max()) + 1
    if objective == "regression" and rng.random() < 0.3:
        parameters["reg_sqrt"] = True
    groups = {"group": [10] * (len(rows) // 10)} if task == "rank" else {}
    data = lightgbm.Dataset(rows, target, categorical_feature=categorical or "auto", params={"verbose": -1}, **groups)
    rounds = int(rng.choice([1, 10, 60]))
    booster = lightgbm.train(parameters, data, num_boost_round=rounds)
    if rng.random() < 0.2 and rounds > 1:
        booster.best_iteration = rounds // 2

    def save(folder: Path) -> Path:
        path = folder / "model.txt"
        booster.save_model(path)
        return path

    def predict(given: Array) -> dict[str, Array]:
        return _answers(np.asarray(booster.predict(given)), objective.startswith(("binary", "multiclass")))

    return Booster(f"lightgbm {parameters} rounds={rounds} categories={categorical}", save, predict, rows)


def xgboost_booster(rng: np.random.Generator) -> Booster:
    """An XGBoost JSON or UBJSON file."""
    import xgboost

    task = str(rng.choice(["two", "several", "number", "positive", "rank"]))
    objective = str(rng.choice({
        "two": ["binary:logistic", "binary:hinge", "reg:logistic", "binary:logitraw"],
        "several": ["multi:softprob", "multi:softmax"],
        "number": ["reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:squaredlogerror"],
        "positive": ["count:poisson", "reg:gamma", "reg:tweedie", "survival:cox"],
        "rank": ["rank:ndcg", "rank:pairwise", "rank:map"],
    }[task]))  # fmt: skip
    rows, target = _data(task, rng)
    categorical = _with_categories(rows, rng)
    if objective == "rank:map":
        target = (target > 1).astype(float)
    parameters: dict[str, Any] = {
        "objective": objective, "max_depth": int(rng.choice([1, 3, 6])), "eta": float(rng.choice([0.1, 0.3, 1.0])),
        "booster": str(rng.choice(["gbtree", "gbtree", "dart"])), "rate_drop": 0.2, "nthread": 1, "seed": 1,
        "num_parallel_tree": int(rng.choice([1, 1, 4])), "subsample": 0.8, "max_cat_to_onehot": int(rng.choice([1, 4])),
        "tree_method": str(rng.choice(["hist", "approx"])),
    }  # fmt: skip
    if parameters["booster"] == "gbtree":
        del parameters["rate_drop"]
    if task == "several":
        parameters["num_class"] = int(target.max()) + 1
    if rng.random() < 0.3 and task != "number":
        parameters["base_score"] = 0.3
    types = ["c" if column in categorical else "q" for column in range(rows.shape[1])]
    data = xgboost.DMatrix(rows, target, feature_types=types, enable_categorical=True)
    if task == "rank":
        data.set_group([10] * (len(rows) // 10))
    rounds = int(rng.choice([1, 10, 60]))
    booster = xgboost.train(parameters, data, num_boost_round=rounds)
    suffix = str(rng.choice(["json", "ubj"]))

    def save(folder: Path) -> Path:
        path = folder / f"model.{suffix}"
        booster.save_model(path)
        return path

    def predict(given: Array) -> dict[str, Array]:
        matrix = xgboost.DMatrix(given, feature_types=types, enable_categorical=True)
        values = booster.predict(matrix)
        if objective == "multi:softmax":
            return {"label": values.astype(np.int64)}
        return _answers(values, objective in {"binary:logistic", "binary:hinge", "multi:softprob"})

    return Booster(f"xgboost {parameters} rounds={rounds} categories={categorical}", save, predict, rows)


def catboost_booster(rng: np.random.Generator) -> Booster:
    """A CatBoost binary file."""
    import catboost

    task = str(rng.choice(["two", "several", "number", "positive"]))
    loss = str(rng.choice({
        "two": ["Logloss", "CrossEntropy"],
        "several": ["MultiClass", "MultiClassOneVsAll"],
        "number": ["RMSE", "MAE", "Quantile:alpha=0.7"],
        "positive": ["Poisson", "Tweedie:variance_power=1.5"],
    }[task]))  # fmt: skip
    rows, target = _data(task, rng)
    texts = task == "several" and rng.random() < 0.5
    parameters: dict[str, Any] = {
        "loss_function": loss, "depth": int(rng.choice([1, 3, 6])), "iterations": int(rng.choice([1, 10, 40])),
        "grow_policy": str(rng.choice(["SymmetricTree", "Depthwise", "Lossguide"])),
        "nan_mode": str(rng.choice(["Min", "Max"])),
    }  # fmt: skip
    model = catboost.CatBoost({**parameters, "verbose": 0, "allow_writing_files": False, "thread_count": 1})
    model.fit(rows, np.array(["a", "b", "c"])[target.astype(int)] if texts else target)

    def save(folder: Path) -> Path:
        path = folder / "model.cbm"
        model.save_model(str(path))
        return path

    def predict(given: Array) -> dict[str, Array]:
        if task in {"two", "several"}:
            shares = model.predict(given, prediction_type="Probability")
            labels = np.ravel(model.predict(given, prediction_type="Class"))
            return {"label": labels if texts else labels.astype(float), "probabilities": shares}
        kind = "Exponent" if task == "positive" else "RawFormulaVal"
        return {"prediction": model.predict(given, prediction_type=kind)}

    return Booster(f"catboost {parameters} texts={texts}", save, predict, rows)


def _answers(values: Array, classifies: bool) -> dict[str, Array]:
    if not classifies:
        return {"prediction": values}
    if values.ndim == 2:
        return {"label": values.argmax(axis=1), "probabilities": values}
    return {"label": (values > 0.5).astype(np.int64), "probabilities": np.stack([1 - values, values], axis=1)}


def _data(task: str, rng: np.random.Generator) -> tuple[Array, Array]:
    """Rows of float32 or float64 values, some missing, some zeros, and a target for the task."""
    rows, target = _SEVERAL[rng.integers(2)] if task in {"several", "rank"} else _TWO
    if task in {"number", "positive"}:
        rows, target = _REGRESSION
    keep = rng.permutation(len(rows))[: len(rows) // 10 * 10]
    rows, target = rows[keep].copy(), target[keep].astype(float)
    if task == "share":
        target = target * 0.9 + 0.05
    if rng.random() < 0.3:
        target = target * 100 if task == "number" else target
    rows[rng.random(rows.shape) < rng.choice([0.0, 0.1])] = np.nan
    rows[rng.random(rows.shape) < rng.choice([0.0, 0.2])] = 0.0
    return (rows.astype(np.float32).astype(float) if rng.random() < 0.5 else rows), target


def _with_categories(rows: Array, rng: np.random.Generator) -> list[int]:
    """Columns that were given numbers of categories."""
    if rng.random() < 0.7:
        return []
    columns = [0, 1]
    for column in columns:
        kinds = int(rng.choice([2, 5, 40]))
        rows[:, column] = np.floor(kinds * rng.random(len(rows)) ** 1.5) + (rows[:, 2] > np.nanmedian(rows[:, 2]))
    rows[rng.random(len(rows)) < 0.05, 0] = np.nan
    return columns
