"""What is converted answers as its source does; what cannot is refused by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import RFE, SelectKBest
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from packager.convert.verification import Verified
from packager.core.conversion import RawConversion
from packager.core.errors import ConverterMissing
from tests.support.models import (
    FIXTURES,
    IRIS_COLUMNS,
    breast_cancer,
    iris,
    iris_frame,
    linear_regression,
    named_pipeline,
    scaled_forest,
    text_label_forest,
)

Convert = Callable[..., RawConversion]
Prove = Callable[[RawConversion], Verified]
X, Y = iris()
BINARY = (Y > 0).astype(int)
WITH_GAPS = np.where(np.arange(X.size).reshape(X.shape) % 7 == 0, np.nan, X)
LOGISTIC = {"max_iter": 500}

FAITHFUL: dict[str, Any] = {
    "voting, soft": VotingClassifier([("a", LogisticRegression(**LOGISTIC)), ("b", GaussianNB())], voting="soft").fit(
        X, Y
    ),
    "voting, hard": VotingClassifier([("a", LogisticRegression(**LOGISTIC)), ("b", GaussianNB())]).fit(X, Y),
    "stacking": StackingClassifier([("rf", RandomForestClassifier(5)), ("lr", LogisticRegression(**LOGISTIC))]).fit(
        X, Y
    ),
    "search": GridSearchCV(RandomForestClassifier(6, random_state=0), {"max_depth": [2, 3]}, cv=2).fit(X, Y),
    "selection": make_pipeline(SelectKBest(k=3), RFE(LogisticRegression(**LOGISTIC)), LogisticRegression()).fit(X, Y),
    "linear SVC in a pipeline": make_pipeline(StandardScaler(), LinearSVC()).fit(X, BINARY),
    "missing values in a forest": RandomForestClassifier(8, random_state=0).fit(WITH_GAPS, Y),
    "a forest that saw none": RandomForestClassifier(8, random_state=0).fit(X, BINARY),
    "several targets": RandomForestClassifier(8, random_state=0).fit(X, np.c_[Y, BINARY]),
    "imputer": make_pipeline(SimpleImputer(), LogisticRegression(**LOGISTIC)).fit(WITH_GAPS, Y),
    "scaled boosting": make_pipeline(MinMaxScaler(clip=True), GradientBoostingClassifier(n_estimators=9)).fit(
        X, BINARY
    ),
    "histogram boosting": HistGradientBoostingRegressor(max_iter=20).fit(X, X[:, 0] + Y),
    "extra trees": ExtraTreesClassifier(10, random_state=0).fit(X, BINARY),
    "regression forest": RandomForestRegressor(10, random_state=0).fit(X, X[:, 1]),
    "projection": make_pipeline(StandardScaler(), PCA(2)).fit(X),
    "numeric categories": make_pipeline(
        ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), [0])], remainder="passthrough"),
        LogisticRegression(**LOGISTIC),
    ).fit(np.c_[Y, X], BINARY),
}


@pytest.mark.parametrize("name", FAITHFUL)
def test_the_model_answers_as_its_source(name: str, convert: Convert, proven: Prove) -> None:
    verified = proven(convert(FAITHFUL[name]))
    assert verified.parity is not None
    assert verified.parity.user_visible.passed
    assert verified.batch_safety.batchable
    assert (verified.graph.info.opset, verified.graph.info.domains.get("ai.onnx.ml")) == (18, 3)


@pytest.mark.parametrize("name", ["logreg_multi", "rf_cls_strlabels", "histgb_cls", "multioutput_rf", "voting_soft"])
@pytest.mark.parametrize("own_samples", [True, False])
def test_models_from_elsewhere_answer_as_their_source(
    name: str, own_samples: bool, convert: Convert, proven: Prove
) -> None:
    folder = FIXTURES / name
    raw = convert(folder / "model.joblib", folder / "inputs.npz" if own_samples else None)
    verified = proven(raw)
    assert verified.parity is not None
    assert verified.parity.user_visible.passed
    if own_samples:
        with np.load(folder / "expected.npz") as expected, np.load(raw.reference_original) as given:  # type: ignore[arg-type]
            assert np.array_equal(given["label"], expected["predict"])


def test_equal_votes_go_to_the_first_class(convert: Convert, proven: Prove) -> None:
    verified = proven(convert(scaled_forest()))
    assert verified.parity is not None
    assert verified.parity.conversion.outputs["label"].labels_differing == 0
    assert verified.parity.coverage.measures["leaves"].reached == verified.parity.coverage.measures["leaves"].total


def test_text_labels_stay_text(convert: Convert, proven: Prove) -> None:
    raw = convert(text_label_forest())
    assert [spec.dtype for spec in proven(raw).graph.signature.outputs] == ["BYTES", "FP32"]
    assert raw.labels == {"probabilities": ("setosa", "versicolor", "virginica")}


@pytest.mark.parametrize(("labels", "dtype"), [(BINARY.astype(bool), "BOOL"), (Y * 1.0, "FP64"), (Y - 1, "INT64")])
def test_labels_keep_their_type(labels: np.ndarray, dtype: str, convert: Convert, proven: Prove) -> None:
    verified = proven(convert(LogisticRegression(**LOGISTIC).fit(X, labels)))
    assert verified.graph.signature.outputs[0].dtype == dtype


def test_a_regressor_answers_one_number_a_row(convert: Convert, proven: Prove) -> None:
    output = proven(convert(linear_regression())).graph.signature.outputs[0]
    assert (output.name, output.dtype, output.shape) == ("prediction", "FP64", ("batch",))


def test_a_cluster_model_answers_its_label(convert: Convert, proven: Prove) -> None:
    verified = proven(convert(KMeans(3, n_init=2, random_state=0).fit(X)))
    assert [(spec.name, spec.shape) for spec in verified.graph.signature.outputs] == [("label", ("batch",))]


def test_an_outlier_detector_answers_label_and_decision(convert: Convert, proven: Prove) -> None:
    verified = proven(convert(IsolationForest(n_estimators=5, random_state=0).fit(X)))
    shapes = [(spec.name, spec.shape) for spec in verified.graph.signature.outputs]
    assert shapes == [("label", ("batch",)), ("decision", ("batch",))]


@pytest.mark.parametrize("model", [RidgeClassifier(), SVC(), LinearSVC()], ids=lambda model: type(model).__name__)
def test_a_decision_between_two_classes_is_one_number(model: Any, convert: Convert, proven: Prove) -> None:
    verified = proven(convert(model.fit(X, BINARY)))
    assert verified.graph.signature.outputs[1].shape == ("batch",)
    assert verified.graph.signature.outputs[1].name == "decision"


def test_probabilities_of_several_targets_are_left_out_with_a_note(convert: Convert) -> None:
    raw = convert(FAITHFUL["several targets"])
    assert any("'probabilities' is left out" in note for note in raw.notes)


def test_a_model_trained_on_a_frame_names_its_columns(convert: Convert, proven: Prove) -> None:
    raw = convert(named_pipeline())
    assert proven(raw).graph.signature.inputs[0].columns == tuple(IRIS_COLUMNS)


def test_columns_chosen_by_name_are_found_in_the_matrix(convert: Convert, proven: Prove) -> None:
    chosen = ColumnTransformer(
        [("a", StandardScaler(), IRIS_COLUMNS[2:]), ("b", "passthrough", IRIS_COLUMNS[:1])], remainder="drop"
    )
    verified = proven(convert(make_pipeline(chosen, RandomForestClassifier(5, random_state=0)).fit(iris_frame(), Y)))
    assert verified.parity is not None
    assert verified.parity.conversion.passed


class Doubled(TransformerMixin, BaseEstimator):
    def fit(self, rows: Any, target: Any = None) -> "Doubled":
        self.n_features_in_ = rows.shape[1]
        return self

    def transform(self, rows: Any) -> Any:
        return 2 * np.asarray(rows)


def refused(model: Any, convert: Convert) -> ConverterMissing:
    with pytest.raises(ConverterMissing) as caught:
        convert(model)
    assert caught.value.hint
    return caught.value


def test_a_step_without_converter_is_named_with_its_place(convert: Convert) -> None:
    from packager.converters.sklearn.export import check_convertible

    model = make_pipeline(StandardScaler(), Doubled(), LogisticRegression()).fit(X, Y)
    with pytest.raises(ConverterMissing) as caught:
        check_convertible(model)
    assert caught.value.message.startswith("there is no ONNX converter for Doubled at 'doubled'")
    assert caught.value.detail["step"] == "doubled"


def test_a_function_that_skl2onnx_does_not_know_is_named_with_its_place(convert: Convert) -> None:
    error = refused(make_pipeline(FunctionTransformer(np.tan), LogisticRegression(**LOGISTIC)).fit(X, Y), convert)
    assert error.message.startswith("there is no ONNX converter for FunctionTransformer at 'functiontransformer'")
    assert "numpy.tan" in error.message


def test_trees_that_split_on_categories_are_refused_before_their_columns_are_read(convert: Convert) -> None:
    frame = pd.DataFrame({"town": pd.Categorical(["a", "b", "c"] * 20), "size": np.arange(60.0)})
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype").fit(frame, [0, 1, 1] * 20)
    assert "its trees split on categorical features" in refused(model, convert).message


def test_an_imputer_by_neighbours_is_refused_by_name(convert: Convert) -> None:
    rows = np.where(np.arange(120).reshape(40, 3) % 7 == 0, np.nan, np.arange(120.0).reshape(40, 3))
    model = make_pipeline(KNNImputer(), Ridge()).fit(rows, np.arange(40.0))
    assert refused(model, convert).message.startswith("KNNImputer cannot be converted faithfully")


def test_neighbours_that_are_equally_near_are_refused(convert: Convert) -> None:
    assert "equally near" in refused(KNeighborsRegressor(1).fit(np.round(X), Y), convert).message


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(SimpleImputer(add_indicator=True), RandomForestClassifier(2, random_state=0)),
        HistGradientBoostingRegressor(loss="poisson", max_iter=2),
        RFE(LogisticRegression(**LOGISTIC)),
        make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(**LOGISTIC)),
    ],
    ids=["indicators of missing values", "log link", "selection that predicts", "log1p"],
)
def test_what_skl2onnx_cannot_do_is_done_here(model: Any, convert: Convert, proven: Prove) -> None:
    verified = proven(convert(model.fit(WITH_GAPS if "Imputer" in str(model) else X, Y)))
    assert verified.parity is not None
    assert verified.parity.user_visible.passed


def test_a_wide_model_is_converted(convert: Convert, proven: Prove) -> None:
    rows, labels = breast_cancer()
    verified = proven(convert(GradientBoostingClassifier(n_estimators=10, random_state=0).fit(rows, labels)))
    assert verified.parity is not None
    assert verified.parity.coverage.weak is False
