"""Arithmetic that tf2onnx has no rule for, or one that is wrong below zero, and GELU of TFLite."""

from collections.abc import Callable
from typing import Any

import numpy as np

from packager.converters.tensorflow.replacing import constant, numpy_type, one, replace


def _floor_mod(graph: Any, node: Any, *_: Any) -> None:
    """The remainder with the sign of the divisor; tf2onnx's is that of truncation for whole numbers."""
    if numpy_type(graph, node.input[0]).kind in "iu":
        replace(graph, node, "Mod", list(node.input))
        return
    replace(graph, node, "Where", _float_remainder(graph, *node.input))


def _float_remainder(graph: Any, left: str, right: str) -> list[str]:
    """A condition, and the remainders where it holds and where it does not."""
    zero = constant(graph, np.array(0, numpy_type(graph, right)))
    rest = graph.make_node("Mod", [left, right], attr={"fmod": 1}).output[0]
    signs = [graph.make_node("Less", [value, zero]).output[0] for value in (rest, right)]
    apart = graph.make_node("Xor", signs).output[0]
    some = graph.make_node("Not", [graph.make_node("Equal", [rest, zero]).output[0]]).output[0]
    moved = graph.make_node("Add", [rest, right]).output[0]
    return [graph.make_node("And", [apart, some]).output[0], moved, rest]


def _floor_div(graph: Any, node: Any, *_: Any) -> None:
    """The quotient rounded down; ONNX rounds that of whole numbers towards zero."""
    left, right = node.input
    if numpy_type(graph, left).kind in "iu":
        rest = graph.make_node("Mod", [left, right]).output[0]
        replace(graph, node, "Div", [graph.make_node("Sub", [left, rest]).output[0], right])
        return
    replace(graph, node, "Floor", [graph.make_node("Div", [left, right]).output[0]])


def _truncate_mod(graph: Any, node: Any, *_: Any) -> None:
    """The remainder with the sign of what is divided."""
    replace(graph, node, "Mod", list(node.input), attr={"fmod": 1})


def _log1p(graph: Any, node: Any, *_: Any) -> None:
    """Log(1 + x)."""
    replace(graph, node, "Log", [graph.make_node("Add", [node.input[0], one(graph, node)]).output[0]])


def _sign_bit(graph: Any, node: Any, *_: Any) -> None:
    """The sign of a float in the place where its bits have it, which is all that Keras' signbit and argmax read.

    Raises:
        ValueError: Other bits are read as well.
    """
    sign = np.array(np.iinfo(np.int32).min, np.int32)
    value = node.input[0]
    if numpy_type(graph, value) != np.float32 or not all(
        reader.type == "BitwiseAnd" and _has_constant(reader, sign)
        for reader in graph.find_output_consumers(node.output[0])
    ):
        raise ValueError(f"{node.name!r} reads the bits of a number (Bitcast)")
    zero = constant(graph, np.array(0, np.float32))
    upside_down = graph.make_node("Reciprocal", [value]).output[0]  # -0 becomes -inf
    below = [graph.make_node("Less", [number, zero]).output[0] for number in (value, upside_down)]
    either = graph.make_node("Or", below).output[0]
    replace(graph, node, "Where", [either, constant(graph, sign), constant(graph, np.array(0, np.int32))])


def _has_constant(node: Any, value: Any) -> bool:
    return any(given.is_const() and given.get_tensor_value(as_list=False) == value for given in node.inputs)


def _tflite_gelu(graph: Any, node: Any, *_: Any) -> None:
    """X / 2 * (1 + Erf(x / sqrt 2)), or the form by Tanh where the file asks for it."""
    given, dtype = node.input[0], numpy_type(graph, node.input[0])

    def of(kind: str, *inputs: str) -> str:
        output: str = graph.make_node(kind, list(inputs)).output[0]
        return output

    def number(value: float) -> str:
        return constant(graph, np.array(value, dtype))

    if node.get_attr_value("approximate"):
        cube = of("Mul", of("Mul", of("Mul", given, given), given), number(0.044715))
        bent = of("Tanh", of("Mul", of("Add", given, cube), number(np.sqrt(2 / np.pi))))
    else:
        bent = of("Erf", of("Mul", given, number(np.sqrt(0.5))))
    replace(graph, node, "Mul", [of("Mul", given, number(0.5)), of("Add", bent, number(1.0))])


ARITHMETIC: dict[str, Callable[..., None]] = {
    "FloorMod": _floor_mod,
    "FloorDiv": _floor_div,
    "TruncateMod": _truncate_mod,
    "Log1p": _log1p,
    "Bitcast": _sign_bit,
    "TFL_GELU": _tflite_gelu,
}
