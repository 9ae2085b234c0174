"""Models that read frames of mixed columns, and text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from packager.convert.verification import Verified
from packager.core.conversion import RawConversion
from packager.core.errors import ConverterMissing, SampleError, UsageError

Convert = Callable[..., RawConversion]
Prove = Callable[[RawConversion], Verified]
ROWS = 120
RNG = np.random.default_rng(5)
FRAME = pd.DataFrame(
    {
        "age in years": np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.normal(40, 9, ROWS)),
        "visits": RNG.integers(0, 30, ROWS),
        "member": RNG.random(ROWS) < 0.5,
        "zip": RNG.choice(["01234", "90210", "NA"], ROWS),
        "city": np.where(RNG.random(ROWS) < 0.2, np.nan, RNG.choice(["Oslo", "Zürich", "Lima"], ROWS).astype(object)),
    }
)
TARGET = np.where((FRAME["visits"] > 15) ^ (FRAME["zip"] == "NA"), "yes", "no")


def columns(*, unknown: str = "ignore") -> ColumnTransformer:
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age in years"]),
        (StandardScaler(), ["visits"]),
        ("passthrough", ["member"]),
        (OneHotEncoder(handle_unknown=unknown), ["zip"]),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown=unknown)), ["city"]),
    )


def fitted(*, unknown: str = "ignore", last: Any = None) -> Any:
    return make_pipeline(columns(unknown=unknown), last or LogisticRegression()).fit(FRAME, TARGET)


def feeds(verified: Verified, frame: pd.DataFrame) -> dict[str, Any]:
    types = {"BYTES": object, "INT64": np.int64, "BOOL": np.bool_, "FP32": np.float32, "FP64": np.float64}
    return {
        spec.name: (frame[spec.name].fillna("") if spec.dtype == "BYTES" else frame[spec.name])
        .to_numpy()
        .astype(types[spec.dtype])[:, None]
        for spec in verified.graph.signature.inputs
    }


def agrees(model: Any, verified: Verified, frame: pd.DataFrame) -> bool:
    label, chances = verified.graph.session.run(["label", "probabilities"], feeds(verified, frame))
    return bool((label == model.predict(frame)).all()) and np.allclose(chances, model.predict_proba(frame), atol=1e-5)


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_every_column_is_an_input_of_its_own_type(kind: str, tmp_path: Path, convert: Convert, proven: Prove) -> None:
    model, path = fitted(), tmp_path / f"samples.{kind}"
    match kind:
        case "csv":
            FRAME.to_csv(path, index=False)
        case "parquet":
            pytest.importorskip("pyarrow")
            FRAME.to_parquet(path)
        case _:
            path.write_text(json.dumps(json.loads(FRAME.to_json(orient="records"))))
    verified = proven(convert(model, path))
    assert [(spec.name, spec.dtype) for spec in verified.graph.signature.inputs] == [
        ("age in years", "FP64"), ("visits", "INT64"), ("member", "BOOL"), ("zip", "BYTES"), ("city", "BYTES"),
    ]  # fmt: skip
    assert all(spec.shape == ("batch", 1) for spec in verified.graph.signature.inputs)
    assert agrees(model, verified, FRAME)


def test_without_samples_the_model_says_what_its_columns_hold(convert: Convert, proven: Prove) -> None:
    model = fitted()
    verified = proven(convert(model))
    assert [spec.dtype for spec in verified.graph.signature.inputs] == ["FP64", "FP64", "FP64", "BYTES", "BYTES"]
    assert verified.parity is not None
    assert verified.parity.coverage.measures["categories"].reached == 8
    assert agrees(model, verified, FRAME)


def test_an_unknown_category_is_ignored_where_the_encoder_ignores_it(convert: Convert, proven: Prove) -> None:
    model = fitted()
    assert agrees(model, proven(convert(model)), FRAME.assign(zip="new", city="Bergen"))


def test_an_unknown_category_stops_onnx_where_it_stops_the_encoder(convert: Convert, proven: Prove) -> None:
    verified = proven(convert(fitted(unknown="error")))
    with pytest.raises(InvalidArgument, match=r"a category that the model does not know, in feature 'zip'"):
        verified.graph.session.run(None, feeds(verified, FRAME.assign(zip="new")))


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(drop="first", handle_unknown="ignore"),
        OneHotEncoder(min_frequency=45, handle_unknown="infrequent_if_exist"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
        TargetEncoder(cv=5),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_an_encoder_answers_missing_rare_and_unknown_categories(encoder: Any, convert: Convert, proven: Prove) -> None:
    model = make_pipeline(make_column_transformer((encoder, ["zip", "city"])), LogisticRegression())
    model.fit(FRAME, TARGET)
    verified = proven(convert(model))
    assert agrees(model, verified, FRAME)
    assert agrees(model, verified, FRAME.assign(city="Bergen"))


def test_whole_numbers_as_categories_keep_their_type(convert: Convert, proven: Prove) -> None:
    frame = FRAME.assign(code=RNG.integers(2**40, 2**40 + 3, ROWS))
    chosen = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["code", "zip"]))
    model = make_pipeline(chosen, LogisticRegression()).fit(frame, TARGET)
    verified = proven(convert(model))
    dtypes = {spec.name: spec.dtype for spec in verified.graph.signature.inputs}
    assert (dtypes["code"], dtypes["zip"]) == ("INT64", "BYTES")
    assert agrees(model, verified, frame)


def test_pipelines_inside_a_vote_read_their_own_columns(convert: Convert, proven: Prove) -> None:
    forest = make_pipeline(columns(), RandomForestClassifier(5, random_state=0))
    model = VotingClassifier([("a", fitted()), ("b", forest)], voting="soft").fit(FRAME, TARGET)
    assert agrees(model, proven(convert(model)), FRAME)


def test_columns_that_the_model_drops_are_no_inputs(convert: Convert, proven: Prove) -> None:
    chosen = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["zip"]))
    verified = proven(convert(make_pipeline(chosen, LogisticRegression()).fit(FRAME, TARGET)))
    assert [spec.name for spec in verified.graph.signature.inputs] == ["zip"]


def test_a_column_of_which_nothing_is_known_needs_samples(convert: Convert) -> None:
    chosen = make_column_transformer((FunctionTransformer(), ["age in years"]), (OneHotEncoder(), ["zip"]))
    model = chosen.fit(FRAME)
    with pytest.raises(SampleError, match="does not say what column 'age in years' holds") as caught:
        convert(model)
    assert "--samples" in caught.value.hint


def test_text_where_the_model_takes_numbers_is_refused(tmp_path: Path, convert: Convert) -> None:
    FRAME.astype({"visits": str}).assign(visits="many").to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(SampleError, match=r"column 'visits' of the samples holds 'many', the model takes numbers"):
        convert(fitted(), tmp_path / "s.csv")


def test_strings_and_numbers_in_one_encoder_column_are_refused(convert: Convert) -> None:
    model = make_pipeline(OrdinalEncoder(), LogisticRegression()).fit(FRAME[["zip"]], TARGET)
    model[0].categories_ = [np.array(["a", 1, "b"], object)]
    with pytest.raises(ConverterMissing, match="hold strings and int together"):
        convert(model)


def test_values_on_the_edge_of_a_bin_fall_where_they_did(convert: Convert, proven: Prove) -> None:
    values = np.round(RNG.random((200, 2)), 2)
    bins = KBinsDiscretizer(5, encode="ordinal", quantile_method="averaged_inverted_cdf")
    model = make_pipeline(bins, LogisticRegression()).fit(values, values[:, 0] > 0.5)
    verified = proven(convert(model))
    assert verified.graph.signature.inputs[0].dtype == "FP64"
    edges = np.column_stack([model[0].bin_edges_[0], model[0].bin_edges_[1]])
    given = verified.graph.session.run(["probabilities"], {"X": edges})[0]
    assert np.allclose(given, model.predict_proba(edges), atol=1e-5)


TEXTS = [
    "A café à Paris, été comme hiver", "Zürich isn't far", "", "x y z", "THE QUICK brown_fox 42", "été ÉTÉ Été",
    "the fox the café", "!!!", "a b", "naïve façade — déjà vu",
] * 4  # fmt: skip
VECTORIZERS = [
    TfidfVectorizer(),
    TfidfVectorizer(sublinear_tf=True, norm="l1", token_pattern=r"(?u)\b\w+\b"),
    TfidfVectorizer(ngram_range=(1, 2), stop_words=["the", "comme"]),
    TfidfVectorizer(lowercase=False, use_idf=False, binary=True),
    CountVectorizer(ngram_range=(1, 3)),
    CountVectorizer(stop_words="english", min_df=2),
    TfidfVectorizer(analyzer="char", ngram_range=(1, 3)),
    TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), lowercase=False),
    TfidfVectorizer(strip_accents="unicode", ngram_range=(1, 2)),
    CountVectorizer(strip_accents="ascii", analyzer="char_wb", ngram_range=(3, 5)),
]


@pytest.mark.parametrize("number", range(len(VECTORIZERS)))
def test_text_is_counted_as_the_vectoriser_does(number: int, convert: Convert, proven: Prove) -> None:
    model = make_pipeline(VECTORIZERS[number], LogisticRegression()).fit(TEXTS, [0, 1] * 20)
    verified = proven(convert(model))
    assert [(spec.name, spec.dtype, spec.shape) for spec in verified.graph.signature.inputs] == [
        ("text", "BYTES", ("batch", 1))
    ]
    rows = np.array(TEXTS, object)[:, None]
    assert np.allclose(verified.graph.session.run(["probabilities"], {"text": rows})[0], model.predict_proba(TEXTS))


@pytest.mark.parametrize("texts", [["", ""], ["!"], ["unseen words only"]])
def test_texts_without_a_known_word_are_answered(texts: list[str], convert: Convert, proven: Prove) -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [0, 1] * 20)
    session = proven(convert(model)).graph.session
    given = session.run(["probabilities"], {"text": np.array(texts, object)[:, None]})[0]
    assert np.allclose(given, model.predict_proba(texts), atol=1e-6)


@pytest.mark.parametrize(
    ("vectoriser", "reason"),
    [
        (TfidfVectorizer(analyzer=str.split), "analyzer=str.split"),
        (TfidfVectorizer(strip_accents=str.lower), "strip_accents=str.lower"),
        (TfidfVectorizer(tokenizer=str.split, token_pattern=None), "tokenizer=str.split"),
        (TfidfVectorizer(token_pattern=r"\w{3,5}"), "token_pattern"),
    ],
)
def test_a_vectoriser_without_a_faithful_form_is_refused(vectoriser: Any, reason: str, convert: Convert) -> None:
    model = make_pipeline(vectoriser, LogisticRegression()).fit(TEXTS, [0, 1] * 20)
    with pytest.raises(ConverterMissing) as caught:
        convert(model)
    assert reason in caught.value.message
    assert caught.value.hint


def test_hashed_text_is_refused(convert: Convert) -> None:
    model = make_pipeline(HashingVectorizer(n_features=8), LogisticRegression()).fit(TEXTS, [0, 1] * 20)
    with pytest.raises((ConverterMissing, SampleError)):
        convert(model)


def test_a_plugin_that_is_not_there_is_named(convert: Convert) -> None:
    with pytest.raises(UsageError, match=r"--plugin 'no_such_module' cannot be imported") as caught:
        convert(fitted(), options={"plugin": "no_such_module"})
    assert "update_registered_converter" in caught.value.hint
