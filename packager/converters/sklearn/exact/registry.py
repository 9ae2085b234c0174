"""Which estimators have a rule of their own here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from packager.converters.boosting.estimators import is_boosted, ranks
from packager.converters.sklearn.exact import ensembles, linear, meta, trees
from packager.converters.sklearn.exact.answer import Emit


def _always(_model: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """How a class of estimators is emitted.

    Attributes:
        covers: Whether this one, as it was fitted, is emitted faithfully.
        jumps: Its answers may jump at the last bit of a sum, so that no other form of it will do.
    """

    emit: Emit
    covers: Callable[[Any], bool] = _always
    jumps: bool = True


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
    "MultiTaskElasticNet", "MultiTaskLasso", "OrthogonalMatchingPursuit", "PassiveAggressiveRegressor",
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
        **dict.fromkeys(
            _LINEAR_CLASSIFIERS, Rule(linear.emit_linear_classifier, linear.covers_linear_classifier, jumps=False)
        ),
        **dict.fromkeys(_LINEAR_REGRESSORS, Rule(linear.emit_linear_regressor, jumps=False)),
        **dict.fromkeys(
            ("SVC", "NuSVC"), Rule(linear.emit_support_classifier, linear.covers_support_classifier, jumps=False)
        ),
        **dict.fromkeys(
            ("SVR", "NuSVR"), Rule(linear.emit_support_regressor, linear.covers_support_regressor, jumps=False)
        ),
        **dict.fromkeys(
            ("MLPClassifier", "MLPRegressor"), Rule(linear.emit_network, linear.covers_network, jumps=False)
        ),
        "GaussianNB": Rule(linear.emit_gaussian_bayes, jumps=False),
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
