"""Does every model answer in ONNX Runtime as in its own framework? A table over fixtures and scikit-learn's estimators.

Run by ``make fidelity``. Exits with 1 on any silent difference: a model that dray shipped and that answers otherwise.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from packager.convert import convert
from packager.convert.environment import EnvironmentChoice
from packager.convert.judgement import Checks
from packager.convert.verification import Verified, verify
from packager.core.conversion import DEFAULT_ATOL, DEFAULT_RTOL, DEFAULT_SEED, ConversionRequest, ModelSource
from packager.core.errors import DrayError
from packager.core.progress import SilentProgress

Arrays = dict[str, Any]
_OUTPUTS = {
    "predict": ("label", "prediction"),
    "proba": ("probabilities",),
    "decision": ("decision",),
    "transform": ("transformed",),
}
# Frameworks that run on no current Python.
_RETIRED = ("cntk",)


@dataclass(frozen=True)
class Row:
    """One model in the table."""

    name: str
    outcome: str
    rows: int = 0
    labels: int = 0
    error: float = 0.0
    seconds: float = 0.0
    leaves: str = ""
    silent: bool = False

    def line(self) -> str:
        """Columns side by side."""
        if self.outcome != "converted":
            return f"{self.name:38} {self.outcome}"
        verdict = "  SILENT DIFFERENCE" if self.silent else ""
        return (
            f"{self.name:38} converted  {self.rows:5d} rows  {self.labels:3d} labels differ"
            f"  error {self.error:8.1e}  {self.seconds:5.2f} s  {self.leaves}{verdict}"
        )


# Kinds of fixtures whose framework is in an environment that dray makes.
_IN_ENVIRONMENTS = ("tensorflow",)
HEADER = f"{'model':38} outcome"


def ship_in_process(path: Path, workdir: Path, *, samples: Path | None = None, seed: int = DEFAULT_SEED) -> Verified:
    """As ``packager.convert.convert``, without the child process whose imports take seconds."""
    from packager.converters.sklearn import SklearnConverter

    request = ConversionRequest(source=path, workdir=workdir, samples=samples, seed=seed)
    raw = SklearnConverter().convert(request, SilentProgress())
    return verify(raw, Checks(atol=DEFAULT_ATOL, rtol=DEFAULT_RTOL, seed=seed))


def answers_of(session: ort.InferenceSession, feeds: Mapping[str, Any]) -> Arrays:
    """All outputs by name; inputs cast to their types as the runtime does."""
    types = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64,
             "tensor(int32)": np.int32,
             "tensor(bool)": np.bool_, "tensor(string)": object}  # fmt: skip
    given = {arg.name: np.asarray(feeds[arg.name]).astype(types[arg.type]) for arg in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


def differences(expected: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[int, int, float, int]:
    """Rows compared, labels that differ, the largest error, and values over tolerance."""
    rows = labels = over = 0
    worst = 0.0
    for name, answers in expected.items():
        want = np.asarray(answers)
        output = next((output for output in _OUTPUTS.get(name, (name,)) if output in given), None)
        if output is None and len(expected) == len(given) == 1:  # a fixture's own word for the one output
            output = next(iter(given))
        if output is None:
            continue
        got = np.asarray(given[output])
        rows = len(want)
        if got.shape != want.shape:
            if got.size != want.size:
                return rows, rows, np.inf, rows
            got = got.reshape(want.shape)
        if want.dtype.kind in "OUS" or got.dtype.kind != "f":
            plain = str if want.dtype.kind in "OUS" else np.float64
            labels += int((got.astype(plain) != want.astype(plain)).sum())
            continue
        error = np.abs(got.astype(np.float64) - want.astype(np.float64))
        near = np.isclose(got, want, rtol=DEFAULT_RTOL, atol=DEFAULT_ATOL, equal_nan=True)
        over += int((~near).sum())
        worst = max(worst, float(np.nanmax(error, initial=0.0)))
    return rows, labels, worst, over


def refusal(error: DrayError) -> str:
    """A refusal as the table shows it."""
    kind = "UNEXPECTED" if type(error).__name__ == "DrayError" else "refused"
    return f"{kind}  {error.code}: {error.message[:150]}"


def models_of(folder: Path) -> list[Path]:
    """The files of a fixture that hold its model, each in a form of its own."""
    named = {"saved_model", "model-symbol.json"}
    return sorted(path for path in folder.iterdir() if path.stem == "model" or path.name in named)


def fixture_row(folder: Path, model: Path) -> Row:
    """One fixture: shipped without samples where the model says enough, compared with what its framework answered."""
    name = f"{folder.parent.name}/{folder.name}" + (f"/{model.name}" if len(models_of(folder)) > 1 else "")
    given = next(folder.glob("inputs.*"))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            if folder.parent.name in _RETIRED:
                result = _with_expected(folder, model, given, Path(scratch))
            else:
                result = _converted(model, given, Path(scratch), _plugin_of(folder))
        except DrayError as error:
            return Row(name, refusal(error))
        seconds = time.perf_counter() - started
        session = ort.InferenceSession(result.onnx_path)
    feeds = fixture_feeds(given, session)
    with np.load(folder / "expected.npz", allow_pickle=False) as archive:
        expected = {key: archive[key] for key in archive.files}
    answers = answers_of(session, feeds)
    if folder.parent.name in _RETIRED and len(answers) == len(expected) == 1:
        answers = {next(iter(expected)): next(iter(answers.values()))}
    rows, labels, worst, over = differences(expected, answers)
    share = result.parity.coverage.measures.get("leaves") if result.parity else None
    leaves = f"leaves {share.reached}/{share.total}" if share else ""
    return Row(name, "converted", rows, labels, worst, seconds, leaves, silent=bool(labels or over or not rows))


def _converted(model: Path, given: Path, scratch: Path, plugin: Path | None) -> Any:
    options = {"plugin": str(plugin), "plugin_folder": str(model.parent)} if plugin else {}
    if model.name == "model-symbol.json":  # read without MXNet: its answers are in the fixture
        return convert(ModelSource(model), workdir=scratch, samples=given, expected=model.parent / "expected.npz")
    made = EnvironmentChoice("auto") if model.parents[1].name in _IN_ENVIRONMENTS else None
    try:
        return convert(ModelSource(model), workdir=scratch, options=options, trust=plugin is not None, environment=made)
    except DrayError as error:
        if error.code != "E-SAMPLES":
            raise
    with tempfile.TemporaryDirectory() as again:
        return convert(
            ModelSource(model),
            workdir=Path(again),
            samples=given,
            options=options,
            trust=plugin is not None,
            environment=made,
        )


def _with_expected(folder: Path, model: Path, given: Path, scratch: Path) -> Any:
    """A model whose framework runs on no current Python: its own answers are the fixture's, under the model's name."""
    with np.load(given, allow_pickle=False) as archive:
        options = {"lengths": True} if len(archive.files) > 1 else {}
    with tempfile.TemporaryDirectory() as first, np.load(folder / "expected.npz", allow_pickle=False) as answers:
        outputs = convert(ModelSource(model), workdir=Path(first), options=options).signature.outputs
        names = dict(zip((spec.name for spec in outputs), answers.files, strict=True))
        expected = scratch.parent / f"{scratch.name}-expected.npz"
        np.savez(expected, **{name: answers[old] for name, old in names.items()})
    try:
        return convert(ModelSource(model), workdir=scratch, samples=given, expected=expected, options=options)
    finally:
        expected.unlink()


def _plugin_of(folder: Path) -> Path | None:
    """The converters of a model with a class of its own are beside the tests."""
    plugin = Path(__file__).parent.parent / "tests" / "fixtures" / folder.parent.name / folder.name / "plugin.py"
    return plugin if plugin.exists() else None


def fixture_feeds(given: Path, session: ort.InferenceSession) -> Arrays:
    """The inputs of a fixture by the names of the graph."""
    inputs = session.get_inputs()
    if given.suffix == ".npz":
        with np.load(given, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        if len(inputs) == 2 and inputs[1].name == "lengths" and "lengths" not in arrays:
            return _padded(inputs[0].name, list(arrays.values()))
        return arrays if inputs[0].name in arrays else {inputs[0].name: next(iter(arrays.values()))}
    if given.suffix == ".json":
        return {inputs[0].name: np.array(json.loads(given.read_text(encoding="utf-8")), object)[:, None]}
    with given.open(encoding="utf-8", newline="") as stream:
        records = list(csv.DictReader(stream))
    return {arg.name: _column([record[arg.name] for record in records], arg.type) for arg in inputs}


def _padded(name: str, sequences: list[Any]) -> Arrays:
    """Sequences of several lengths as one batch, with their lengths."""
    lengths = np.array([len(sequence) for sequence in sequences])
    batch = np.zeros((len(sequences), lengths.max(), *sequences[0].shape[1:]), sequences[0].dtype)
    for row, sequence in zip(batch, sequences, strict=True):
        row[: len(sequence)] = sequence
    return {name: batch, "lengths": lengths}


def _column(cells: list[str], kind: str) -> Any:
    if kind == "tensor(string)":
        return np.array(cells, object)[:, None]
    return np.array([float(cell) if cell else np.nan for cell in cells])[:, None]


KINDS = ("sklearn", "gbdt", *_RETIRED, "mxnet", "tensorflow", "pytorch")


def fixtures(root: Path, kinds: Collection[str] = KINDS) -> Iterable[Row]:
    """Rows of all fixtures of these kinds."""
    for kind in (kind for kind in KINDS if kind in kinds and kind != "pytorch"):
        for folder in sorted((root / kind).iterdir()) if (root / kind).is_dir() else ():
            for model in models_of(folder) if folder.is_dir() else ():
                yield fixture_row(folder, model)
    from fidelity_pytorch import pytorch_rows  # which compares as this module does

    for folder in sorted((root / "pytorch").glob("*/")) if "pytorch" in kinds else ():
        yield from pytorch_rows(folder)


def estimators() -> Iterable[Row]:
    """Rows of every estimator of scikit-learn that fits on small numeric data."""
    from sklearn.utils import all_estimators

    for name, kind in all_estimators():
        for title, arguments in ((name, {}), *((f"{name} {more}", more) for more in _VARIANTS.get(name, ()))):
            fitted = _fitted(kind, arguments)
            if fitted is not None:
                yield estimator_row(title, *fitted)


def estimator_row(name: str, model: Any, fresh: Any) -> Row:
    """One fitted model through packaging, and fresh rows through ONNX Runtime."""
    import joblib

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.joblib"
        joblib.dump(model, path)
        try:
            verified = ship_in_process(path, Path(scratch))
        except DrayError as error:
            return Row(name, refusal(error))
        except Exception as error:  # noqa: BLE001 - what the table is there to find
            return Row(name, f"UNEXPECTED  {type(error).__name__}: {str(error).splitlines()[0][:150]}")
        seconds = time.perf_counter() - started
        session = verified.graph.session
    expected = expected_of(model, fresh, [output.name for output in session.get_outputs()])
    if expected is None:
        return Row(name, "refused  by the source: it refuses the fresh rows")
    rows, labels, worst, over = differences(expected, answers_of(session, feeds_of(session, fresh)))
    return Row(name, "converted", rows, labels, worst, seconds, "", silent=bool(labels or over or not rows))


def expected_of(model: Any, fresh: Any, outputs: Iterable[str]) -> Arrays | None:
    """The source's answers for the outputs that a graph has."""
    methods = {"label": "predict", "prediction": "predict", "probabilities": "predict_proba",
               "decision": "decision_function", "transformed": "transform"}  # fmt: skip
    try:
        found = {name: getattr(model, methods[name])(fresh) for name in outputs}
    except (ValueError, AttributeError):
        return None
    return {name: value.toarray() if hasattr(value, "toarray") else np.asarray(value) for name, value in found.items()}


