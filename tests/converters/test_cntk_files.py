"""CNTK files as a stranger writes them: cut off, changed, and made to hurt."""

import random
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packager.converters.cntk.conversion import convert_model
from packager.converters.cntk.dictionary import LARGE_MAGIC, MAX_DEPTH, read_dictionary
from packager.core.errors import ConverterMissing, DrayError, ModelInvalid
from tests.support.cntk_files import (
    FIXTURES,
    Raw,
    Shape,
    Size,
    case_names,
    composite,
    dictionary,
    field,
    function,
    recorded,
    variable,
    varint,
)

CASES = case_names()
QUICK_S = 5.0


def written(folder: Path, content: bytes) -> Path:
    path = folder / "m.model"
    path.write_bytes(content)
    return path


def refused(folder: Path, content: bytes) -> DrayError:
    """The error of a file that is refused, quickly and without taking memory."""
    path = written(folder, content)
    tracemalloc.start()
    started = time.monotonic()
    with pytest.raises(DrayError) as caught:
        convert_model(path, opset=18)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - started < QUICK_S
    assert peak < 20_000_000 + 60 * len(content)
    assert caught.value.hint
    return caught.value


def relu(**more: Any) -> bytes:
    return composite([variable("Input1")], [function("ReLU2", 3, ["Input1"], **more)], "ReLU2")


def test_a_file_written_by_hand_is_read(tmp_path: Path) -> None:
    converted = convert_model(written(tmp_path, relu()), opset=18)
    assert [node.op_type for node in converted.onnx.graph.node] == ["Relu", "Identity"]
    assert converted.inputs[0].shape == ("batch", 3)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_cut_file_is_refused(share: float, tmp_path: Path) -> None:
    whole = (FIXTURES / "cnn" / "model.model").read_bytes()
    assert isinstance(refused(tmp_path, whole[: int(len(whole) * share)]), ModelInvalid)


def test_every_cut_of_a_small_file_is_refused(tmp_path: Path) -> None:
    whole = relu()
    for size in range(len(whole)):
        with pytest.raises(DrayError):
            convert_model(written(tmp_path, whole[:size]), opset=18)


HOSTILE = {
    "a tensor of a thousand billion values": Raw(11, field(13, b"\x08\x01" + field(3, field(1, varint(10**12))))),
    "a shape of negative sizes": Raw(7, field(9, field(1, varint(-7)))),
    "a size beyond the file": Raw(6, varint(8 << 3 | 2) + varint(2**60)),
    "a number without an end": Raw(2, b"\x20" + b"\xff" * 12),
    "an unknown type": Raw(77, b""),
    "a type that is not what is stored": Raw(3, field(8, b"text")),
    "a text that is not UTF-8": Raw(6, field(8, b"\xff\xfe")),
    "values that do not fill the shape": Raw(
        11, field(13, b"\x08\x01" + field(3, field(1, b"\x05")) + field(4, field(1, b"\0" * 8)))
    ),
    "a sparse tensor": Raw(11, field(13, b"\x08\x01\x10\x01" + field(3, field(1, b"\x01")))),
    "a tensor of an unknown type": Raw(11, field(13, b"\x08\x63")),
    "a hundred axes": Raw(7, field(9, field(1, b"\x01" * 100))),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_value_is_refused(what: str, tmp_path: Path) -> None:
    assert isinstance(refused(tmp_path, relu(newShape=HOSTILE[what])), ModelInvalid)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    nested: Any = {}
    for _ in range(MAX_DEPTH + 5):
        nested = {"a": nested}
    assert "deep" in refused(tmp_path, relu(nested=nested)).message
    # Deeper than Python's own recursion, without the writer above.
    content = b""
    for _ in range(30_000):
        content = b"\x10\x0a" + field(12, field(2, field(1, b"a") + field(2, content)))
    assert isinstance(refused(tmp_path, b"\x08\x02" + field(2, field(1, b"type") + field(2, content))), ModelInvalid)


def test_too_many_values_are_refused(tmp_path: Path) -> None:
    content = field(2, field(1, b"k") + field(2, b"\x10\x09" + field(11, field(1, b"") * 1_100_000)))
    path = written(tmp_path, b"\x08\x02" + content)
    with pytest.raises(ModelInvalid, match="more than"):
        convert_model(path, opset=18)


CYCLES = {
    "a function of itself": composite([], [function("ReLU2", 3, ["ReLU2_Output_0"])], "ReLU2"),
    "two functions of each other": composite(
        [], [function("ReLU2", 3, ["Tanh3_Output_0"]), function("Tanh3", 2, ["ReLU2_Output_0"])], "ReLU2"
    ),
    "a block that holds itself": composite(
        [],
        [
            {
                **function("Block1", 57, []),
                "block_function_composite": {"root": "Block1"},
                "block_function_composite_arguments_map_keys": [],
                "block_function_composite_arguments_map_values": [],
            }
        ],
        "Block1",
    ),
    "a placeholder that stands for itself": composite(
        [variable("Input1"), variable("P2", kind=4)],
        [
            function("ReLU3", 3, ["P2"]),
            {
                **function("Block1", 57, []),
                "block_function_composite": {"root": "ReLU3"},
                "block_function_composite_arguments_map_keys": ["P2", "P3"],
                "block_function_composite_arguments_map_values": ["P3", "P2"],
            },
        ],
        "Block1",
    ),
}


@pytest.mark.parametrize("what", CYCLES)
def test_a_cycle_is_refused(what: str, tmp_path: Path) -> None:
    refused(tmp_path, CYCLES[what])


def test_a_long_chain_is_no_cycle(tmp_path: Path) -> None:
    names = ["Input1", *[f"ReLU{number}_Output_0" for number in range(3000)]]
    functions = [function(f"ReLU{number}", 3, [names[number]]) for number in range(3000)]
    converted = convert_model(written(tmp_path, composite([variable("Input1")], functions, "ReLU2999")), opset=18)
    assert len(converted.onnx.graph.node) == 3001


def test_an_unknown_operator_is_refused_with_its_node(tmp_path: Path) -> None:
    error = refused(
        tmp_path,
        composite(
            [variable("Input1")],
            [
                function(
                    "New7",
                    4711,
                    ["Input1"],
                )
            ],
            "New7",
        ),
    )
    assert isinstance(error, ConverterMissing)
    assert "4711" in error.message
    assert "'New7'" in error.message
    assert error.detail == {"node": "New7", "operator": 4711}


def test_an_unknown_attribute_is_refused_with_its_node(tmp_path: Path) -> None:
    error = refused(tmp_path, relu(slope=0.5))
    assert "'slope'" in error.message
    assert "'ReLU2'" in error.message


def test_a_dilated_convolution_is_refused(tmp_path: Path) -> None:
    kernel = variable("P1", (1, 1, 2, 2), kind=2, value=np.ones((1, 1, 2, 2), np.float32))
    attributes = {"sharing": [True], "dilation": Shape((2, 2, 1)), "strides": Shape((1,)), "autoPadding": [False]}
    content = composite([kernel, variable("X2", (1, 4, 4))], [function("C3", 33, ["P1", "X2"], **attributes)], "C3")
    assert "dilated" in refused(tmp_path, content).message


def test_a_function_of_the_users_own_is_refused(tmp_path: Path) -> None:
    own = {**function("My3", 3, ["Input1"]), "type": "UserDefinedFunction"}
    assert "user's own" in refused(tmp_path, composite([variable("Input1")], [own], "My3")).message


def test_an_open_placeholder_is_refused(tmp_path: Path) -> None:
    content = composite(
        [variable("Input1"), variable("P2", kind=4)], [function("Plus3", 19, ["Input1", "P2"])], "Plus3"
    )
    assert "placeholder" in refused(tmp_path, content).message


def test_half_precision_is_refused(tmp_path: Path) -> None:
    content = composite([variable("Input1", data_type=Size(4))], [function("ReLU2", 3, ["Input1"])], "ReLU2")
    assert "float16" in refused(tmp_path, content).message


def test_a_large_file_keeps_its_tensors_behind_the_description(tmp_path: Path) -> None:
    weights = np.arange(3, dtype="<f4")
    bare = Raw(11, field(13, b"\x08\x01" + field(3, field(1, b"\x03"))))
    tree = composite([variable("P1", kind=2, value=bare)], [], "none")
    head = LARGE_MAGIC + len(tree).to_bytes(4, "little") + tree
    found = read_dictionary(written(tmp_path, head + weights.tobytes()))
    assert np.array_equal(found["inputs"][0]["value"].array(), weights)
    for damaged in (head + weights.tobytes()[:-1], head + weights.tobytes() + b"\0", head[:30]):
        with pytest.raises(ModelInvalid):
            read_dictionary(written(tmp_path, damaged))


def test_something_else_of_cntks_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path, dictionary({"Version": Size(1), "Learners": [], "shape": Shape((2,))}))
    assert "checkpoint of a trainer" in error.message


