"""A model that takes texts, from every dialect to its answers."""

import builtins
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from packager.smoke.invocation import build_request
from runtime.contract.manifest import TensorSpec
from runtime.contract.package import read_package
from runtime.contract.wire import ModelMetadata
from runtime.engine.costs import measure
from runtime.engine.repository import Repository
from runtime.engine.selftest import self_test
from runtime.engine.session import SessionSettings, load_model
from runtime.engine.texts import answer_texts
from runtime.errors import ModelLoadFailed
from runtime.preprocessing.tokenization import MAX_CHARACTERS, TokenizationError, Tokenizer, Tokens, groups
from runtime.routes.serving import Serving
from tests.runtime.test_invocations import ask, refused, served
from tests.support.texts import MAX_LENGTH, STEP, TEXTS, answer, text_package, word_tokenizer

ONE = SessionSettings(threads=1)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_package(tmp_path_factory.mktemp("texts") / "texts").root


@pytest.fixture
def serving(package: Path) -> Serving:
    return served(package)


def infer(serving: Serving, *texts: Any, shape: list[int] | None = None) -> httpx.Response:
    tensor = {"name": "text", "shape": shape or [len(texts)], "datatype": "BYTES", "data": list(texts)}
    return ask(serving, "POST", "/v2/models/texts/infer", json={"inputs": [tensor]})


def content() -> bytes:
    return word_tokenizer().to_str().encode()


def right(rows: Any, *texts: str) -> None:
    np.testing.assert_allclose(np.array(rows, np.float32), np.stack([answer(text) for text in texts]), atol=1e-6)


# --- answers


def test_package_of_texts_passes_its_own_test(package: Path) -> None:
    model = load_model(read_package(package), ONE)

    assert self_test(model) == 3
    assert [spec.dtype for spec in model.manifest.signature.inputs] == ["BYTES"]


def test_texts_of_different_lengths_are_answered_in_their_order(serving: Serving) -> None:
    output = infer(serving, *TEXTS).json()["outputs"][0]

    assert output["shape"] == [len(TEXTS), 4]
    right(np.reshape(output["data"], (-1, 4)), *TEXTS)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": ["good film", "bad"]},
        {"inputs": {"text": ["good film", "bad"]}},
        {"instances": ["good film", "bad"]},
        {"instances": [{"text": "good film"}, {"text": "bad"}]},
        {"dataframe_records": [{"text": "good film", "id": 7}, {"text": "bad", "id": 8}]},
        {"dataframe_split": {"columns": ["text"], "data": [["good film"], ["bad"]]}},
    ],
)
def test_every_form_of_an_invocation_takes_texts(serving: Serving, body: dict[str, Any]) -> None:
    response = ask(serving, "POST", "/invocations", json=body)

    assert response.status_code == 200, response.text
    right(response.json()["predictions"], "good film", "bad")


def test_csv_takes_texts_with_commas_and_line_breaks(serving: Serving) -> None:
    body = 'text\n"good, film\nand the bad"\nfür\n'.encode()
    response = ask(serving, "POST", "/invocations", content=body, headers={"content-type": "text/csv"})

    right(response.json()["predictions"], "good, film\nand the bad", "für")


def test_pairs_are_one_sequence_of_two_texts(tmp_path: Path) -> None:
    serving = served(text_package(tmp_path / "pairs", pairs=True).root)
    rows = [{"text": "good film", "text_pair": "bad"}, {"text": "the", "text_pair": "film " * 20}]
    response = ask(serving, "POST", "/invocations", json={"dataframe_records": rows})

    expected = np.stack([answer(row["text"], row["text_pair"]) for row in rows])
    np.testing.assert_allclose(response.json()["predictions"], expected, atol=1e-6)


def test_a_prompt_stands_before_every_text(tmp_path: Path) -> None:
    step = STEP.model_copy(update={"prefix": "good "})
    tokens = Tokenizer(step, content()).encode({"text": np.array(["film"], dtype=object)})

    assert list(tokens[0].ids) == [2, 4, 6, 3]