def feeds_of(session: ort.InferenceSession, fresh: Any) -> Arrays:
    """Fresh rows as the graph takes them: a matrix, or a column an input with "" for a missing text."""
    import pandas as pd

    inputs = session.get_inputs()
    if not isinstance(fresh, pd.DataFrame):
        table = np.asarray(fresh)
        return {inputs[0].name: table[:, None] if table.ndim == 1 else table}
    if len(inputs) == 1 and inputs[0].shape[-1] == fresh.shape[1] and inputs[0].name not in fresh.columns:
        return {inputs[0].name: fresh.to_numpy(np.float64)}
    return {
        arg.name: fresh[arg.name].astype(object).fillna("").astype(str).to_numpy(object)[:, None]
        if arg.type == "tensor(string)"
        else pd.to_numeric(fresh[arg.name]).to_numpy()[:, None]
        for arg in inputs
    }


_VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "AdaBoostRegressor": ({"loss": "square"},),
    "GradientBoostingClassifier": ({"init": "zero"}, {"subsample": 0.5}),
    "HistGradientBoostingRegressor": ({"loss": "poisson"}, {"loss": "gamma"}, {"loss": "absolute_error"}),
    "KNeighborsClassifier": ({"weights": "distance"}, {"metric": "manhattan"}),
    "KNeighborsRegressor": ({"weights": "distance"}, {"metric": "cosine"}),
    "LocalOutlierFactor": ({"novelty": True},),
    "MLPClassifier": ({"activation": "tanh"}, {"activation": "logistic"}),
    "NuSVC": ({"nu": 0.2},),
    "OneVsRestClassifier": ({"n_jobs": 1},),
    "OrdinalEncoder": ({"handle_unknown": "use_encoded_value", "unknown_value": -1},),
    "OneHotEncoder": ({"handle_unknown": "ignore"}, {"handle_unknown": "infrequent_if_exist", "min_frequency": 9}),
    "PolynomialFeatures": ({"degree": 3, "interaction_only": True},),
    "SGDClassifier": ({"loss": "log_loss"}, {"loss": "modified_huber"}),
    "SVC": ({"kernel": "linear"}, {"kernel": "poly"}, {"decision_function_shape": "ovo"}),
    "StackingClassifier": ({"passthrough": True},),
    "VotingClassifier": ({"voting": "soft"},),
}


