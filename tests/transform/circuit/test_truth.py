from pathlib import Path

import numpy as np
import pytest

from packager.core.errors import SampleError
from packager.transform.circuit.truth import (
    accuracy,
    check_truth,
    labelled_output,
    of_judged,
    one_class_alone,
    read_truth,
)
from runtime.contract.manifest import Signature, TensorSpec

SPECS = {
    "label": TensorSpec(name="label", dtype="INT64", shape=("batch",)),
    "scores": TensorSpec(name="scores", dtype="FP32", shape=("batch", 3)),
    "price": TensorSpec(name="price", dtype="FP32", shape=("batch", 1)),
}
SCORES = np.array([[0.1, 0.9, 0.0], [0.8, 0.1, 0.1]], np.float32)
ANSWERS = {"label": np.array([5, 3]), "scores": SCORES, "price": SCORES[:, :1]}


def signature_of(*names: str) -> Signature:
    only = TensorSpec(name="x", dtype="FP32", shape=("batch", 4))
    return Signature(inputs=(only,), outputs=tuple(SPECS[name] for name in names), batch_dim="batch")


@pytest.mark.parametrize(
    ("name", "text"),
    [("t.csv", "label\n1\n2\n"), ("t.csv", "1.0\n2\n"), ("t.json", "[1, 2]"), ("t.json", '{"label": [1, 2]}')],
)
def test_labels_are_read_from_text(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_truth(tmp_path / name, 2) == ("1", "2")


def test_labels_are_read_from_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([[1.0], [2.0]]))
    np.savez(tmp_path / "t.npz", anything=np.array(["a", "b"]))
    assert read_truth(tmp_path / "t.npy", 2) == ("1", "2")
    assert read_truth(tmp_path / "t.npz", 2) == ("a", "b")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"1,2\n3,4\n", "more than one column"),
        ("t.json", b"{", "cannot read the truth"),
        ("t.json", b"[[1, 2], [3, 4]]", "one label a row"),
        ("t.json", b"3", "one label a row"),
        ("t.npy", b"", "cannot read the truth"),
        ("t.npz", b"PK", "cannot read the truth"),
        ("t.csv", b"1\n2\n3\n4\n", "holds 4 labels, and there are 2 samples"),
    ],
)
def test_what_is_no_list_of_labels_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SampleError, match=message) as caught:
        read_truth(tmp_path / name, 2)
    assert (caught.value.code, bool(caught.value.hint)) == ("E-SAMPLES", True)


def test_an_output_of_labels_is_judged_before_scores() -> None:
    where = labelled_output(signature_of("scores", "label"), {"scores": (3, 4, 5)}, ANSWERS)
    assert (where.output, where.known) == ("label", {"3", "4", "5"})
    told = accuracy(("5", "4"), where, ANSWERS["label"], np.array([5, 4]))
    assert (told.before, told.after) == (0.5, 1.0)


def test_scores_are_judged_by_the_class_of_the_highest() -> None:
    where = labelled_output(signature_of("scores"), {"scores": ("a", "b", "c")}, ANSWERS)
    told = accuracy(("b", "a"), where, SCORES, np.flip(SCORES, axis=1))
    assert (told.output, told.before, told.after) == ("scores", 1.0, 0.5)


def test_a_model_without_labels_has_no_accuracy() -> None:
    with pytest.raises(SampleError, match="the model gives none: price FP32"):
        labelled_output(signature_of("price"), None, ANSWERS)


def test_a_label_that_the_model_never_gives_is_refused_by_name() -> None:
    where = labelled_output(signature_of("scores"), None, ANSWERS)
    with pytest.raises(SampleError, match="the label '7', which 'scores' never gives") as caught:
        check_truth(("0", "7"), where)
    assert caught.value.hint.startswith("its labels are 0, 1, 2")


def test_the_truth_follows_the_rows_that_were_kept() -> None:
    truth = tuple(map(str, range(100)))
    assert of_judged(truth, 100, 100) == truth
    assert of_judged(truth, 100, 3) == ("0", "49", "99")
    assert of_judged(truth, 50, 2) == ("0", "99")


def test_outputs_that_say_the_same_class_of_all_rows_are_named() -> None:
    alike = {"label": np.array([5, 5]), "scores": SCORES[[0, 0]], "prices": SCORES[[0, 0]]}
    assert one_class_alone(ANSWERS, frozenset({"scores"})) == []
    assert one_class_alone(alike, frozenset({"scores"})) == ["label", "scores"]
    assert one_class_alone({"label": np.array(["a", "a"], dtype=object)}, frozenset()) == ["label"]