def _mutated(content: bytes, rng: random.Random) -> bytes:
    """A file with some bytes changed, taken out, put in, or made into huge numbers."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        place = rng.randrange(len(changed))
        match rng.randrange(5):
            case 0:
                changed[place] = rng.randrange(256)
            case 1:
                changed[place] ^= 1 << rng.randrange(8)
            case 2:
                del changed[place : place + rng.randrange(1, 20)]
            case 3:
                changed[place:place] = rng.randbytes(3)
            case _:
                changed[place : place + 1] = varint(2**64 - rng.randrange(1, 9))
    return bytes(changed)


@settings(max_examples=150, deadline=5000, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(CASES), seed=st.integers(0, 2**32))
def test_a_changed_file_is_converted_or_refused(name: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = _mutated(recorded(name).model, random.Random(seed))
    path = written(tmp_path_factory.getbasetemp(), content)
    with suppress(DrayError):  # and nothing else
        onnx.checker.check_model(convert_model(path, opset=18).onnx)


_LEAVES = st.one_of(
    st.just(Raw(0, b"")), st.booleans(), st.integers(-(2**31), 2**31 - 1), st.floats(), st.text(max_size=8),
    st.builds(Size, st.integers(0, 2**64 - 1)), st.builds(Shape, st.tuples(st.integers(0, 2**64 - 1))),
)  # fmt: skip
_ATTRIBUTES = (
    "axis", "axisVec", "beginIndex", "endIndex", "newShape", "numClass", "offset", "outputRank", "paddingHead",
    "poolingWindowShape", "strides", "autoPadding", "reductionOpName", "beginAxis", "endAxis",
)  # fmt: skip


@settings(max_examples=200, deadline=5000, suppress_health_check=list(HealthCheck))
@given(
    op=st.integers(0, 100),
    count=st.integers(0, 4),
    attributes=st.dictionaries(st.sampled_from(_ATTRIBUTES), st.one_of(_LEAVES, st.lists(_LEAVES, max_size=3))),
)
def test_any_attributes_are_converted_or_refused(
    op: int, count: int, attributes: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = composite([variable("Input1", (2, 3))], [function("F2", op, ["Input1"] * count, **attributes)], "F2")
    path = written(tmp_path_factory.getbasetemp(), content)
    with suppress(DrayError):  # and nothing else
        onnx.checker.check_model(convert_model(path, opset=18).onnx)
