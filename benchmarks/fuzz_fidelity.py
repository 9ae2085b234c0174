"""Random scikit-learn pipelines through packaging and ONNX Runtime: is any answer different without a word?

Run by ``make fuzz-fidelity``. Every pipeline is made from its own seed; a run is resumed from its log. Exits with 1 on
a silent difference, and names the seed: ``--only SEED`` makes that one again.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fidelity import answers_of, differences, expected_of, feeds_of, ship_in_process

from packager.core.errors import DrayError

Rng = np.random.Generator


def table(rng: Rng) -> tuple[pd.DataFrame, Any, bool]:
    """A bundled data set as a frame, its target, and whether that is a number."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

    load = [load_iris, load_wine, load_breast_cancer, load_diabetes][rng.integers(4)]
    bunch = load(as_frame=True)
    frame, target = bunch.data, bunch.target
    frame = frame.iloc[:, : int(rng.integers(3, 9))].copy()
    regression = load is load_diabetes
    if load is load_diabetes:
        frame = frame * 1000
    if not regression and rng.random() < 0.3:
        target = np.array(bunch.target_names)[target]
    if regression and rng.random() < 0.2:
        target = (np.asarray(target) > 140).astype(int)
        regression = False
    rows = rng.permutation(len(frame))[:240]
    return frame.iloc[rows].reset_index(drop=True), np.asarray(target)[rows], regression


def mixed(frame: pd.DataFrame, rng: Rng) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Some columns made text, whole numbers, booleans or gappy; the names of the columns by kind."""
    kinds: dict[str, list[str]] = {"number": [], "text": [], "int": [], "bool": [], "gappy": [], "gappy text": []}
    made = {}
    for name in frame.columns:
        kind = str(rng.choice(["number"] * 4 + ["text", "text", "int", "bool", "gappy", "gappy", "gappy text"]))
        values = frame[name].to_numpy(np.float64)
        bins = np.searchsorted(np.quantile(values, [0.3, 0.5, 0.9]), values)
        words = np.array(["Oslo", "NA", "01234", "Zürich"], object)[bins]
        holes = rng.random(len(values)) < 0.15
        match kind:
            case "text":
                made[name] = words
            case "gappy text":
                made[name] = np.where(holes, np.nan, words)
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


def numeric_steps(rng: Rng, *, gaps: bool, flags: bool = False) -> list[Any]:
    """Up to three transformers of numbers; of booleans, numpy would compute a logarithm in float16."""
    from sklearn.decomposition import PCA, TruncatedSVD
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import (
        Binarizer,
        FunctionTransformer,
        KBinsDiscretizer,
        MaxAbsScaler,
        MinMaxScaler,
        Normalizer,
        PolynomialFeatures,
        PowerTransformer,
        QuantileTransformer,
        RobustScaler,
        StandardScaler,
    )

    steps: list[Any] = []
    if gaps:
        steps.append(SimpleImputer(strategy=str(rng.choice(["mean", "median", "most_frequent", "constant"])),
                                   add_indicator=bool(rng.random() < 0.3)))  # fmt: skip
    choices = [
        lambda: StandardScaler(with_mean=bool(rng.random() < 0.8)),
        StandardScaler,
        MinMaxScaler,
        lambda: MinMaxScaler(clip=True),
        RobustScaler,
        MaxAbsScaler,
        lambda: Normalizer(norm=str(rng.choice(["l1", "l2", "max"]))),
        PowerTransformer,
        lambda: QuantileTransformer(n_quantiles=20),
        lambda: KBinsDiscretizer(4, encode=str(rng.choice(["onehot", "ordinal", "onehot-dense"])),
                                 quantile_method="averaged_inverted_cdf"),
        lambda: PolynomialFeatures(2, interaction_only=bool(rng.random() < 0.5)),
        lambda: Binarizer(threshold=float(rng.random())),
        lambda: FunctionTransformer(np.abs),
        make_log,
        lambda: PCA(2),
        lambda: TruncatedSVD(2),
        VarianceThreshold,
    ]  # fmt: skip
    weights = np.array([2, 6, 3, 1, 3, 1, 1, 2, 1, 2, 2, 1, 1, 2, 2, 1, 1], float)
    count = int(rng.choice([0, 1, 1, 1, 2, 2]))
    chosen = [choices[int(rng.choice(len(choices), p=weights / weights.sum()))] for _ in range(count)]
    return steps + [choice() for choice in chosen if not (flags and choice is make_log)]


def make_log() -> Any:
    """log1p of absolute values, as pipelines for skewed columns have it."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(np.abs), FunctionTransformer(np.log1p))


