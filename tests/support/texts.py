"""A small model that takes texts: a tokenizer of a few words, and a graph that takes the mean of their vectors."""

import tempfile
from pathlib import Path

import numpy as np
import tokenizers
from onnx import TensorProto, helper
from tokenizers import models, normalizers, pre_tokenizers, processors

from packager.convert.judgement import Checks
from packager.convert.verification import verify
from packager.core.artifact import ModelPackage
from packager.core.conversion import ConversionResult, RawConversion
from packager.pack import write_package
from runtime.contract.certificate import Coverage
from runtime.contract.manifest import SourceInfo, Tokenization
from tests.support.graphs import write_graph

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "film", "and", "the", "für", "лиса", "狐")
VECTORS = np.random.default_rng(3).normal(size=(len(WORDS), 4)).astype(np.float32)
TEXTS = (
    "good film",
    "bad",
    "",
    "The good and the bad film and the good",
    "für лиса 狐",
    "unseen words 😀",
    "bad " * 40,
)
MAX_LENGTH = 8
STEP = Tokenization(input_ids="ids", attention_mask="mask", max_length=MAX_LENGTH)


def word_tokenizer() -> tokenizers.Tokenizer:
    """Words in lower case between ``[CLS]`` and ``[SEP]``; its own settings of length are not those of the model."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", special)
    tokenizer.enable_padding(length=5)
    tokenizer.enable_truncation(3)
    return tokenizer


def mean_graph(path: Path, *, masked: bool = True, tokens: int | str = "tokens") -> Path:
    """``ids`` and ``mask`` INT64 [rows, tokens] → ``embedding`` FP32 [rows, 4]; wrong in batches unless ``masked``."""
    nodes = [
        helper.make_node("Gather", ["vectors", "ids"], ["each"]),
        helper.make_node("Cast", ["mask"], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["counted", "one" if masked else "zero"], ["some"]),
        helper.make_node("Add", ["some", "zero" if masked else "one"], ["weights"]),
        helper.make_node("Unsqueeze", ["weights", "last"], ["column"]),
        helper.make_node("Mul", ["each", "column"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axis"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["weights", "axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["total", "count"], ["embedding"]),
    ]
    constants = {
        "vectors": VECTORS,
        "last": np.array([2]),
        "axis": np.array([1]),
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.float32),
    }
    shape = ("rows", tokens)
    inputs = [("ids", TensorProto.INT64, shape), ("mask", TensorProto.INT64, shape)]
    return write_graph(path, nodes, inputs, [("embedding", TensorProto.FLOAT, ("rows", 4))], constants)


def answer(text: str, pair: str | None = None) -> np.ndarray:
    """What the model says of a text, computed by hand."""
    tokenizer = word_tokenizer()
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_LENGTH)
    ids = tokenizer.encode(text, pair).ids
    mean: np.ndarray = VECTORS[ids].mean(axis=0)
    return mean


def text_conversion(
    folder: Path, *, masked: bool = True, pairs: bool = False, step: Tokenization = STEP
) -> RawConversion:
    """What a converter would leave in ``folder``."""
    if pairs:
        step = step.model_copy(update={"text_pair": "text_pair"})
    word_tokenizer().save(str(folder / step.path))
    columns = {"text": np.array(TEXTS), **({"text_pair": np.array(TEXTS[::-1])} if pairs else {})}
    np.savez(folder / "samples.npz", **columns)
    answers = [answer(*row) for row in zip(*(column.tolist() for column in columns.values()), strict=True)]
    np.savez(folder / "reference.npz", embedding=np.stack(answers))
    return RawConversion(
        onnx=mean_graph(folder / "model.onnx", masked=masked),
        samples=folder / "samples.npz",
        reference="source",
        reference_original=folder / "reference.npz",
        reference_cast=folder / "reference.npz",
        framework="by hand",
        framework_version="1",
        synthetic=False,
        seed=None,
        coverage=Coverage(),
        preprocessing=step,
    )


def text_package(out: Path, *, masked: bool = True, pairs: bool = False, step: Tokenization = STEP) -> ModelPackage:
    """A package of it, proven as every other."""
    with tempfile.TemporaryDirectory() as folder:
        raw = text_conversion(Path(folder), masked=masked, pairs=pairs, step=step)
        return write_package(_result(raw), out, name="texts", version="1")


def _result(raw: RawConversion) -> ConversionResult:
    verified = verify(raw, Checks(atol=1e-5, rtol=1e-4, seed=1))
    return ConversionResult(
        onnx_path=raw.onnx,
        external_data=(),
        source=SourceInfo(framework=raw.framework, framework_version="1", filename="m", sha256="0" * 64),
        onnx=verified.graph.info,
        signature=verified.graph.signature,
        labels=None,
        test_cases=verified.cases,
        reference=verified.reference,
        parity=verified.parity,
        batch_safety=verified.batch_safety,
        versions=verified.versions,
        preprocessing=raw.preprocessing,
    )
