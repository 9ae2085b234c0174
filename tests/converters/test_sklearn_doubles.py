"""Estimators that compute in float64 answer to the last digits, on columns that float32 cannot hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import erf
from sklearn.cluster import AffinityPropagation, Birch, BisectingKMeans, KMeans, MeanShift
from sklearn.covariance import EllipticEnvelope
from sklearn.cross_decomposition import PLSRegression
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, RationalQuadratic
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM

from packager.convert.verification import Verified
from packager.converters.sklearn.emission import Emitter
from packager.converters.sklearn.emit_functions import Formulas
from packager.core.conversion import RawConversion
from packager.core.errors import ConverterMissing, SampleError

Convert = Callable[..., RawConversion]
Prove = Callable[[RawConversion], Verified]
RNG = np.random.default_rng(3)
X = RNG.normal(size=(150, 3)) * [1.0, 3.0, 1e6] + [0.0, 5.0, 1.7e9]
FRESH = RNG.normal(size=(300, 3)) * [2.0, 6.0, 2e6] + [0.0, 5.0, 1.7e9]
Y = np.digitize(X[:, 0] + X[:, 1] / 3, [0.5, 2.0])
METHODS = {"label": "predict", "prediction": "predict", "probabilities": "predict_proba",
           "decision": "decision_function"}  # fmt: skip

SCALED: list[Any] = [
    AffinityPropagation(),
    BayesianGaussianMixture(n_components=2, max_iter=900),
    Birch(),
    BisectingKMeans(4),
    EllipticEnvelope(random_state=0),
    GaussianMixture(2, covariance_type="tied"),
    GaussianMixture(3, covariance_type="diag"),
    GaussianNB(),
    GaussianProcessClassifier(),
    GaussianProcessRegressor(ConstantKernel() * Matern() + RationalQuadratic(), alpha=0.1, optimizer=None),
    GaussianProcessRegressor(DotProduct(), alpha=0.1, normalize_y=True, optimizer=None),
    IsolationForest(n_estimators=20, max_features=2),
    KMeans(3),
    KNeighborsClassifier(weights="distance"),
    KNeighborsClassifier(p=3),
    KNeighborsRegressor(weights="distance", metric="manhattan"),
    KernelRidge(kernel="laplacian"),
    KernelRidge(kernel="rbf"),
    LocalOutlierFactor(novelty=True),
    MeanShift(),
    NearestCentroid(),
    NuSVC(nu=0.1),
    OneClassSVM(nu=0.2),
    PLSRegression(2),
    QuadraticDiscriminantAnalysis(),
    SVC(kernel="poly"),
    SVC(decision_function_shape="ovo"),
    SVR(),
]
BARE: list[Any] = [BernoulliNB(binarize=2.0), GaussianNB(), NearestCentroid(), QuadraticDiscriminantAnalysis(),
                   RidgeClassifier()]  # fmt: skip
COUNTING: list[Any] = [CategoricalNB(), ComplementNB(), MultinomialNB()]


def check(model: Any, rows: Any, verified: Verified, *, within: float = 1e-9) -> None:
    session = verified.graph.session
    names = [output.name for output in session.get_outputs()]
    for name, given in zip(names, session.run(names, {"X": rows}), strict=True):
        wanted = np.asarray(getattr(model, METHODS[name])(rows))
        np.testing.assert_allclose(given, wanted, rtol=within, atol=within, err_msg=name)


@pytest.mark.parametrize("last", SCALED, ids=lambda model: str(model)[:40])
def test_an_estimator_behind_a_scaler_answers_as_its_source(last: Any, convert: Convert, proven: Prove) -> None:
    target = X[:, 0] + X[:, 1] if "Regress" in type(last).__name__ or type(last).__name__ == "SVR" else Y
    model = make_pipeline(StandardScaler(), last).fit(X, target)
    check(model, FRESH, proven(convert(model)))


@pytest.mark.parametrize("model", BARE, ids=str)
def test_an_estimator_over_timestamps_answers_as_its_source(model: Any, convert: Convert, proven: Prove) -> None:
    check(model.fit(X, Y), FRESH, proven(convert(model)), within=1e-6)


@pytest.mark.parametrize("model", COUNTING, ids=str)
def test_counts_are_weighed_in_doubles(model: Any, convert: Convert, proven: Prove) -> None:
    counts = RNG.integers(0, 4, (200, 3)).astype(np.float64)
    model.fit(counts, RNG.integers(0, 3, 200))
    check(model, counts[:50], proven(convert(model)))


def test_a_category_that_naive_bayes_does_not_know_stops_the_request(convert: Convert, proven: Prove) -> None:
    counts = RNG.integers(0, 4, (200, 2)).astype(np.float64)
    session = proven(convert(CategoricalNB().fit(counts, RNG.integers(0, 2, 200)))).graph.session
    for wrong in (9.0, -1.0):
        with pytest.raises(Exception, match="a category that the model does not know, in feature 1"):
            session.run(None, {"X": np.array([[0.0, wrong]])})


def test_wide_rows_are_measured_in_a_loop(convert: Convert, proven: Prove) -> None:
    rows = RNG.normal(size=(80, 60))
    model = KNeighborsRegressor(weights="distance").fit(rows, rows[:, 0])
    check(model, RNG.normal(size=(40, 60)), proven(convert(model)))


def test_scores_that_rounding_decides_are_refused(convert: Convert) -> None:
    model = RidgeClassifier().fit(X, Y)
    model.intercept_ = model.intercept_ + 1e12
    with pytest.raises(ConverterMissing, match="the rounding of each processor decides") as caught:
        convert(model)
    assert "scale the columns" in str(caught.value.hint)


def test_centres_that_rounding_cannot_tell_apart_are_refused(convert: Convert) -> None:
    rows = np.column_stack([np.repeat([1e9, 2e9, 3e9], 40), np.tile(np.arange(4.0), 30)])
    model = KMeans(12, n_init=1).fit(RNG.normal(size=(120, 2)))
    model.cluster_centers_ = np.unique(rows, axis=0)
    with pytest.raises(ConverterMissing, match="centres so near one another"):
        convert(model)


def test_rows_that_do_not_reach_the_weights_prove_nothing(convert: Convert) -> None:
    rows = 1e6 * RNG.normal(size=(100, 2))
    model = make_pipeline(PolynomialFeatures(2, include_bias=False, interaction_only=True), Ridge())
    model.fit(rows, 1e-12 * rows[:, 0] * rows[:, 1] + 3)
    with pytest.raises(SampleError, match="how great its columns are"):
        convert(model)


def test_two_rows_equally_near_cancel_out_in_a_gaussian_process(convert: Convert, proven: Prove) -> None:
    rows = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 5.0], [4.0, 5.0]])
    model = GaussianProcessClassifier(optimizer=None).fit(rows, [0, 1, 0, 1])
    weight = 226543 / 2**19
    model.base_estimator_.pi_ = np.array([weight, 1 - weight, weight, 1 - weight])
    fresh = np.array([[2.0, y] for y in np.linspace(-5, 9, 57)])
    session = proven(convert(model)).graph.session
    assert not session.run(["label"], {"X": fresh})[0].any()  # 0 is not above 0


@pytest.mark.parametrize(("name", "function"), [("arctan", np.arctan), ("erf", erf)])
def test_functions_without_a_kernel_of_doubles_are_exact(name: str, function: Any) -> None:
    import onnxruntime as ort
    from onnx import TensorProto, helper

    def none(*_: Any) -> Any:
        raise AssertionError

    emitter = Emitter(subgraph=none, outputs=none)
    result = getattr(Formulas(emitter), name)("x")
    given = helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["rows"])
    answer = helper.make_tensor_value_info(result, TensorProto.DOUBLE, ["rows"])
    graph = helper.make_graph(emitter.nodes, "g", [given], [answer], emitter.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    rows = np.concatenate([np.linspace(-7, 7, 4001), [1e-12, -1e-300, 1e20, -1e308, np.inf, -np.inf, np.nan]])
    (found,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": rows})
    np.testing.assert_allclose(found, function(rows), rtol=1e-15, atol=5e-16)