def _fitted(kind: Any, more: dict[str, Any]) -> tuple[Any, Any] | None:
    """The estimator fitted on iris or diabetes, and rows that it has not seen; None where it does not fit there."""
    from sklearn.base import is_regressor
    from sklearn.datasets import load_diabetes, load_iris
    from sklearn.linear_model import LogisticRegression, Ridge

    rng = np.random.default_rng(0)
    for arguments in (
        {},
        {"estimator": LogisticRegression()},
        {"estimator": Ridge()},
        {"estimators": [("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))]},
        {"estimators": [("a", Ridge()), ("b", Ridge(alpha=9.0))]},
        {"estimator": LogisticRegression(), "param_grid": {"C": [0.1, 1.0]}},
        {"estimator": LogisticRegression(), "param_distributions": {"C": [0.1, 1.0]}, "n_iter": 2},
        {"transformer_list": [], "transformers": []},
    ):
        try:
            model = kind(**arguments, **more)
            regresses = is_regressor(model)
        except Exception:  # noqa: BLE001 - not of these arguments
            continue
        table, target = (load_diabetes if regresses else load_iris)(return_X_y=True)
        table = table + 1.0 if regresses else table
        for wanted in (target, np.column_stack([target, target]), None):
            try:
                model.fit(table[::2], None if wanted is None else wanted[::2])
            except Exception:  # noqa: BLE001 - not for such data
                continue
            return model, table[1::2] * (1 + 0.01 * rng.standard_normal(table[1::2].shape))
    return None


def report(rows: Iterable[Row], print_row: Callable[[str], None] = print) -> list[Row]:
    """Print the rows as they come; the list of them."""
    done = []
    print_row(HEADER)
    for row in rows:
        print_row(row.line())
        done.append(row)
    converted = sum(row.outcome == "converted" for row in done)
    silent = [row.name for row in done if row.silent]
    odd = [row.name for row in done if row.outcome.startswith("UNEXPECTED")]
    print_row(
        f"{len(done)} models: {converted} converted, {len(done) - converted} refused, {len(silent)} silent differences"
        f"{': ' + ', '.join(silent) if silent else ''}{'; unexpected: ' + ', '.join(odd) if odd else ''}"
    )
    return done


def main() -> int:
    """Print the tables; 1 on any silent difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--fixtures", type=Path, default=Path(os.environ.get("FIXTURES", "../shared/fixtures")).absolute()
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="fixtures of these kinds only")
    parser.add_argument("--no-estimators", action="store_true", help="fixtures only")
    parser.add_argument("--no-fixtures", action="store_true", help="scikit-learn's estimators only")
    chosen = parser.parse_args()
    done: list[Row] = []
    if not chosen.no_fixtures:
        if chosen.fixtures.is_dir():
            source = str(chosen.fixtures.resolve())
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
            done += report(fixtures(chosen.fixtures, chosen.kinds))
        else:
            print(f"fixtures skipped: there is no folder {chosen.fixtures}; set FIXTURES=")
    if not chosen.no_estimators:
        warnings.simplefilter("ignore")
        done += report(estimators())
    return int(any(row.silent or row.outcome.startswith("UNEXPECTED") for row in done))


if __name__ == "__main__":
    sys.exit(main())
