from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from packager.convert.graph import check_graph
from packager.core.errors import ConversionError, ModelInvalid
from tests.support.graphs import double, write_graph


def test_free_axes_get_valid_names(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    path = write_graph(
        tmp_path / "m.onnx",
        nodes,
        [("x", TensorProto.FLOAT, [None, "s0*2", "batch", 3])],
        [("y", TensorProto.FLOAT, ["rows", "s0*2", None, 3])],
    )
    signature = check_graph(path).signature
    assert signature.batch_dim == "batch"
    assert signature.inputs[0].shape == ("batch", "d0", "d1", 3)
    assert signature.outputs[0].shape[0] == "batch"
    assert signature.outputs[0].shape[1] == "d0"


def test_versions_are_read_from_the_file(tmp_path: Path) -> None:
    info = check_graph(double(tmp_path / "m.onnx")).info
    assert (info.opset, info.domains, info.ir_version) == (18, {}, 10)
    assert info.size_bytes == (tmp_path / "m.onnx").stat().st_size


def test_a_fixed_first_axis_is_no_batch(tmp_path: Path) -> None:
    graph = check_graph(double(tmp_path / "m.onnx", shape=(4, 2)))
    assert graph.signature.batch_dim is None
    assert graph.rows_per_call == 4


def test_columns_are_part_of_the_signature(tmp_path: Path) -> None:
    signature = check_graph(double(tmp_path / "m.onnx"), columns={"x": ("a", "b")}).signature
    assert signature.inputs[0].columns == ("a", "b")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = double(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelInvalid) as caught:
        check_graph(path)
    assert caught.value.code == "E-MODEL-INVALID"
    assert "'m.onnx'" in caught.value.message
    assert caught.value.hint


def test_a_type_outside_of_the_protocol_is_refused(tmp_path: Path) -> None:
    path = double(tmp_path / "m.onnx", dtype=TensorProto.BFLOAT16)
    with pytest.raises((ConversionError, ModelInvalid)) as caught:
        check_graph(path)
    assert caught.value.hint


def external(path: Path, location: str) -> Path:
    double(path)
    model = onnx.load(path)
    tensor = onnx.numpy_helper.from_array(np.ones((2,), np.float32), "w")
    model.graph.initializer.append(tensor)
    model.graph.node.append(helper.make_node("Add", ["y", "w"], ["z"]))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 2]))
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location)
    (path.parent / "weights.bin").write_bytes(model.graph.initializer[0].raw_data)
    model.graph.initializer[0].ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_beside_the_model_are_listed(tmp_path: Path) -> None:
    info = check_graph(external(tmp_path / "m.onnx", "weights.bin")).info
    assert info.external_data == ("weights.bin",)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "sub/weights.bin", "absent.bin"])
def test_external_data_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(ModelInvalid, match="keeps tensors in") as caught:
        check_graph(external(tmp_path / "m.onnx", location))
    assert location in caught.value.message
