"""Random estimators for the fuzz: every common kind, with hyper-parameters that are usual and that are not."""

from collections.abc import Callable
from typing import Any

import numpy as np

Rng = np.random.Generator
Make = Callable[[], Any]


def _one(rng: Rng, *values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def _power(rng: Rng, low: float, high: float) -> float:
    return float(10 ** rng.uniform(low, high))


def classifier(rng: Rng, *, depth: int = 0) -> Any:
    """A classifier; at depth 0 also one made of others."""
    choices = [*_linear_classifiers(rng), *_tree_classifiers(rng), *_other_classifiers(rng)]
    if depth == 0 and rng.random() < 0.3:
        choices = _meta_classifiers(rng)
    return _seeded(_one(rng, *choices)(), rng)


def regressor(rng: Rng, *, depth: int = 0) -> Any:
    """A regressor; at depth 0 also one made of others."""
    choices = [*_linear_regressors(rng), *_tree_regressors(rng), *_other_regressors(rng)]
    if depth == 0 and rng.random() < 0.3:
        choices = _meta_regressors(rng)
    return _seeded(_one(rng, *choices)(), rng)


def unsupervised(rng: Rng) -> Any:
    """A cluster or outlier estimator."""
    from sklearn import cluster, covariance, ensemble, mixture, neighbors, svm

    return _seeded(
        _one(
            rng,
            lambda: cluster.KMeans(int(rng.integers(2, 7)), n_init=1),
            lambda: cluster.MiniBatchKMeans(int(rng.integers(2, 7)), n_init=1),
            lambda: cluster.BisectingKMeans(3),
            lambda: ensemble.IsolationForest(
                n_estimators=int(rng.integers(5, 40)), contamination=_one(rng, "auto", 0.1)
            ),
            lambda: svm.OneClassSVM(
                max_iter=20000, nu=float(rng.uniform(0.05, 0.5)), kernel=_one(rng, "rbf", "linear")
            ),
            lambda: neighbors.LocalOutlierFactor(int(rng.integers(3, 30)), novelty=True),
            lambda: mixture.GaussianMixture(int(rng.integers(1, 4)), covariance_type=_one(rng, "full", "diag")),
            lambda: mixture.BayesianGaussianMixture(n_components=2),
            lambda: covariance.EllipticEnvelope(support_fraction=0.9),
            cluster.MeanShift,
            cluster.AffinityPropagation,
        )(),
        rng,
    )


def _seeded(model: Any, rng: Rng) -> Any:
    if "random_state" in model.get_params():
        model.set_params(random_state=int(rng.integers(1000)))
    return model


def _shape(rng: Rng) -> dict[str, Any]:
    return {
        "max_depth": None if rng.random() < 0.3 else int(rng.integers(1, 8)),
        "min_samples_leaf": int(_one(rng, 1, 1, 3, 10)),
        "max_features": _one(rng, None, "sqrt", 0.5),
    }


def _linear_classifiers(rng: Rng) -> list[Make]:
    from sklearn import discriminant_analysis, linear_model, svm

    return [
        lambda: linear_model.LogisticRegression(C=_power(rng, -2, 2), class_weight=_one(rng, None, "balanced")),
        lambda: linear_model.LogisticRegressionCV(Cs=2, cv=2, max_iter=50),
        lambda: linear_model.RidgeClassifier(alpha=_power(rng, -2, 2)),
        lambda: linear_model.SGDClassifier(
            loss=_one(rng, "hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron")
        ),
        lambda: linear_model.Perceptron(penalty=_one(rng, None, "l2")),
        linear_model.PassiveAggressiveClassifier,
        lambda: discriminant_analysis.LinearDiscriminantAnalysis(solver=_one(rng, "svd", "lsqr")),
        lambda: discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1),
        lambda: svm.LinearSVC(C=_power(rng, -2, 1)),
    ]


def _tree_classifiers(rng: Rng) -> list[Make]:
    from sklearn import ensemble, tree

    size = int(rng.integers(2, 25))
    return [
        lambda: tree.DecisionTreeClassifier(criterion=_one(rng, "gini", "entropy"), **_shape(rng)),
        lambda: tree.ExtraTreeClassifier(**_shape(rng)),
        lambda: ensemble.RandomForestClassifier(size, class_weight=_one(rng, None, "balanced"), **_shape(rng)),
        lambda: ensemble.ExtraTreesClassifier(size, **_shape(rng)),
        lambda: ensemble.GradientBoostingClassifier(
            n_estimators=size, init=_one(rng, None, None, "zero"), subsample=_one(rng, 1.0, 0.7)
        ),
        lambda: ensemble.HistGradientBoostingClassifier(max_iter=size, l2_regularization=_one(rng, 0.0, 1.0)),
        lambda: ensemble.AdaBoostClassifier(n_estimators=size, learning_rate=_one(rng, 1.0, 0.3)),
        *_boosted(rng, "Classifier", size),
    ]


