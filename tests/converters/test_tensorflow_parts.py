"""Parts of the TensorFlow converter that need no TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from packager.converters.tensorflow.asked import asked_shapes
from packager.converters.tensorflow.canonical import canonical
from packager.converters.tensorflow.keras2 import adapted
from packager.converters.tensorflow.keras_config import registered_names
from packager.converters.tensorflow.samples import drawn_rows
from packager.converters.tensorflow.source import Port, Source
from packager.core.conversion import ConversionRequest, InputHint
from packager.core.errors import ConverterMissing, UsageError

SHAPES = {"x": (None, None, 3)}


def asked(**options: Any) -> dict[str, Any]:
    request = ConversionRequest(source=Path("m"), workdir=Path("w"), **options)
    return asked_shapes(SHAPES, {"x": "FP32"}, request)


def source(*ports: Port) -> Source:
    return Source(ports, (), ask=lambda feeds: {**feeds}, emit=lambda opset: onnx.ModelProto())


def test_a_free_axis_takes_the_size_that_is_asked_for() -> None:
    assert asked(inputs=(InputHint("x", "FP32", ("N", 7, 3)),)) == {"x": (None, 7, 3)}


def test_an_axis_that_is_free_may_be_asked_to_be() -> None:
    assert asked(options={"dynamic": ["x:1"]}) == SHAPES


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (InputHint("y", "FP32", ("N", 7, 3)), "no input 'y'"),
        (InputHint("x", "FP64", ("N", 7, 3)), "type is FP32, asked is FP64"),
        (InputHint("x", "FP32", ("N", 7, 4)), "asked is"),
    ],
)
def test_an_input_that_the_model_does_not_have_is_refused(hint: InputHint, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        asked(inputs=(hint,))

    assert caught.value.hint


def test_an_axis_that_the_model_fixes_cannot_be_free() -> None:
    with pytest.raises(ConverterMissing, match="fixes that axis at 3"):
        asked(options={"dynamic": ["x:2"]})


def test_whole_numbers_are_drawn_below_zero_too() -> None:
    drawn = drawn_rows(source(Port("k", "INT64", (None, 3))), np.random.default_rng(0), rows=64, size=7, end=-10)

    assert drawn["k"].min() < 0 < drawn["k"].max()


@pytest.mark.parametrize("dtype", ["BOOL", "INT32", "FP32"])
def test_a_single_value_is_drawn_as_an_array(dtype: Any) -> None:
    drawn = drawn_rows(source(Port("k", dtype, ())), np.random.default_rng(0), rows=4, size=7, end=10)

    assert isinstance(drawn["k"], np.ndarray)


def test_a_loss_of_the_users_own_need_not_be_registered() -> None:
    own = {"module": "losses", "class_name": "Own", "config": {}, "registered_name": "mine>Own"}

    assert registered_names({"class_name": "Sequential", "compile_config": {"loss": own}}) == ()


def test_the_first_layer_of_keras_2_does_not_repeat_the_shape_of_the_input() -> None:
    first = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4]}}
    dense = {"class_name": "Dense", "config": {"units": 2, "batch_input_shape": [None, 4]}}

    assert adapted([first, dense]) == [first, {"class_name": "Dense", "config": {"units": 2}}]


def test_an_input_that_only_a_branch_reads_keeps_its_name() -> None:
    def branch(kind: str) -> onnx.GraphProto:
        made = [helper.make_tensor_value_info(f"{kind}_out", TensorProto.FLOAT, ["batch"])]
        return helper.make_graph([helper.make_node(kind, ["x"], [f"{kind}_out"])], kind, [], made)

    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch("Neg"), else_branch=branch("Abs"))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch"])
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])
    made = canonical(helper.make_model(helper.make_graph([node], "g", [x, flag], [y])))

    onnx.checker.check_model(made, full_check=True)
