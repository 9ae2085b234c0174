from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from packager.transform.float16 import halve
from packager.transform.graphs import fuse_transformer, optimise, slim
from packager.transform.int8 import StaticSettings, quantize_dynamic, quantize_static
from packager.transform.tools import all_nodes, silenced
from tests.support.nets import convolutions, digits

PICTURES = digits()[0][:64].reshape(-1, 1, 8, 8)
ROWS = [{"x": PICTURES[start : start + 8]} for start in range(0, 64, 8)]


def answers(path: Path) -> np.ndarray:
    return np.asarray(ort.InferenceSession(path).run(None, {"x": PICTURES})[0])


def made(build: Callable[[Path, Path], None], folder: Path) -> tuple[Path, Path]:
    source, out = convolutions(folder / "source.onnx"), folder / "out.onnx"
    with silenced():
        build(source, out)
    onnx.checker.check_model(out)
    return source, out


EQUAL = {
    "basic": partial(optimise, level="basic"),
    "extended": partial(optimise, level="extended"),
    "slim": slim,
    "fused": fuse_transformer,
}
CHANGED = {
    "fp16": (halve, 0.02),
    "dynamic": (quantize_dynamic, 0.2),
    "static": (partial(quantize_static, rows=ROWS), 0.4),
    "8 bits": (partial(quantize_static, rows=ROWS, settings=StaticSettings(seven_bits=False)), 0.4),
}


@pytest.mark.parametrize("name", EQUAL)
def test_forms_that_compute_the_same_answer_the_same(name: str, tmp_path: Path) -> None:
    source, out = made(EQUAL[name], tmp_path)
    np.testing.assert_allclose(answers(out), answers(source), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CHANGED)
def test_forms_of_fewer_bits_come_near(name: str, tmp_path: Path) -> None:
    build, error = CHANGED[name]
    source, out = made(build, tmp_path)
    assert 0 < np.abs(answers(out) - answers(source)).max() < error
    assert out.stat().st_size < source.stat().st_size * 1.5


@pytest.mark.parametrize("name", EQUAL)
def test_a_graph_declares_only_what_its_nodes_use(name: str, tmp_path: Path) -> None:
    _, out = made(EQUAL[name], tmp_path)
    model = onnx.load(out)
    used = {node.domain for node in all_nodes(model)} | {""}
    assert {entry.domain for entry in model.opset_import} == used
    assert "com.microsoft.nchwc" not in used


def test_standard_forms_stay_in_standard_onnx(tmp_path: Path) -> None:
    for name in ("basic", "slim"):
        folder = tmp_path / name
        folder.mkdir()
        _, out = made(EQUAL[name], folder)
        assert {node.domain for node in all_nodes(onnx.load(out))} == {""}


@pytest.mark.parametrize("build", [*EQUAL.values(), *(build for build, _ in CHANGED.values())])
def test_the_same_graph_gives_the_same_bytes(build: Callable[[Path, Path], None], tmp_path: Path) -> None:
    outs = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        outs.append(made(build, folder)[1].read_bytes())
    assert outs[0] == outs[1]


def test_accelerators_get_signed_and_symmetric_ranges(tmp_path: Path) -> None:
    settings = StaticSettings(activations="int8", symmetric=True, seven_bits=False)
    _, out = made(partial(quantize_static, rows=ROWS, settings=settings), tmp_path)
    model = onnx.load(out)
    zeros = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    points = [zeros[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert points
    assert all(point.dtype == np.int8 and not point.any() for point in points)


def test_a_weight_of_seven_bits_never_uses_the_eighth(tmp_path: Path) -> None:
    _, out = made(partial(quantize_static, rows=ROWS), tmp_path)
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(out).graph.initializer]
    whole = [weight for weight in weights if weight.dtype == np.int8 and weight.ndim > 1]
    assert len(whole) == 3
    assert max(int(np.abs(weight.astype(int)).max()) for weight in whole) <= 64
