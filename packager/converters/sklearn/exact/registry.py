"""Which estimators have a rule of their own here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from packager.converters.boosting.estimators import is_boosted, ranks
from packager.converters.sklearn.exact import (
    bayes,
    centres,
    ensembles,
    kernels,
    linear,
    meta,
    neighbours,
    processes,
    trees,
    vectors,
)
from packager.converters.sklearn.exact.answer import Emit


def _always(_model: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """How a class of estimators is emitted.

    Attributes:
        covers: Whether this one, as it was fitted, is emitted faithfully.
    """

    emit: Emit
    covers: Callable[[Any], bool] = _always


_FORESTS = (
    "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor",
    "ExtraTreesClassifier", "ExtraTreesRegressor", "RandomForestClassifier", "RandomForestRegressor",
)  # fmt: skip
_LINEAR_CLASSIFIERS = (
    "LinearDiscriminantAnalysis", "LinearSVC", "LogisticRegression", "LogisticRegressionCV",
    "PassiveAggressiveClassifier", "Perceptron", "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier",
)  # fmt: skip
_LINEAR_REGRESSORS = (
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "GammaRegressor", "HuberRegressor", "Lars",
    "LarsCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression", "LinearSVR",
    "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV", "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV", "PassiveAggressiveRegressor",
    "PoissonRegressor", "QuantileRegressor", "Ridge", "RidgeCV", "SGDRegressor", "TheilSenRegressor",
    "TweedieRegressor",
)  # fmt: skip
_single = ensembles.covers_single_target
RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        **dict.fromkeys(_FORESTS, Rule(trees.emit_tree, trees.covers_forest)),
        **dict.fromkeys(
            ("GradientBoostingClassifier", "GradientBoostingRegressor"),
            Rule(trees.emit_gradient_boosting, trees.covers_gradient_boosting),
        ),
        **dict.fromkeys(
            ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"),
            Rule(trees.emit_histogram, trees.covers_histogram),
        ),
        **dict.fromkeys(_LINEAR_CLASSIFIERS, Rule(linear.emit_linear_classifier, linear.covers_linear_classifier)),
        **dict.fromkeys(_LINEAR_REGRESSORS, Rule(linear.emit_linear_regressor)),
        **dict.fromkeys(("SVC", "NuSVC"), Rule(vectors.emit_support_classifier, vectors.covers_support_classifier)),
        **dict.fromkeys(("SVR", "NuSVR"), Rule(vectors.emit_support_regressor, vectors.covers_support)),
        **dict.fromkeys(("MLPClassifier", "MLPRegressor"), Rule(linear.emit_network, linear.covers_network)),
        **dict.fromkeys(("BernoulliNB", "ComplementNB", "MultinomialNB"), Rule(bayes.emit_counting_bayes)),
        **dict.fromkeys(("BayesianGaussianMixture", "GaussianMixture"), Rule(bayes.emit_mixture)),
        **dict.fromkeys(
            ("KNeighborsClassifier", "KNeighborsRegressor"),
            Rule(neighbours.emit_neighbours, neighbours.covers_neighbours),
        ),
        **dict.fromkeys(("AffinityPropagation", "KMeans", "MeanShift", "MiniBatchKMeans"), Rule(centres.emit_centres)),
        "Birch": Rule(centres.emit_birch),
        "BisectingKMeans": Rule(centres.emit_bisecting),
        "CategoricalNB": Rule(bayes.emit_categorical_bayes),
        "EllipticEnvelope": Rule(bayes.emit_envelope),
        "GaussianNB": Rule(bayes.emit_gaussian_bayes),
        "GaussianProcessClassifier": Rule(processes.emit_process_classifier),
        "_BinaryGaussianProcessClassifierLaplace": Rule(processes.emit_binary_process),
        "GaussianProcessRegressor": Rule(kernels.emit_process, kernels.covers_process),
        "IsolationForest": Rule(trees.emit_isolation, trees.covers_isolation),
        "IsotonicRegression": Rule(meta.emit_isotonic),
        "KernelRidge": Rule(kernels.emit_kernel_ridge, kernels.covers_kernel_ridge),
        "LocalOutlierFactor": Rule(neighbours.emit_local_outliers),
        "NearestCentroid": Rule(bayes.emit_nearest_centroid),
        "OneClassSVM": Rule(vectors.emit_one_class, vectors.covers_support),
        "QuadraticDiscriminantAnalysis": Rule(bayes.emit_quadratic),
        "SGDOneClassSVM": Rule(linear.emit_linear_outliers),
        **dict.fromkeys(("CCA", "PLSCanonical", "PLSRegression"), Rule(linear.emit_latent, linear.covers_latent)),
        **dict.fromkeys(("DummyClassifier", "DummyRegressor"), Rule(linear.emit_dummy, linear.covers_dummy)),
        "AdaBoostClassifier": Rule(ensembles.emit_ada_classifier, ensembles.covers_ada_classifier),
        "AdaBoostRegressor": Rule(ensembles.emit_ada_regressor),
        "BaggingClassifier": Rule(ensembles.emit_bagging, _single),
        "BaggingRegressor": Rule(ensembles.emit_bagging),
        "CalibratedClassifierCV": Rule(meta.emit_calibrated, meta.covers_calibrated),
        "MultiOutputRegressor": Rule(meta.emit_multi_output),
        "OneVsOneClassifier": Rule(meta.emit_one_vs_one, meta.covers_one_vs_one),
        "OneVsRestClassifier": Rule(meta.emit_one_vs_rest, meta.covers_one_vs_rest),
        "StackingClassifier": Rule(ensembles.emit_stacking, _single),
        "StackingRegressor": Rule(ensembles.emit_stacking),
        "TransformedTargetRegressor": Rule(meta.emit_transformed_target),
        "VotingClassifier": Rule(ensembles.emit_voting_classifier, _single),
        "VotingRegressor": Rule(ensembles.emit_voting_regressor),
    }
)
_BOOSTED: Final = Rule(linear.emit_boosted)


def rule_of(model: Any) -> Rule | None:
    """The rule of a fitted estimator; None where skl2onnx converts it."""
    if is_boosted(model):
        return None if ranks(model) else _BOOSTED
    if not type(model).__module__.startswith("sklearn."):
        return None
    rule = RULES.get(type(model).__name__)
    return rule if rule is not None and rule.covers(model) else None