def text_steps(rng: Rng, *, gaps: bool) -> list[Any]:
    """An encoder, with an imputer before it where values are missing, or without."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

    steps: list[Any] = []
    if gaps and rng.random() < 0.6:
        constant = rng.random() < 0.5
        steps.append(SimpleImputer(strategy="constant", fill_value="none") if constant
                     else SimpleImputer(strategy="most_frequent"))  # fmt: skip
    steps.append(
        [
            lambda: OneHotEncoder(handle_unknown="ignore"),
            OneHotEncoder,
            lambda: OneHotEncoder(drop="first"),
            lambda: OneHotEncoder(drop="if_binary", sparse_output=False),
            lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=30),
            lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            OrdinalEncoder,
            lambda: OrdinalEncoder(encoded_missing_value=-2),
            lambda: TargetEncoder(random_state=0),
        ][int(rng.integers(9))]()
    )
    return steps


def estimator(rng: Rng, *, regression: bool, depth: int = 0) -> Any:
    """A classifier or regressor with random hyper-parameters."""
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    size = int(rng.integers(3, 25))
    deep = None if rng.random() < 0.3 else int(rng.integers(2, 7))
    if regression:
        choices: list[Any] = [
            linear_model.LinearRegression,
            lambda: linear_model.Ridge(alpha=float(10 ** rng.uniform(-2, 2))),
            lambda: linear_model.Lasso(alpha=float(10 ** rng.uniform(-2, 0))),
            lambda: linear_model.ElasticNet(alpha=0.1),
            linear_model.BayesianRidge,
            linear_model.HuberRegressor,
            lambda: tree.DecisionTreeRegressor(max_depth=deep),
            lambda: ensemble.RandomForestRegressor(size, max_depth=deep),
            lambda: ensemble.ExtraTreesRegressor(size, max_depth=deep),
            lambda: ensemble.GradientBoostingRegressor(n_estimators=size, learning_rate=float(rng.uniform(0.05, 0.5))),
            lambda: ensemble.HistGradientBoostingRegressor(max_iter=size),
            lambda: ensemble.AdaBoostRegressor(n_estimators=size),
            lambda: neighbors.KNeighborsRegressor(int(rng.integers(1, 8))),
            lambda: svm.SVR(C=float(10 ** rng.uniform(-1, 2))),
            lambda: neural_network.MLPRegressor((8,), max_iter=60),
        ]
    else:
        choices = [
            lambda: linear_model.LogisticRegression(C=float(10 ** rng.uniform(-2, 2))),
            linear_model.RidgeClassifier,
            lambda: linear_model.SGDClassifier(loss=str(rng.choice(["hinge", "log_loss"]))),
            LinearDiscriminantAnalysis,
            naive_bayes.GaussianNB,
            lambda: tree.DecisionTreeClassifier(max_depth=deep),
            lambda: ensemble.RandomForestClassifier(size, max_depth=deep),
            lambda: ensemble.ExtraTreesClassifier(size, max_depth=deep),
            lambda: ensemble.GradientBoostingClassifier(n_estimators=size),
            lambda: ensemble.HistGradientBoostingClassifier(max_iter=size),
            lambda: ensemble.AdaBoostClassifier(n_estimators=size),
            lambda: neighbors.KNeighborsClassifier(int(rng.integers(1, 8))),
            lambda: svm.SVC(C=float(10 ** rng.uniform(-1, 2)), kernel=str(rng.choice(["rbf", "linear", "poly"]))),
            svm.LinearSVC,
            lambda: neural_network.MLPClassifier((8,), max_iter=60),
        ]
        if depth == 0:
            inner = lambda: estimator(rng, regression=False, depth=1)  # noqa: E731
            choices += [
                lambda: ensemble.VotingClassifier([("a", inner()), ("b", inner())]),
                lambda: ensemble.StackingClassifier([("a", inner()), ("b", inner())], cv=3),
                lambda: CalibratedClassifierCV(inner(), cv=3),
                lambda: ensemble.BaggingClassifier(inner(), 4),
            ]
    if regression and depth == 0:
        inner = lambda: estimator(rng, regression=True, depth=1)  # noqa: E731
        choices += [
            lambda: ensemble.VotingRegressor([("a", inner()), ("b", inner())]),
            lambda: ensemble.StackingRegressor([("a", inner()), ("b", inner())], cv=3),
            lambda: ensemble.BaggingRegressor(inner(), 4),
        ]
    model = choices[int(rng.integers(len(choices)))]()
    if "random_state" in model.get_params():
        model.set_params(random_state=int(rng.integers(1000)))
    return model


def pipeline(seed: int) -> tuple[Any, pd.DataFrame]:
    """A fitted model and fresh rows of its kind."""
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_selection import SelectKBest, f_classif, f_regression
    from sklearn.pipeline import Pipeline, make_pipeline

    rng = np.random.default_rng(seed)
    frame, target, regression = table(rng)
    last = estimator(rng, regression=regression)
    if rng.random() < 0.4:
        fresh = shaken(frame, rng)
        model = make_pipeline(*numeric_steps(rng, gaps=False), last)
        if rng.random() < 0.4:
            frame, fresh = frame.to_numpy(), fresh.to_numpy()
        return model.fit(frame, target), fresh
    frame, kinds = mixed(frame, rng)
    parts = []
    for kind, columns in kinds.items():
        if columns:
            gaps = "gappy" in kind
            steps = (
                text_steps(rng, gaps=gaps) if "text" in kind else numeric_steps(rng, gaps=gaps, flags=kind == "bool")
            )
            parts.append((kind, make_pipeline(*steps) if steps else "passthrough", columns))
    remainder = "passthrough" if rng.random() < 0.2 else "drop"
    steps = [("columns", ColumnTransformer(parts, remainder=remainder, sparse_threshold=0))]
    if rng.random() < 0.2:
        steps.append(("select", SelectKBest(f_regression if regression else f_classif, k=2)))
    return Pipeline([*steps, ("model", last)]).fit(frame, target), shaken(frame, rng)


def shaken(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Fresh float64 rows: numbers moved by a little, or as they were; texts and whole numbers in another order."""
    fresh = {}
    for name in frame.columns:
        column = frame[name].to_numpy()[rng.integers(0, len(frame), 200)]
        if column.dtype.kind == "f":
            moved = column + rng.standard_normal(200) * np.nanstd(column) * 0.3
            column = np.where(rng.random(200) < 0.5, moved, column)
        fresh[name] = column
    return pd.DataFrame(fresh)