def test_the_invocation_of_a_person_sends_the_text_as_it_is(serving: Serving) -> None:
    metadata = ModelMetadata.model_validate(ask(serving, "GET", "/v2/models/texts").json())
    request = build_request(metadata, None, ["text=good, film"])

    assert request.inputs[0].model_dump()["data"] == ["good, film"]
    assert request.inputs[0].shape == [1]


# --- what clients are told


def test_metadata_and_schema_show_texts_and_never_tokens(serving: Serving) -> None:
    metadata = ask(serving, "GET", "/v2/models/texts").json()
    document = json.dumps(ask(serving, "GET", "/openapi.json").json())

    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["parameters"]["tokenizer"] == {"max_length": MAX_LENGTH}
    assert '"text/csv"' in document
    assert '"ids"' not in document
    assert '"mask"' not in document


def test_examples_of_the_schema_are_answered(serving: Serving) -> None:
    document = ask(serving, "GET", "/openapi.json").json()
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]

    for example in content["application/json"]["examples"].values():
        assert ask(serving, "POST", "/invocations", json=example["value"]).status_code == 200
    headers = {"content-type": "text/csv"}
    body = content["text/csv"]["example"].encode()
    assert ask(serving, "POST", "/invocations", content=body, headers=headers).status_code == 200


# --- refusals


@pytest.mark.parametrize("wrong", [7, True, ["good"]])
def test_what_is_no_text_is_refused(serving: Serving, wrong: object) -> None:
    body = refused(infer(serving, "good", wrong), 400, "E-INPUT")

    assert "input 'text'" in body["error"]


def test_ids_in_the_place_of_texts_are_refused(serving: Serving) -> None:
    tensor = {"name": "ids", "shape": [1, 2], "datatype": "INT64", "data": [1, 2]}
    body = refused(ask(serving, "POST", "/v2/models/texts/infer", json={"inputs": [tensor]}), 400, "E-INPUT")

    assert "the model takes 'text'" in body["error"]


@pytest.mark.parametrize("body", [{"inputs": []}, {"instances": []}, {"dataframe_records": []}])
def test_a_request_without_a_text_is_refused(serving: Serving, body: dict[str, Any]) -> None:
    assert "no text" in refused(ask(serving, "POST", "/invocations", json=body), 400, "E-INPUT")["error"]


def test_bytes_that_are_not_utf8_are_refused_with_their_row(package: Path) -> None:
    model = load_model(read_package(package), ONE)
    with pytest.raises(Exception, match=r"needs texts in UTF-8, got b'.xff' in row 1") as caught:
        model.run({"text": np.array([b"good", b"\xff"], dtype=object)})

    assert caught.value.detail == {"tensor": "text", "row": 1}  # type: ignore[attr-defined]


def test_csv_that_is_not_utf8_is_refused(serving: Serving) -> None:
    headers = {"content-type": "text/csv"}
    response = ask(serving, "POST", "/invocations", content=b"text\n\xff\n", headers=headers)

    assert "not UTF-8" in refused(response, 400, "E-INPUT")["error"]


def test_a_text_without_any_token_is_refused() -> None:
    bare = word_tokenizer()
    bare.post_processor = None
    tokenizer = Tokenizer(STEP, bare.to_str().encode())
    with pytest.raises(TokenizationError, match="at least one token, got '' in row 1"):
        tokenizer.encode({"text": np.array(["good", ""], dtype=object)})


def test_a_text_that_takes_too_long_to_read_is_refused(serving: Serving) -> None:
    body = refused(infer(serving, "good", "x" * (MAX_CHARACTERS + 1)), 400, "E-INPUT")

    assert body["detail"]["row"] == 1
    assert body["detail"]["actual"] == MAX_CHARACTERS + 1


