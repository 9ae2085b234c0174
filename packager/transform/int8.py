"""Integers of 8 bits in place of FP32 weights: dynamic ranges, or fixed ones from calibration rows.

``quantize_static`` is of use to targets as well: execution providers for FPGAs and NPUs take models in this form.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
from numpy.typing import NDArray

from packager.transform.facts import DYNAMIC_ONLY, PRODUCTS
from packager.transform.tools import all_nodes, write_model

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSettings:
    """How fixed ranges are set.

    Attributes:
        activations: Type of what flows; processors take unsigned ones best, most accelerators signed ones.
        symmetric: Zero is at zero, which accelerators ask for.
        per_channel: A range of its own for every output channel of a weight.
        seven_bits: Leave one bit of the weights free. Processors without VNNI add products of 8 x 8 bits in 16 and
            saturate; with it, they give the same integers as all others.
        method: The whole range that was seen, or without its rarest hundredth of a thousandth.
    """

    activations: Literal["uint8", "int8"] = "uint8"
    symmetric: bool = False
    per_channel: bool = True
    seven_bits: bool = True
    method: Literal["minmax", "percentile"] = "minmax"


def quantize_static(
    source: Path, out: Path, rows: Sequence[Mapping[str, Array]], settings: StaticSettings | None = None
) -> None:
    """Write the model with fixed ranges, as pairs of QuantizeLinear and DequantizeLinear (QDQ).

    Args:
        source: With FP32 weights.
        rows: Calibration data, one call each, by input name.
    """
    from onnxruntime import quantization as tool

    chosen = settings or StaticSettings()
    methods = {"minmax": tool.CalibrationMethod.MinMax, "percentile": tool.CalibrationMethod.Percentile}
    tool.quantize_static(
        _with_flat_biases(onnx.load(source)),
        out,
        _reader(rows),
        quant_format=tool.QuantFormat.QDQ,
        per_channel=chosen.per_channel,
        reduce_range=chosen.seven_bits,
        activation_type=tool.QuantType.QUInt8 if chosen.activations == "uint8" else tool.QuantType.QInt8,
        weight_type=tool.QuantType.QInt8,
        calibrate_method=methods[chosen.method],
        extra_options={"ActivationSymmetric": chosen.symmetric, "WeightSymmetric": True},
    )
    write_model(onnx.load(out), out)


def quantize_dynamic(source: Path, out: Path, *, seven_bits: bool = True) -> None:
    """Write the model with integer weights, per channel; the range of what flows is taken anew in every run.

    Convolutions are left as they are: with dynamic ranges they were seen to take eight times as long.
    """
    from onnxruntime import quantization as tool

    tool.quantize_dynamic(
        source,
        out,
        op_types_to_quantize=sorted(PRODUCTS | DYNAMIC_ONLY),
        per_channel=True,
        reduce_range=seven_bits,
        weight_type=tool.QuantType.QInt8,
    )
    write_model(onnx.load(out), out)


def _with_flat_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the biases of Gemm as vectors: at rows of shape [1, n] the quantiser stops (onnxruntime 1.32)."""
    tensors, replaced = {tensor.name: tensor for tensor in model.graph.initializer}, set()
    for index, node in enumerate(model.graph.node):
        bias = tensors.get(node.input[2]) if node.op_type == "Gemm" and len(node.input) > 2 else None
        if bias is None or list(bias.dims[:-1]) != [1]:
            continue
        flat = model.graph.initializer.add()
        flat.CopyFrom(bias)
        flat.name = f"{bias.name}_flat_{index}"
        del flat.dims[0]
        replaced.add(bias.name)
        node.input[2] = flat.name
    unused = replaced - {name for node in all_nodes(model) for name in node.input}
    for name in unused:
        model.graph.initializer.remove(tensors[name])
    return model


def _reader(rows: Sequence[Mapping[str, Array]]) -> Any:
    from onnxruntime import quantization as tool

    class Rows(tool.CalibrationDataReader):  # type: ignore[misc]
        """The rows, once; and again after a rewind."""

        def __init__(self) -> None:
            self._left: Iterator[Mapping[str, Array]] = iter(rows)

        def get_next(self) -> dict[str, Array] | None:
            following = next(self._left, None)
            return None if following is None else dict(following)

        def rewind(self) -> None:
            self._left = iter(rows)

        def __len__(self) -> int:
            return len(rows)

    return Rows()
