"""Sizes of MXNet models: what the file tells, what is asked for, and padded sequences."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from packager.converters.mxnet.sizes import named, product, size
from packager.core.errors import ConverterMissing, ModelInvalid, SampleError, UsageError
from tests.support.mxnet_models import FIXTURES, asked, converted, hint, node, opened, recorded, write_model

_MODELS = [path.name for path in sorted(FIXTURES.iterdir()) if path.is_dir()]


@pytest.mark.parametrize("name", _MODELS)
def test_exported_and_saved_models_answer_as_mxnet_did(name: str, tmp_path: Path) -> None:
    folder = FIXTURES / name
    session = opened(converted(folder, tmp_path, folder / "inputs.npz"))
    data = np.load(folder / "inputs.npz")["data"]
    wanted = np.load(folder / "expected.npz")["y"]
    np.testing.assert_allclose(asked(session, {"data": data})[0], wanted, atol=1e-5, rtol=0)
    for row in range(4):
        (alone,) = asked(session, {"data": data[row : row + 1]})
        np.testing.assert_allclose(alone[0], wanted[row], atol=1e-5, rtol=0)
    assert session.get_inputs()[0].shape[0] == "batch"


@pytest.mark.parametrize("name", ["gluon_lstm", "gluon_gru"])
def test_sequences_of_any_length_are_taken_without_samples(name: str, tmp_path: Path) -> None:
    session = opened(converted(FIXTURES / name, tmp_path))
    assert session.get_inputs()[0].shape == ["batch", "sequence", 8]
    assert asked(session, {"data": np.ones((2, 3, 8))})[0].shape == (2, 10)


def _padded(name: str, tmp_path: Path, steps: int, width: int) -> None:
    """Rows of several lengths, padded with other numbers, answer as each does alone."""
    source = FIXTURES / name if (FIXTURES / name).is_dir() else recorded()[name].write(tmp_path)
    plain = opened(converted(source, tmp_path / "plain"))
    padded = opened(converted(source, tmp_path / "padded", options={"lengths": True}))
    rng = np.random.default_rng(3)
    rows, lengths = rng.standard_normal((4, steps, width)), np.array([steps, 1, 3, 2])
    assert padded.get_inputs()[1].name == "lengths"
    assert padded.get_inputs()[1].shape == ["batch"]
    (together,) = asked(padded, {"data": rows, "lengths": lengths})
    for row, length in enumerate(lengths):
        (alone,) = asked(plain, {"data": rows[row : row + 1, :length]})
        if together.ndim == 3:
            np.testing.assert_allclose(together[row, :length], alone[0], atol=1e-5)
        else:
            np.testing.assert_allclose(together[row], alone[0], atol=1e-5)


@pytest.mark.parametrize("name", ["gluon_lstm", "gluon_gru"])
def test_padded_batches_answer_as_whole_sequences(name: str, tmp_path: Path) -> None:
    _padded(name, tmp_path, 8, 8)


@pytest.mark.parametrize(
    "name", ["RNN:lstm bidirectional", "RNN:gru 2 layers bidirectional", "RNN:rnn_relu 2 layers", "RNN:module fused"]
)
def test_padding_is_not_seen_by_either_direction(name: str, tmp_path: Path) -> None:
    _padded(name, tmp_path, 6, 4)


def test_padding_changes_answers_without_lengths(tmp_path: Path) -> None:
    session = opened(converted(FIXTURES / "gluon_lstm", tmp_path))
    data = np.load(FIXTURES / "gluon_lstm" / "inputs.npz")["data"][:, :4]
    whole, padded = (
        asked(session, {"data": data})[0],
        asked(session, {"data": np.pad(data, ((0, 0), (0, 4), (0, 0)))})[0],
    )
    assert np.abs(whole - padded).max() > 0.1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gluon_mlp", "no recurrence"),
        ("gluon_cnn", "no recurrence"),
        ("model:unrolled lstm", "no recurrence"),
    ],
)
def test_lengths_are_refused_where_nothing_can_mind_them(name: str, words: str, tmp_path: Path) -> None:
    source = FIXTURES / name if (FIXTURES / name).is_dir() else recorded()[name].write(tmp_path)
    samples = source / "inputs.npz" if source.is_dir() else tmp_path / "samples.npz"
    with pytest.raises(ConverterMissing, match=words):
        converted(source, tmp_path / "out", samples, options={"lengths": True})


@pytest.mark.parametrize(
    ("op", "attributes"),
    [("mean", {"axis": "1"}), ("max", {"axis": "1"}), ("slice_axis", {"axis": "1", "begin": "0", "end": "2"})],
)
def test_operators_that_would_mix_padding_in_are_refused_by_name(
    op: str, attributes: dict[str, str], tmp_path: Path
) -> None:
    import json

    source = recorded()["RNN:gru"].write(tmp_path)
    document = json.loads(source.read_text(encoding="utf-8"))
    head = document["heads"][0]
    document["nodes"].append({"op": op, "name": "mixing", "attrs": attributes, "inputs": [head]})
    document["heads"] = [[len(document["nodes"]) - 1, 0, 0]]
    source.write_text(json.dumps(document), encoding="utf-8")
    assert converted(source, tmp_path / "plain").onnx.is_file()
    with pytest.raises(ConverterMissing, match="'mixing'"):
        converted(source, tmp_path / "out", options={"lengths": True})


def test_a_size_that_no_file_tells_is_asked_for_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=r"axis 2 of the input 'data'") as caught:
        converted(FIXTURES / "gluon_cnn", tmp_path)
    assert "--input data=FP32:N,1," in caught.value.hint
    session = opened(converted(FIXTURES / "gluon_cnn", tmp_path, inputs=(hint("data=FP32:N,1,8,8"),)))
    assert session.get_inputs()[0].shape == ["batch", 1, 8, 8]


def test_a_network_with_a_global_pool_takes_images_of_any_size(tmp_path: Path) -> None:
    case = recorded()["zoo:resnet18_v1 narrow"]
    session = opened(converted(case.write(tmp_path), tmp_path / "out"))
    assert session.get_inputs()[0].shape[:2] == ["batch", 3]
    np.testing.assert_allclose(asked(session, case.inputs)[0], case.answers[0], atol=1e-5)


def test_samples_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", data=np.ones((4, 63)))
    with pytest.raises((SampleError, ModelInvalid), match=r"6[34]"):
        converted(FIXTURES / "gluon_mlp", tmp_path / "out", tmp_path / "wrong.npz")
    with pytest.raises(UsageError, match="no input of that name"):
        converted(FIXTURES / "gluon_mlp", tmp_path / "out", inputs=(hint("x=FP32:N,64"),))
    with pytest.raises(UsageError, match="opset 17"):
        converted(FIXTURES / "gluon_mlp", tmp_path / "out", opset=17)


def test_indices_are_drawn_within_the_vocabulary(tmp_path: Path) -> None:
    raw = converted(FIXTURES / "gluon_embedding", tmp_path)
    drawn = np.load(raw.samples)["data"]
    assert (drawn == np.floor(drawn)).all()
    assert drawn.min() >= 0
    assert 10 < drawn.max() < 17
    assert raw.synthetic
    assert raw.coverage.weak
    assert raw.reference == "none"


def test_steps_before_rows_are_kept_as_the_file_has_them(tmp_path: Path) -> None:
    nodes = [node("null", "data"), node("null", "p"), node("_zeros", "h", shape="(1, 0, 3)"),
             node("RNN", "rnn", [0, 1, 2], mode="gru", num_layers="1", state_size="3")]  # fmt: skip
    source = write_model(tmp_path, nodes, {"arg:p": np.ones(9 * 4 + 9 * 3 + 18, np.float32)})
    session = opened(converted(source, tmp_path / "out", inputs=(hint("data=FP32:5,N,4"),)))
    assert session.get_inputs()[0].shape == [5, "batch", 4]
    assert asked(session, {"data": np.ones((5, 2, 4))})[0].shape == (5, 2, 3)


def test_parameters_of_another_type_and_missing_ones_are_refused(tmp_path: Path) -> None:
    nodes = [node("null", "data"), node("null", "w"), node("FullyConnected", "fc", [0, 1], num_hidden="2", no_bias="1")]
    source = write_model(tmp_path, nodes, {"arg:w": np.ones((2, 3), np.float16)})
    with pytest.raises(ConverterMissing, match="computes in float16"):
        converted(source, tmp_path / "out")
    nodes[1]["name"] = "fc_weight"
    source = write_model(tmp_path, nodes, {"arg:w": np.ones((2, 3), np.float32)})
    with pytest.raises(ModelInvalid, match="lack 'fc_weight'"):
        converted(source, tmp_path / "out")


def test_a_batch_norm_of_an_old_file_finds_its_states_by_name(tmp_path: Path) -> None:
    nodes = [node("null", "data"), node("null", "g"), node("null", "b"), node("BatchNorm", "bn", [0, 1, 2])]
    states = {f"aux:bn_moving_{name}": np.full(2, value, np.float32) for name, value in (("mean", 1), ("var", 4))}
    source = write_model(
        tmp_path, nodes, {"arg:g": np.full(2, 9, np.float32), "arg:b": np.zeros(2, np.float32), **states}
    )
    session = opened(converted(source, tmp_path / "out", inputs=(hint("data=FP32:N,2"),)))
    np.testing.assert_allclose(asked(session, {"data": np.full((1, 2), 3.0)})[0], 2 / np.sqrt(4.001), rtol=1e-6)


def test_sizes_divide_only_where_the_quotient_is_exact() -> None:
    batch, steps = named("batch"), named("steps")
    assert product([batch, steps, size(6)]).over(batch * 3) == steps * 2
    assert (batch * steps + batch).over(steps + 1) == batch
    assert (batch * steps).over(size(3)) is None
    assert str(steps * 2 + 1) == "2*steps + 1"


def _masked_state() -> list[dict[str, Any]]:
    """A begin state without a number of rows, and a mask of its shape, as variational dropout makes it."""
    return [
        node("null", "data"),
        node("_zeros", "state", shape="(0, 4)"),
        node("ones_like", "mask", [1]),
        node("elemwise_add", "masked", [1, 2]),
    ]


def test_a_mask_takes_the_shape_of_a_state_that_was_saved_without_rows(tmp_path: Path) -> None:
    source = write_model(tmp_path, [*_masked_state(), node("elemwise_add", "sum", [0, 3])], {})
    session = opened(converted(source, tmp_path / "out", inputs=(hint("data=FP32:N,4"),)))
    data = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(asked(session, {"data": data})[0], data + 1)


@pytest.mark.parametrize("last", [node("Flatten", "last", [3]), node("Reshape", "last", [3], shape="(-1, 2)")])
def test_a_size_that_nothing_tells_is_refused(last: dict[str, Any], tmp_path: Path) -> None:
    nodes = [*_masked_state(), last]
    source = write_model(tmp_path, nodes, {}, heads=[[0, 0, 0], [4, 0, 0]])
    with pytest.raises(ConverterMissing, match=r"mask|last"):
        converted(source, tmp_path / "out", inputs=(hint("data=FP32:N,4"),))
