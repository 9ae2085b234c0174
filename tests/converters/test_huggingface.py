"""Tiny transformers, converted in the environment that dray makes for them, and proven here from texts."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from pydantic import TypeAdapter

from packager.convert.judgement import Checks
from packager.convert.verification import Verified, verify
from packager.converters.huggingface import HuggingFaceConverter
from packager.core.conversion import ModelSource, RawConversion
from tests.support.frameworks import framework
from tests.support.tiny_transformers import QUESTIONS

ROOT = Path(__file__).parents[2]
EMBEDDINGS = {"bert-mean": 32, "mpnet": 32, "sentences": 8}
CLASSIFIERS = {"distilbert-classes": ("bad", "good", "bad too"), "roberta-several": ("x", "y", "z")}


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``tiny_transformers.main`` leaves; made once for all workers."""
    shared = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.mktemp("hf")
    )
    root = shared / "tiny-transformers"
    with FileLock(f"{root}.lock"), pytest.MonkeyPatch.context() as patch:
        if (root / "done").exists():
            return root
        patch.setenv("DRAY_HOME", str(tmp_path_factory.mktemp("home")))
        made = framework(HuggingFaceConverter().environment_for(ModelSource(root), None))
        python = str(made.python) if made is not None else sys.executable
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path_factory.mktemp("empty")),
            "OMP_NUM_THREADS": "1",
        }
        script = ROOT / "tests" / "support" / "tiny_transformers.py"
        done = subprocess.run(
            [python, "-P", str(script), str(root)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        (root / "done").touch()
    return root


def proven(folder: Path) -> tuple[RawConversion, Verified]:
    raw = TypeAdapter(RawConversion).validate_json((folder / "raw.json").read_bytes())
    return raw, verify(raw, Checks(atol=1e-5, rtol=1e-4, seed=1))


def answered(verified: Verified, *outputs: str, pairs: bool = False) -> list[np.ndarray]:
    """The graph's answers to the questions, all in one batch."""
    feeds = {"text": np.array(QUESTIONS, dtype=object)}
    if pairs:
        feeds["text_pair"] = np.array([QUESTIONS[0]] * len(QUESTIONS), dtype=object)
    answers: list[np.ndarray] = verified.graph.session.run(list(outputs), feeds)
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings_are_those_of_transformers(converted: Path, name: str) -> None:
    raw, verified = proven(converted / name)
    asked = np.load(converted / name / "asked.npz")

    assert [(spec.name, spec.dtype, spec.shape) for spec in verified.graph.signature.inputs] == [
        ("text", "BYTES", ("batch",))
    ]
    assert [spec.shape for spec in verified.graph.signature.outputs] == [("batch", EMBEDDINGS[name])]
    assert verified.batch_safety.batchable
    assert raw.coverage.weak
    np.testing.assert_allclose(answered(verified, "embedding")[0], asked["embedding"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_and_scores_are_those_of_the_pipeline(converted: Path, name: str) -> None:
    raw, verified = proven(converted / name)
    asked = np.load(converted / name / "asked.npz")
    label, score, probabilities = answered(verified, "label", "score", "probabilities")

    assert [spec.name for spec in verified.graph.signature.outputs] == ["label", "score", "probabilities"]
    assert raw.labels == {"probabilities": CLASSIFIERS[name]}
    assert label.tolist() == asked["label"].tolist()
    np.testing.assert_allclose(score, asked["score"], atol=1e-5)
    assert label.tolist() == [CLASSIFIERS[name][index] for index in probabilities.argmax(axis=1)]


@pytest.mark.slow
def test_chances_of_one_class_add_up_and_those_of_several_need_not(converted: Path) -> None:
    (single,) = answered(proven(converted / "distilbert-classes")[1], "probabilities")
    (several,) = answered(proven(converted / "roberta-several")[1], "probabilities")

    np.testing.assert_allclose(single.sum(axis=1), 1, atol=1e-5)
    assert np.abs(several.sum(axis=1) - 1).max() > 0.01


@pytest.mark.slow
def test_a_cross_encoder_scores_pairs(converted: Path) -> None:
    _, verified = proven(converted / "cross-encoder")
    asked = np.load(converted / "cross-encoder" / "asked.npz")

    assert [spec.name for spec in verified.graph.signature.inputs] == ["text", "text_pair"]
    assert [spec.name for spec in verified.graph.signature.outputs] == ["score"]
    np.testing.assert_allclose(answered(verified, "score", pairs=True)[0], asked["score"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "length"), [("bert-mean", 24), ("sentences", 12), ("roberta-several", 18)])
def test_the_longest_text_is_the_least_that_anything_allows(converted: Path, name: str, length: int) -> None:
    raw, _ = proven(converted / name)

    # RoBERTa counts 20 positions, of which two are before the first token's.
    assert raw.preprocessing is not None
    assert raw.preprocessing.max_length == length


POOLING = {
    "cls": lambda rows: rows[0],
    "max": lambda rows: rows.max(axis=0),
    "mean": lambda rows: rows.mean(axis=0),
    "mean_sqrt_len_tokens": lambda rows: rows.sum(axis=0) / np.sqrt(len(rows)),
    "weightedmean": lambda rows: np.average(rows, axis=0, weights=np.arange(1, len(rows) + 1)),
    "lasttoken": lambda rows: rows[-1],
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", POOLING)
def test_padding_is_never_pooled(converted: Path, mode: str) -> None:
    with np.load(converted / "pooled.npz") as found:
        rows = [tokens[:length] for tokens, length in zip(found["tokens"], found["lengths"], strict=True)]

        np.testing.assert_allclose(found[mode], np.stack([POOLING[mode](row) for row in rows]), atol=1e-6)