def _other_classifiers(rng: Rng) -> list[Make]:
    from sklearn import dummy, gaussian_process, naive_bayes, neighbors, neural_network, svm

    return [
        naive_bayes.GaussianNB,
        lambda: naive_bayes.BernoulliNB(alpha=_power(rng, -2, 1), binarize=float(rng.random())),
        lambda: naive_bayes.MultinomialNB(alpha=_power(rng, -2, 1)),
        lambda: naive_bayes.ComplementNB(norm=bool(rng.random() < 0.3)),
        lambda: neighbors.KNeighborsClassifier(
            int(rng.integers(1, 9)), weights=_one(rng, "uniform", "uniform", "distance"), p=_one(rng, 2, 2, 1)
        ),
        neighbors.NearestCentroid,
        lambda: svm.SVC(
            C=_power(rng, -1, 2), kernel=_one(rng, "rbf", "linear", "poly", "sigmoid"),
            decision_function_shape=_one(rng, "ovr", "ovo"), gamma=_one(rng, "scale", 0.1), max_iter=20000,
        ),
        lambda: svm.NuSVC(max_iter=20000, nu=0.1),
        lambda: neural_network.MLPClassifier(
            _one(rng, (8,), (6, 4)), max_iter=40, activation=_one(rng, "relu", "tanh", "logistic")
        ),
        gaussian_process.GaussianProcessClassifier,
        lambda: dummy.DummyClassifier(strategy=_one(rng, "prior", "most_frequent")),
    ]  # fmt: skip


def _boosted(rng: Rng, kind: str, size: int) -> list[Make]:
    import catboost
    import lightgbm
    import xgboost

    return [
        lambda: getattr(xgboost, f"XGB{kind}")(n_estimators=size, max_depth=int(rng.integers(1, 6)), n_jobs=1),
        lambda: getattr(lightgbm, f"LGBM{kind}")(
            n_estimators=size, num_leaves=int(rng.integers(3, 31)), n_jobs=1, verbose=-1
        ),
        lambda: getattr(catboost, f"CatBoost{kind}")(
            iterations=size, depth=int(rng.integers(1, 6)), verbose=False, thread_count=1, allow_writing_files=False
        ),
    ]


def _meta_classifiers(rng: Rng) -> list[Make]:
    from sklearn import calibration, ensemble, multiclass

    def inner() -> Any:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        made = classifier(rng, depth=1)
        return make_pipeline(StandardScaler(), made) if rng.random() < 0.2 else made

    def named(count: int) -> list[tuple[str, Any]]:
        return [("abc"[place], inner()) for place in range(count)]

    return [
        lambda: ensemble.VotingClassifier(named(3), weights=_one(rng, None, [2, 1, 1], [0.5, 0.3, 0.2])),
        lambda: ensemble.VotingClassifier(named(2), voting="soft", weights=_one(rng, None, [0.7, 0.3])),
        lambda: ensemble.StackingClassifier(named(2), cv=3, passthrough=bool(rng.random() < 0.4)),
        lambda: ensemble.StackingClassifier(named(2), final_estimator=inner(), cv=3),
        lambda: calibration.CalibratedClassifierCV(
            inner(), cv=3, method=_one(rng, "sigmoid", "isotonic"), ensemble=_one(rng, True, False)
        ),
        lambda: ensemble.BaggingClassifier(
            inner(), int(rng.integers(2, 6)), max_features=_one(rng, 1.0, 0.6), bootstrap_features=False
        ),
        lambda: ensemble.AdaBoostClassifier(inner(), n_estimators=4),
        lambda: multiclass.OneVsRestClassifier(inner()),
        lambda: multiclass.OneVsOneClassifier(inner()),
        lambda: searched(inner(), rng),
    ]


