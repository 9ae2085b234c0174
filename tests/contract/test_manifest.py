import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import (
    ModelManifest,
    OnnxInfo,
    Signature,
    SourceInfo,
    TensorSpec,
    Tokenization,
    content_digest,
)

SHA = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
PATHS = st.from_regex(r"[a-z]{1,5}(/[a-z0-9]{1,5}){0,2}\.pb", fullmatch=True)
DIMS = st.integers(1, 1000) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
SPECS = st.builds(
    TensorSpec,
    name=st.text(min_size=1, max_size=10),
    dtype=st.sampled_from(list(DTYPES)),
    shape=st.lists(DIMS, max_size=4).map(tuple),
)
SIDES = st.lists(SPECS, min_size=1, max_size=3, unique_by=lambda spec: spec.name).map(tuple)
LABELS = st.lists(st.booleans() | st.integers() | st.text(max_size=5), max_size=3).map(tuple)
MANIFESTS = st.builds(
    ModelManifest,
    name=NAMES,
    version=NAMES,
    source=st.builds(SourceInfo, framework=NAMES, framework_version=NAMES, filename=NAMES, sha256=SHA),
    onnx=st.builds(
        OnnxInfo,
        path=PATHS,
        opset=st.integers(1, 30),
        domains=st.dictionaries(NAMES, st.integers(1, 5), max_size=2),
        ir_version=st.integers(1, 12),
        sha256=SHA,
        size_bytes=st.integers(0, 2**40),
    ),
    signature=st.builds(Signature, inputs=SIDES, outputs=SIDES, batch_dim=st.none() | st.just("batch")),
    files=st.dictionaries(PATHS, SHA, max_size=4),
    labels=st.none() | st.dictionaries(NAMES, LABELS, max_size=2),
)


@given(MANIFESTS)
def test_manifest_reads_back_equal(manifest: ModelManifest) -> None:
    assert ModelManifest.model_validate_json(manifest.to_bytes()) == manifest


@given(MANIFESTS, st.randoms())
def test_bytes_do_not_depend_on_the_order_of_files(manifest: ModelManifest, random: Any) -> None:
    items = list(manifest.files.items())
    random.shuffle(items)
    assert manifest.model_copy(update={"files": dict(items)}).to_bytes() == manifest.to_bytes()


@given(st.dictionaries(PATHS, SHA, min_size=1, max_size=8), st.randoms())
def test_digest_does_not_depend_on_order(files: dict[str, str], random: Any) -> None:
    items = list(files.items())
    random.shuffle(items)
    assert content_digest(dict(items)) == content_digest(files)


@given(st.dictionaries(PATHS, SHA, min_size=1, max_size=4), SHA)
def test_digest_covers_every_file(files: dict[str, str], other: str) -> None:
    path = next(iter(files))
    if files[path] != other:
        assert content_digest({**files, path: other}) != content_digest(files)
    assert content_digest({**files, "another.pb": other}) != content_digest(files)


@pytest.mark.parametrize("shape", [[True], [0], [-1], [1.5], ["s0*2"], ["2x"]])
def test_dimension_that_is_none_is_refused(shape: list[Any]) -> None:
    with pytest.raises(ValidationError):
        TensorSpec.model_validate_json(json.dumps({"name": "x", "dtype": "FP32", "shape": shape}))


@pytest.mark.parametrize("path", ["/etc/passwd", "../model.onnx", "a/../b", "a\\b", "", "./a", "a//b"])
def test_path_that_leaves_the_package_is_refused(path: str) -> None:
    document = {"path": path, "opset": 18, "domains": {}, "ir_version": 10, "sha256": "0" * 64, "size_bytes": 1}
    with pytest.raises(ValidationError, match="not a plain relative path"):
        OnnxInfo.model_validate(document)


def test_repeated_tensor_names_are_refused() -> None:
    spec = TensorSpec(name="x", dtype="FP32", shape=("batch",))
    with pytest.raises(ValidationError, match="tensor names repeat"):
        Signature(inputs=(spec, spec), outputs=(spec,))


def test_columns_must_be_as_many_as_the_last_axis() -> None:
    with pytest.raises(ValidationError, match="names 1 columns"):
        TensorSpec(name="x", dtype="FP32", shape=("batch", 2), columns=("a",))


# --- preprocessing

STEP = Tokenization(input_ids="input_ids", max_length=16)


def of_texts(step: Tokenization = STEP, *, path: str = "tokenizer.json", **spec: Any) -> ModelManifest:
    text = TensorSpec(**{"name": "text", "dtype": "BYTES", "shape": ("batch",), **spec})
    info = {"path": "model.onnx", "opset": 18, "domains": {}, "ir_version": 10, "sha256": "0" * 64, "size_bytes": 1}
    return ModelManifest(
        name="m",
        version="1",
        source=SourceInfo(framework="f", framework_version="1", filename="m", sha256="0" * 64),
        onnx=OnnxInfo(**info),
        signature=Signature(inputs=(text,), outputs=(), batch_dim="batch"),
        files={path: "0" * 64},
        preprocessing=step,
    )


@given(MANIFESTS)
def test_a_package_without_preprocessing_has_the_bytes_it_always_had(manifest: ModelManifest) -> None:
    keys = list(json.loads(manifest.to_bytes()))

    assert keys == ["schema_version", "name", "version", "source", "onnx", "signature", "files", "labels", "training"]


def test_a_tokenizer_is_read_back_and_covered_by_the_digest() -> None:
    manifest = of_texts()

    assert ModelManifest.model_validate_json(manifest.to_bytes()) == manifest
    assert b'"max_length": 16' in manifest.to_bytes()
    assert manifest.preprocessing is not None
    assert manifest.preprocessing.graph_inputs == ("input_ids",)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"path": "other.json"}, "is not among the files"),
        ({"dtype": "INT64"}, "one text a row"),
        ({"shape": ("batch", 1)}, "one text a row"),
        ({"name": "sentence"}, "one text a row"),
        ({"step": STEP.model_copy(update={"text_pair": "text_pair"})}, "one text a row"),
    ],
)
def test_a_tokenizer_that_does_not_fit_the_signature_is_refused(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        of_texts(**wrong)
