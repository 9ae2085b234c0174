"""Random preprocessing for the fuzz: numbers, categories and texts."""

from typing import Any

import numpy as np

Rng = np.random.Generator


def numeric_steps(rng: Rng, *, gaps: bool, flags: bool = False) -> list[Any]:
    """Up to three transformers of numbers.

    Args:
        gaps: The columns have missing values. ``flags``: they are booleans.
    """
    from sklearn.impute import SimpleImputer

    steps: list[Any] = []
    if gaps:
        steps.append(
            SimpleImputer(
                strategy=str(rng.choice(["mean", "median", "most_frequent", "constant"])),
                add_indicator=bool(rng.random() < 0.3),
                keep_empty_features=bool(rng.random() < 0.2),
            )
        )
    choices = [*_scalers(rng), *_shapers(rng), *_reducers(rng)]
    count = int(rng.choice([0, 1, 1, 1, 2, 2]))
    steps += [choices[int(rng.integers(len(choices)))]() for _ in range(count)]
    if flags and rng.random() < 0.2:
        steps.insert(0, _function(rng))
    return steps


def _scalers(rng: Rng) -> list[Any]:
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler

    return [
        StandardScaler,
        StandardScaler,
        StandardScaler,
        lambda: StandardScaler(with_mean=bool(rng.random() < 0.5), with_std=bool(rng.random() < 0.5)),
        MinMaxScaler,
        lambda: MinMaxScaler(feature_range=(-1, 2), clip=bool(rng.random() < 0.5)),
        RobustScaler,
        lambda: RobustScaler(quantile_range=(10, 80), unit_variance=bool(rng.random() < 0.5)),
        MaxAbsScaler,
        lambda: Normalizer(norm=str(rng.choice(["l1", "l2", "max"]))),
    ]


def _shapers(rng: Rng) -> list[Any]:
    from sklearn.preprocessing import (
        Binarizer,
        KBinsDiscretizer,
        PolynomialFeatures,
        PowerTransformer,
        QuantileTransformer,
        SplineTransformer,
    )

    return [
        PowerTransformer,
        lambda: QuantileTransformer(n_quantiles=20),
        lambda: QuantileTransformer(n_quantiles=20, output_distribution="normal"),
        lambda: KBinsDiscretizer(
            int(rng.integers(2, 6)),
            encode=str(rng.choice(["onehot", "ordinal", "onehot-dense"])),
            strategy=str(rng.choice(["uniform", "quantile"])),
            quantile_method="averaged_inverted_cdf",
        ),
        lambda: PolynomialFeatures(
            int(rng.integers(2, 4)), interaction_only=bool(rng.random() < 0.5), include_bias=bool(rng.random() < 0.5)
        ),
        lambda: SplineTransformer(
            int(rng.integers(2, 6)),
            degree=int(rng.integers(1, 4)),
            extrapolation=str(rng.choice(["constant", "linear", "continue"])),
        ),
        lambda: Binarizer(threshold=float(rng.random())),
        lambda: _function(rng),
        lambda: _function(rng),
    ]


def _reducers(rng: Rng) -> list[Any]:
    from sklearn.decomposition import PCA, TruncatedSVD
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.pipeline import FeatureUnion
    from sklearn.preprocessing import StandardScaler

    return [
        lambda: PCA(2, whiten=bool(rng.random() < 0.3)),
        lambda: TruncatedSVD(2),
        VarianceThreshold,
        lambda: FeatureUnion([("s", StandardScaler()), ("p", PCA(1))], transformer_weights={"s": 0.5}),
    ]


def _function(rng: Rng) -> Any:
    """A numpy function over absolute values, as pipelines for skewed columns have it."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    name = str(rng.choice(["log1p", "log1p", "sqrt", "square", "abs", "cbrt", "arctan", "sign"]))
    return make_pipeline(FunctionTransformer(np.abs), FunctionTransformer(getattr(np, name)))


def text_steps(rng: Rng, *, gaps: bool) -> list[Any]:
    """An encoder, with an imputer before it where values are missing, or without."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

    steps: list[Any] = []
    if gaps and rng.random() < 0.6:
        steps.append(
            SimpleImputer(strategy="constant", fill_value="none", add_indicator=False)
            if rng.random() < 0.5
            else SimpleImputer(strategy="most_frequent")
        )
    choices = [
        lambda: OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder,
        lambda: OneHotEncoder(drop="first"),
        lambda: OneHotEncoder(drop="if_binary", sparse_output=False),
        lambda: OneHotEncoder(drop="first", handle_unknown="ignore"),
        lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=30),
        lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2),
        lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, min_frequency=20),
        OrdinalEncoder,
        lambda: OrdinalEncoder(encoded_missing_value=-2),
        lambda: TargetEncoder(random_state=0, smooth=[1.0, "auto"][int(rng.integers(2))]),
    ]
    steps.append(choices[int(rng.integers(len(choices)))]())
    return steps


def vectorizer(rng: Rng) -> Any:
    """A vectoriser of texts."""
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer

    analyzer = str(rng.choice(["word", "word", "word", "word", "char", "char_wb"]))
    options: dict[str, Any] = {
        "analyzer": analyzer,
        "ngram_range": [(1, 1), (1, 2), (2, 3)][int(rng.integers(3))],
        "lowercase": bool(rng.random() < 0.8),
        "binary": bool(rng.random() < 0.2),
        "strip_accents": [None, None, None, "unicode", "ascii"][int(rng.integers(5))],
    }
    if analyzer == "word":
        options["stop_words"] = [None, None, "english", ["der", "die"]][int(rng.integers(4))]
        options["token_pattern"] = [r"(?u)\b\w\w+\b", r"(?u)\b\w+\b", r"\w{3,}"][int(rng.integers(3))]
    if rng.random() < 0.05:
        return HashingVectorizer(n_features=64, **options)
    options |= {"min_df": int(rng.integers(1, 4)), "max_features": [None, 20][int(rng.integers(2))]}
    if rng.random() < 0.4:
        return CountVectorizer(**options)
    norm = [None, "l1", "l2", "l2"][int(rng.integers(4))]
    return TfidfVectorizer(sublinear_tf=bool(rng.random() < 0.3), norm=norm, **options)


def selector(rng: Rng, *, regression: bool) -> Any:
    """A feature selection."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, SelectPercentile, f_classif, f_regression

    score = f_regression if regression else f_classif
    trees = (ExtraTreesRegressor if regression else ExtraTreesClassifier)(5, random_state=0)
    return [
        lambda: SelectKBest(score, k=2),
        lambda: SelectPercentile(score, percentile=60),
        lambda: SelectFromModel(trees),
        lambda: RFE(trees, n_features_to_select=2),
    ][int(rng.integers(4))]()