def outcome(seed: int) -> dict[str, Any]:
    """What came of one pipeline, as JSON."""
    import joblib

    warnings.simplefilter("ignore")
    started = time.perf_counter()
    try:
        model, fresh = pipeline(seed)
    except (ValueError, TypeError) as error:
        return {"seed": seed, "outcome": "not fitted", "reason": str(error).splitlines()[0][:120]}
    title = " > ".join(type(step).__name__ for _, step in model.steps)
    facts: dict[str, Any] = {"seed": seed, "model": title}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.joblib"
        joblib.dump(model, path)
        samples = None
        try:
            try:
                verified = ship_in_process(path, Path(scratch))
            except DrayError as error:
                if error.code != "E-SAMPLES":
                    raise
                samples = Path(scratch) / "samples.parquet"
                pd.DataFrame(fresh).head(50).to_parquet(samples)
                verified = ship_in_process(path, Path(scratch), samples=samples)
        except DrayError as error:
            return {**facts, "outcome": "refused", "code": error.code, "reason": error.message[:200]}
        except Exception as error:  # noqa: BLE001 - what the fuzz is there to find
            return {**facts, "outcome": "unexpected", "reason": f"{type(error).__name__}: {str(error)[:200]}"}
        session = verified.graph.session
    expected = expected_of(model, fresh, [output.name for output in session.get_outputs()])
    if expected is None:
        return {**facts, "outcome": "not fitted", "reason": "the source refuses the fresh rows"}
    try:
        given = answers_of(session, feeds_of(session, fresh))
    except Exception as error:  # noqa: BLE001 - a loud failure, where the source answers
        return {**facts, "outcome": "unexpected", "reason": f"run: {type(error).__name__}: {str(error)[:200]}"}
    rows, labels, worst, over = differences(expected, given)
    return {
        **facts, "outcome": "silent difference" if labels or over or not rows else "converted",
        "rows": rows, "labels": labels, "values": over, "error": worst, "seconds": time.perf_counter() - started,
    }  # fmt: skip


