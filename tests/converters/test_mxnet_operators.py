"""Every operator and variant against what MXNet 1.9.1 answered."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from packager.converters.mxnet.attributes import signatures
from packager.converters.mxnet.registry import operators
from tests.support.mxnet_models import asked, converted, opened, recorded


@pytest.mark.parametrize("name", list(recorded()))
def test_answers_are_those_of_mxnet(name: str, tmp_path: Path) -> None:
    case = recorded()[name]
    raw = converted(case.write(tmp_path), tmp_path / "out", tmp_path / "samples.npz", inputs=case.hints)
    onnx.checker.check_model(raw.onnx, full_check=True)
    session = opened(raw)
    given = asked(session, case.inputs)
    assert [output.name for output in session.get_outputs()] == case.outputs[: len(given)]
    for answer, wanted in zip(given, case.answers, strict=False):
        # A list of rows and steps gets an axis of rows from dray.
        listed = answer.reshape(wanted.shape) if answer.ndim == wanted.ndim + 1 else answer
        assert (listed.shape, listed.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(listed, wanted, atol=1e-5, rtol=1e-5)
    assert given


@pytest.mark.parametrize("name", [name for name in recorded() if name.startswith(("model:", "zoo:", "RNN:"))])
def test_rows_answer_alone_as_they_do_together(name: str, tmp_path: Path) -> None:
    case = recorded()[name]
    raw = converted(case.write(tmp_path), tmp_path / "out", tmp_path / "samples.npz", inputs=case.hints)
    session = opened(raw)
    if any(arg.shape[0] != "batch" for arg in session.get_inputs()):
        pytest.skip("states have their rows on the second axis")
    rows = len(next(iter(case.inputs.values())))
    for row in range(rows):
        given = asked(session, {key: value[row : row + 1] for key, value in case.inputs.items()})
        for answer, wanted in zip(given, case.answers, strict=False):
            if wanted.shape[0] == rows:
                np.testing.assert_allclose(answer[0], wanted[row], atol=1e-5, rtol=1e-5)


def test_every_supported_operator_has_a_recorded_answer() -> None:
    seen = {signatures()[op].name for case in recorded().values() for op in case.operators}
    assert set(operators()) == seen & set(operators())
    assert len(operators()) > 150


def test_residual_squeezed_and_mobile_networks_are_within_a_relative_error(tmp_path: Path) -> None:
    for name in ("zoo:resnet18_v1 narrow", "zoo:mobilenet_v2 narrow", "zoo:squeezenet narrow"):
        case = recorded()[name]
        folder = tmp_path / name.split()[0][4:]
        folder.mkdir()
        (answer,) = asked(opened(converted(case.write(folder), folder / "out", folder / "samples.npz")), case.inputs)
        (wanted,) = case.answers
        assert np.abs(answer - wanted).max() / np.abs(wanted).max() < 1e-5
