import numpy as np

from packager.convert.cases import make_cases
from runtime.contract.manifest import Signature, TensorSpec
from runtime.contract.tensors import load_tensor

SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", dtype="FP32", shape=("batch", 2)),),
    outputs=(
        TensorSpec(name="label", dtype="BYTES", shape=("batch",)),
        TensorSpec(name="p", dtype="FP32", shape=("batch", 2)),
    ),
    batch_dim="batch",
)


def answers(rows: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    p = np.linspace(0.001, 0.999, rows)
    labels = np.where(p > 0.5, "yes", "no")
    return {"x": np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)}, {
        "label": labels,
        "p": np.stack([1 - p, p], 1),
    }


def test_cases_hold_1_3_and_up_to_64_rows() -> None:
    feeds, expected = answers(100)
    cases = make_cases(SIGNATURE, feeds, expected, usable=np.ones(100, bool))
    assert [load_tensor(case.inputs[0]).shape for case in cases] == [(1, 2), (3, 2), (64, 2)]


def test_few_samples_give_fewer_cases() -> None:
    feeds, expected = answers(2)
    cases = make_cases(SIGNATURE, feeds, expected, usable=np.ones(2, bool))
    assert [load_tensor(case.inputs[0]).shape[0] for case in cases] == [1, 2]


def test_both_labels_and_both_ends_are_in_the_case_of_three_rows_and_more() -> None:
    feeds, expected = answers(100)
    last = make_cases(SIGNATURE, feeds, expected, usable=np.ones(100, bool))[-1]
    label, p = (load_tensor(tensor).to_list() for tensor in last.outputs)
    assert {"yes", "no"} <= set(label)
    assert max(p) > 0.99
    assert min(p) < 0.01


def test_rows_that_onnx_answers_wrongly_are_left_out() -> None:
    feeds, expected = answers(4)
    cases = make_cases(SIGNATURE, feeds, expected, usable=np.array([True, False, True, True]))
    assert 2.0 not in load_tensor(cases[-1].inputs[0]).to_list()


def test_close_calls_are_left_out_while_others_are_there() -> None:
    feeds, expected = answers(3)
    cases = make_cases(SIGNATURE, feeds, expected, usable=np.ones(3, bool))
    assert load_tensor(cases[-1].inputs[0]).shape == (2, 2)


def test_a_case_is_bounded_in_bytes() -> None:
    wide = {"x": np.zeros((8, 1 << 18), np.float32)}
    cases = make_cases(
        Signature(
            inputs=(TensorSpec(name="x", dtype="FP32", shape=("batch", 1 << 18)),), outputs=(), batch_dim="batch"
        ),
        wide,
        {"y": np.arange(8.0)},
        usable=np.ones(8, bool),
    )
    assert [load_tensor(case.inputs[0]).shape[0] for case in cases] == [1]