def searched(model: Any, rng: Rng) -> Any:
    """A model inside a search over one of its numbers."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV

    known = model.get_params()
    name = next((name for name in ("C", "alpha", "max_depth", "n_neighbors") if name in known), None)
    grid = {name: [1, 2]} if name else {}
    return _one(
        rng,
        lambda: GridSearchCV(model, grid, cv=2),
        lambda: RandomizedSearchCV(model, grid, n_iter=1, cv=2, random_state=0),
        lambda: HalvingGridSearchCV(model, grid, cv=2, random_state=0),
    )()


def _linear_regressors(rng: Rng) -> list[Make]:
    from sklearn import cross_decomposition, linear_model, svm

    return [
        linear_model.LinearRegression,
        lambda: linear_model.Ridge(alpha=_power(rng, -2, 2)),
        lambda: linear_model.Lasso(alpha=_power(rng, -2, 0)),
        lambda: linear_model.ElasticNet(alpha=_power(rng, -2, 0)),
        linear_model.BayesianRidge,
        linear_model.ARDRegression,
        linear_model.HuberRegressor,
        lambda: linear_model.PoissonRegressor(max_iter=30),
        lambda: linear_model.GammaRegressor(max_iter=30),
        lambda: linear_model.TweedieRegressor(power=1.5, max_iter=30),
        lambda: linear_model.QuantileRegressor(alpha=0.1),
        linear_model.RANSACRegressor,
        lambda: linear_model.TheilSenRegressor(max_subpopulation=50),
        lambda: linear_model.Lars(n_nonzero_coefs=3),
        lambda: linear_model.LassoLars(alpha=0.1),
        linear_model.OrthogonalMatchingPursuit,
        lambda: linear_model.SGDRegressor(loss=_one(rng, "squared_error", "huber")),
        lambda: svm.LinearSVR(C=_power(rng, -1, 1)),
        lambda: cross_decomposition.PLSRegression(2),
    ]


def _tree_regressors(rng: Rng) -> list[Make]:
    from sklearn import ensemble, tree

    size = int(rng.integers(2, 25))
    return [
        lambda: tree.DecisionTreeRegressor(criterion=_one(rng, "squared_error", "absolute_error"), **_shape(rng)),
        lambda: tree.ExtraTreeRegressor(**_shape(rng)),
        lambda: ensemble.RandomForestRegressor(size, **_shape(rng)),
        lambda: ensemble.ExtraTreesRegressor(size, **_shape(rng)),
        lambda: ensemble.GradientBoostingRegressor(
            n_estimators=size,
            learning_rate=float(rng.uniform(0.05, 0.5)),
            loss=_one(rng, "squared_error", "huber", "absolute_error", "quantile"),
            init=_one(rng, None, None, "zero"),
        ),
        lambda: ensemble.HistGradientBoostingRegressor(
            max_iter=size, loss=_one(rng, "squared_error", "absolute_error", "poisson")
        ),
        lambda: ensemble.AdaBoostRegressor(n_estimators=size, loss=_one(rng, "linear", "square")),
        *_boosted(rng, "Regressor", size),
    ]


def _other_regressors(rng: Rng) -> list[Make]:
    from sklearn import dummy, gaussian_process, isotonic, kernel_ridge, neighbors, neural_network, svm

    return [
        lambda: neighbors.KNeighborsRegressor(
            int(rng.integers(1, 9)), weights=_one(rng, "uniform", "distance"), p=_one(rng, 2, 1)
        ),
        lambda: svm.SVR(max_iter=20000, C=_power(rng, -1, 2), kernel=_one(rng, "rbf", "linear", "poly")),
        lambda: svm.NuSVR(max_iter=20000, C=_power(rng, -1, 1)),
        lambda: neural_network.MLPRegressor(_one(rng, (8,), (6, 4)), max_iter=40, activation=_one(rng, "relu", "tanh")),
        lambda: gaussian_process.GaussianProcessRegressor(alpha=0.1),
        lambda: kernel_ridge.KernelRidge(kernel=_one(rng, "linear", "rbf"), gamma=0.1),
        lambda: dummy.DummyRegressor(strategy=_one(rng, "mean", "median")),
        isotonic.IsotonicRegression,
    ]


def _meta_regressors(rng: Rng) -> list[Make]:
    from sklearn import compose, ensemble, multioutput
    from sklearn.preprocessing import QuantileTransformer, StandardScaler

    def inner() -> Any:
        return regressor(rng, depth=1)

    def transformed() -> Any:
        made = inner()
        return _one(
            rng,
            lambda: compose.TransformedTargetRegressor(made, func=np.log1p, inverse_func=np.expm1),
            lambda: compose.TransformedTargetRegressor(made, func=np.sqrt, inverse_func=np.square),
            lambda: compose.TransformedTargetRegressor(made, transformer=StandardScaler()),
            lambda: compose.TransformedTargetRegressor(made, transformer=QuantileTransformer(n_quantiles=20)),
        )()

    return [
        lambda: ensemble.VotingRegressor([("a", inner()), ("b", inner())], weights=_one(rng, None, [0.7, 0.3])),
        lambda: ensemble.StackingRegressor([("a", inner()), ("b", inner())], cv=3, passthrough=rng.random() < 0.4),
        lambda: ensemble.BaggingRegressor(inner(), 4, max_features=_one(rng, 1.0, 0.6)),
        lambda: ensemble.AdaBoostRegressor(inner(), n_estimators=4),
        transformed,
        transformed,
        lambda: multioutput.MultiOutputRegressor(inner()),
        lambda: searched(inner(), rng),
    ]