def outcomes(seeds: list[int], processes: int) -> Iterator[dict[str, Any]]:
    """As ``outcome``, in several processes."""
    if processes == 1:
        yield from map(outcome, seeds)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(outcome, seeds, chunksize=4)


def told(done: list[dict[str, Any]]) -> str:
    """The numbers, and every seed that matters."""
    counts = Counter(item["outcome"] for item in done)
    tried = len(done) - counts["not fitted"]
    share = 100 * counts["converted"] / max(1, tried)
    first = (
        f"{len(done)} pipelines, {counts['not fitted']} could not be fitted; of {tried} others {counts['converted']}"
        f" converted ({share:.1f} %), {counts['refused']} refused, {counts['unexpected']} failed loudly,"
        f" {counts['silent difference']} silent differences"
    )
    lines = [first]
    reasons = Counter(f"{item['code']} {item['reason'][:90]}" for item in done if item["outcome"] == "refused")
    lines += [f"  refused {count:4d}  {reason}" for reason, count in reasons.most_common(12)]
    lines += [
        f"  {item['outcome']}: {json.dumps(item, default=str)}"
        for item in done
        if item["outcome"] in {"silent difference", "unexpected"}
    ]
    return "\n".join(lines)


def main() -> int:
    """Run what the log does not hold yet; 1 on a silent difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=500, help="how many pipelines")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "dray-fuzz-fidelity.jsonl")
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever the log holds")
    parser.add_argument("--only", type=int, help="one seed, in this process")
    chosen = parser.parse_args()
    if chosen.only is not None:
        print(json.dumps(outcome(chosen.only), indent=2))
        return 0
    if chosen.fresh:
        chosen.log.unlink(missing_ok=True)
    wanted = range(chosen.seed, chosen.seed + chosen.n)
    known = [json.loads(line) for line in chosen.log.read_text().splitlines()] if chosen.log.exists() else []
    done = {item["seed"]: item for item in known if item["seed"] in wanted}
    missing = [seed for seed in wanted if seed not in done]
    with chosen.log.open("a") as log:
        for item in outcomes(missing, chosen.processes):
            done[item["seed"]] = item
            log.write(json.dumps(item) + "\n")
            log.flush()
            if len(done) % 50 == 0:
                print(f"{len(done)} of {len(wanted)} done", file=sys.stderr)
    print(told([done[seed] for seed in sorted(done)]))
    return int(any(item["outcome"] == "silent difference" for item in done.values()))


if __name__ == "__main__":
    sys.exit(main())
