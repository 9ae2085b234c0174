"""Print the names that pickles of an installed scikit-learn may refer to, one module a line.

    python tools/list_pickled_names.py > names.txt
    python tools/list_pickled_names.py --merge names-1.1.txt names-1.9.txt … > packager/convert/safety/lists/sklearn.txt

Runs in any environment with scikit-learn (1.1 and later), without dray, so that lists of several versions can be merged. Two sources: what pickles of every fitted estimator really refer to, and the classes of
kinds that estimators hold (kernels, losses, splitters, scorers). Look at what is new before it goes into a list.
"""

import importlib
import inspect
import pickle
import pickletools
import pkgutil
import sys
import warnings
from collections import defaultdict

import numpy as np
import sklearn
from sklearn import base
from sklearn.utils import all_estimators

SKIPPED = (
    "tests",
    "conftest",
    "datasets",
    "externals",
    "experimental",
    "_build_utils",
    "estimator_checks",
    "_mocking",
    "_testing",
)


# Nothing that estimators hold: plots, things that build trees, and text.
UNWANTED_MODULES = (
    "sklearn.metrics._plot",
    "sklearn.metrics._pairwise_distances_reduction",
    "sklearn.utils._seq_dataset",
)
UNWANTED = {
    "CalibrationDisplay", "MetadataRouter", "MethodMapping", "MethodPair", "RequestMethod", "RouterMappingPair", "TreeGrower",
    "_MetadataRequester", "_RoutingNotSupportedMixin", "check_scoring", "classification_report", "distance_metrics",
    "get_scorer", "get_scorer_names", "kernel_metrics", "make_scorer", "__pyx_unpickle_Enum", "__pyx_unpickle___Pyx_EnumMeta",
    "_DeprecatedScorers", "TreeBuilder", "BestFirstTreeBuilder", "DepthFirstTreeBuilder", "__pyx_unpickle_TreeBuilder",
    "NewtonSolver", "NewtonCholeskySolver", "_kmeans_single_lloyd",
}  # fmt: skip


def main(arguments):
    warnings.simplefilter("ignore")
    pairs = set(merged(arguments[1:])) if arguments[:1] == ["--merge"] else installed()
    modules = defaultdict(set)
    for module, name in pairs:
        modules[module].add(name)
    for module in sorted(modules):
        sys.stdout.write(f"{module}: {' '.join(sorted(modules[module]))}\n")


def installed():
    found = set(classes()) | set(functions())
    found = {
        (module, name) for module, name in found if name not in UNWANTED and not module.startswith(UNWANTED_MODULES)
    }
    return found | set(referenced())


def merged(paths):
    """The names of scikit-learn in several lists; those of other libraries have lists of their own, made by hand."""
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for module, _, names in (line.partition(":") for line in lines):
                if module.startswith("sklearn"):
                    yield from ((module, name) for name in names.split())
                if module == "sklearn._loss._loss":  # as scikit-learn 1.4 to 1.8 names this module
                    yield from (("_loss", name) for name in names.split())


def modules():
    for info in pkgutil.walk_packages(sklearn.__path__, "sklearn.", onerror=lambda _: None):
        if any(part in SKIPPED for part in info.name.split(".")):
            continue
        try:
            yield importlib.import_module(info.name)
        except ImportError:
            continue


def classes():
    """Estimators, private ones too, and the kinds of objects that they hold."""
    from sklearn.gaussian_process.kernels import Hyperparameter, Kernel
    from sklearn.model_selection import _split

    kinds = (base.BaseEstimator, Kernel, Hyperparameter, _split._RepeatedSplits, _split.BaseCrossValidator)
    yield from (
        (_split.__name__, name)
        for name, kind in vars(_split).items()
        if inspect.isclass(kind) and hasattr(kind, "split")
    )
    for module in modules():
        for name, kind in vars(module).items():
            if not inspect.isclass(kind) or kind.__module__ != module.__name__:
                continue
            if issubclass(kind, kinds) or held(module.__name__, name):
                yield kind.__module__, kind.__qualname__