def test_texts_of_a_request_that_was_given_up_are_not_read_on() -> None:
    asked = []
    texts = {"text": np.array(["good " * 40_000] * 5, dtype=object)}
    with pytest.raises(TokenizationError, match="given up"):
        Tokenizer(STEP, content()).encode(texts, stopped=lambda: len(asked) == 2 or asked.append(1) is not None)

    assert len(asked) == 2


def test_a_server_without_the_library_says_what_to_install(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "tokenizers":
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    repository = Repository((package,), lambda: ONE)
    repository.load()

    error = repository.slots[0].error
    assert repository.state == "failed"
    assert isinstance(error, ModelLoadFailed)
    assert "tokenizers that makes tokens of them is not installed here" in error.message
    assert 'pip install "dray[text]"' in error.hint


def test_a_tokenizer_that_the_library_does_not_take_is_named() -> None:
    with pytest.raises(TokenizationError, match=r"cannot use tokenizer\.json") as caught:
        Tokenizer(STEP, b'{"version": "9"}')

    assert "package the model again" in caught.value.hint


# --- runs


def test_runs_hold_no_more_tokens_than_a_graph_bears() -> None:
    rows = [Tokens(np.ones(length), np.zeros(length)) for length in (1, 5, 3, 3, 9)]

    assert list(groups(rows, range(5), limit=10)) == [[0, 1], [2, 3], [4]]
    assert list(groups(rows, range(5), limit=0)) == [[0], [1], [2], [3], [4]]


def test_rows_that_share_runs_by_length_come_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.engine.texts.TOKENS_PER_RUN", 12)
    sizes = []

    def lengths(feeds: Any) -> list[Any]:
        sizes.append(feeds["ids"].shape)
        return [feeds["mask"].sum(axis=1)]

    texts = {"text": np.array(["good film and", "bad", "the " * 9, "", "good"], dtype=object)}
    counted = answer_texts(Tokenizer(STEP, content()), texts, lengths, batchable=True)

    assert counted[0].tolist() == [5, 3, 8, 2, 3]
    assert sizes == [(3, 3), (1, 5), (1, 8)]


def test_rows_of_a_model_that_is_not_safe_in_batches_run_alone(tmp_path: Path) -> None:
    package = text_package(tmp_path / "unmasked", masked=False)
    model = load_model(package, ONE)

    assert not package.certificate.batch_safety.batchable
    right(model.run({"text": np.array(TEXTS, dtype=object)})["embedding"], *TEXTS)


def test_rows_may_be_filled_up_on_the_left() -> None:
    tokenizer = Tokenizer(STEP.model_copy(update={"padding_side": "left", "pad_id": 9}), content())
    feeds = tokenizer.padded(tokenizer.encode({"text": np.array(["good", "good film"], dtype=object)}))

    assert feeds["ids"].tolist() == [[9, 2, 4, 3], [2, 4, 6, 3]]
    assert feeds["mask"].tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]


def test_texts_have_the_shape_of_the_signature(package: Path) -> None:
    assert read_package(package).manifest.signature.inputs == (
        TensorSpec(name="text", dtype="BYTES", shape=("batch",)),
    )


# --- beside other requests


def test_texts_never_hold_up_the_event_loop(package: Path) -> None:
    """However fast the first text of the test data was, another may be long."""
    assert not measure(load_model(read_package(package), ONE)).inline


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/texts:predict", {"instances": ["good film", "bad"]}),
        ("/v1/models/texts:predict", {"inputs": {"text": ["good film", "bad"]}}),
        ("/score", {"data": ["good film", "bad"]}),
        ("/score", {"input_data": {"columns": ["text"], "index": [0, 1], "data": [["good film"], ["bad"]]}}),
    ],
)
def test_every_other_dialect_takes_texts(serving: Serving, path: str, body: dict[str, Any]) -> None:
    response = ask(serving, "POST", path, json=body)

    assert response.status_code == 200, response.text
    document = response.json()
    rows = document if isinstance(document, list) else next(iter(document.values()))
    right(rows, "good film", "bad")