def held(module, name):
    prefixes = (
        "sklearn._loss",
        "sklearn.ensemble._gb_losses",
        "sklearn.ensemble._hist_gradient_boosting",
        "sklearn.metrics._scorer",
        "sklearn.metrics._dist_metrics",
        "sklearn.linear_model._sgd_fast",
        "sklearn.neural_network._stochastic_optimizers",
        "sklearn.neighbors",
        "sklearn.tree._tree",
        "sklearn.tree._criterion",
        "sklearn.tree._splitter",
        "sklearn.calibration",
        "sklearn.cluster",
        "sklearn.utils._metadata_requests",
        "sklearn.utils._bunch",
        "sklearn.utils._encode",
        "sklearn.compose._column_transformer",
        "sklearn.linear_model._glm",
        "sklearn.linear_model._linear_loss",
    )
    return module.startswith(prefixes) and not issubclass_safe(module, name, (Exception, Warning))


def issubclass_safe(module, name, kinds):
    return issubclass(getattr(sys.modules[module], name), kinds)


def functions():
    """Numeric functions that estimators take as parameters, and the helpers by which Cython classes are restored."""
    from sklearn import metrics
    from sklearn.feature_selection import _mutual_info, _univariate_selection
    from sklearn.metrics import pairwise

    for module in (metrics, pairwise):
        for name in module.__all__ if hasattr(module, "__all__") else vars(module):
            function = getattr(module, name, None)
            if (
                inspect.isfunction(function)
                and function.__module__.startswith("sklearn.metrics")
                and not name.startswith("_")
            ):
                yield function.__module__, function.__name__
    for module in (_univariate_selection, _mutual_info):
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                yield module.__name__, name
    for module in modules():
        for name, value in vars(module).items():
            if name.startswith("__pyx_unpickle_") or name == "newObj":
                yield module.__name__, name


def referenced():
    """What pickles of fitted estimators refer to."""
    for name, kind in all_estimators():
        model = fitted(name, kind)
        if model is None:
            sys.stderr.write(f"not fitted: {name}\n")
            continue
        # Before protocol 4 every name stands in one opcode.
        text = pickle.dumps(model, protocol=2, fix_imports=False)
        for opcode, argument, _ in pickletools.genops(text):
            if opcode.name == "GLOBAL":
                module, _, found = argument.partition(" ")
                yield module, found


def fitted(name, kind):
    rng = np.random.RandomState(0)
    X = rng.rand(40, 5)
    classes_ = np.arange(40) % 3
    for features, target in (
        (X, classes_), (X, rng.rand(40)), (X, classes_ == 1), (X, np.c_[classes_, classes_]), (X, rng.rand(40, 2)),
        (["some words here", "other words", "more"] * 10, None), ([{"a": 1, "b": "x"}, {"a": 2}], None), (X[:, 0], rng.rand(40)),
        (X[:, 0], None), (classes_, None), (np.c_[classes_, classes_], None), ([("a", "b"), ("c",)], None),
    ):  # fmt: skip
        try:
            return made(kind).fit(features, target) if target is not None else made(kind).fit(features)
        except Exception:  # noqa: BLE001 - the next kind of data may fit
            continue
    return None


def made(kind):
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    regressor = issubclass(kind, base.RegressorMixin)
    inner = Ridge() if regressor else LogisticRegression()
    required = {
        parameter.name
        for parameter in inspect.signature(kind.__init__).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    } - {"self"}
    values = {
        "estimator": inner, "base_estimator": inner, "estimators": [("a", inner), ("b", inner)], "steps": [("m", inner)],
        "transformer_list": [("s", StandardScaler())], "transformers": [("s", StandardScaler(), [0, 1])],
        "param_grid": {}, "param_distributions": {"fit_intercept": [True, False]},
        "dictionary": np.eye(5), "regressor": inner, "transformer": StandardScaler(),
    }  # fmt: skip
    if "param_grid" in required:
        values["param_grid"] = {"fit_intercept": [True, False]}
    return kind(**{name: values[name] for name in required if name in values})


if __name__ == "__main__":
    main(sys.argv[1:])
