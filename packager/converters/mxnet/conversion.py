"""The conversion of one MXNet model, from its files to ONNX and samples."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from packager.converters.mxnet.files import ModelFiles, find_files
from packager.converters.mxnet.fitting import BATCH, LENGTHS, Fitted, Fitting, Told, input_names, kept_heads
from packager.converters.mxnet.params import read_params
from packager.converters.mxnet.rows import flat_outputs, with_rows
from packager.converters.mxnet.sampling import given_arrays, matched, samples_for
from packager.converters.mxnet.sizes import Size, named
from packager.converters.mxnet.symbol import NULL, Symbol, read_symbol
from packager.core.conversion import DEFAULT_OPSET, ConversionRequest, InputHint, RawConversion
from packager.core.errors import ConverterMissing, UsageError
from packager.core.extras import versions_of
from packager.core.progress import Progress
from runtime.contract.certificate import Coverage
from runtime.contract.dtypes import DTYPES

Array = NDArray[Any]
# Source: mshadow/base.h, TypeFlag, as __dtype__ says it.
_TYPE_FLAGS = {"0": "f4", "1": "f8", "3": "u1", "4": "i4", "5": "i1", "6": "i8"}
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_MOST_BYTES = (2 << 30) - (1 << 24)  # of a protobuf message


def convert_mxnet(request: ConversionRequest, progress: Progress) -> RawConversion:
    """ONNX and samples in the folder of the request."""
    found = request.options.get("companions")
    files = ModelFiles(*map(Path, found)) if found else find_files(request.source)
    if request.opset < DEFAULT_OPSET:
        raise UsageError(
            f"--opset {request.opset}: MXNet models are written for opset {DEFAULT_OPSET} and newer",
            hint=f"--opset {DEFAULT_OPSET}",
        )
    progress.step("reading the symbol and its parameters")
    symbol = read_symbol(files.symbol)
    arrays = read_params(files.params).arrays
    heads, notes = kept_heads(symbol)
    names = input_names(symbol, heads, arrays)
    samples = given_arrays(request)
    told = _told(symbol, names, request.inputs, None if samples is None else matched(samples, names))
    progress.step("converting to ONNX")
    fitted = Fitting(symbol, heads, arrays, told).run(lengths=request.options.get("lengths") is True)
    model = _model(fitted, request.opset)
    if flat_outputs(fitted) and all(entrance.dims[:1] == (named(BATCH),) for entrance in fitted.entrances):
        fitted, said = with_rows(fitted, model)
        model, notes = _model(fitted, request.opset), notes + said
    path = request.workdir / "model.onnx"
    path.write_bytes(model)
    chosen = samples_for(fitted, samples, request)
    return RawConversion(
        onnx=path,
        samples=_save(request.workdir / "samples.npz", chosen),
        reference="none",
        reference_original=None,
        reference_cast=None,
        framework="mxnet",
        framework_version=symbol.version or "unknown",
        synthetic=samples is None,
        seed=request.seed if samples is None else None,
        coverage=Coverage(weak=True, reason="samples drawn by shape alone") if samples is None else Coverage(),
        versions=versions_of("onnx", "numpy"),
        notes=notes,
    )


def _told(
    symbol: Symbol, names: list[str], hints: tuple[InputHint, ...], samples: Mapping[str, Array] | None
) -> dict[str, Told]:
    unknown = [hint.name for hint in hints if hint.name not in (*names, LENGTHS)]
    if unknown:
        raise UsageError(
            f"--input {unknown[0]}: the model has no input of that name", hint=f"it takes {', '.join(names)}"
        )
    return {name: _told_of(symbol, name, hints, samples) for name in names}


def _told_of(symbol: Symbol, name: str, hints: tuple[InputHint, ...], samples: Mapping[str, Array] | None) -> Told:
    attributes = next(node.attributes for node in symbol.nodes if node.op == NULL and node.name == name)
    hint = next((hint for hint in hints if hint.name == name), None)
    dtype = np.dtype(_TYPE_FLAGS.get(attributes.get("__dtype__", "0"), "f4"))
    asked = None
    if hint is not None:
        dtype = np.dtype(DTYPES[hint.dtype].numpy)
        asked = tuple(dim if isinstance(dim, int) else None for dim in hint.shape)
    seen: tuple[int | None, ...] | None = None
    if samples is not None:
        seen = samples[name].shape
    elif shape := attributes.get("__shape__"):
        seen = _shape(shape)
    return Told(dtype, asked, seen)


def _shape(text: str) -> tuple[int | None, ...] | None:
    """A ``__shape__`` as the file has it; sizes of 0 and below are not known."""
    items = [item.strip().removesuffix("L") for item in text.strip("()[] ").split(",") if item.strip()]
    if not items or len(items) > 8 or not all(_WHOLE.fullmatch(item) for item in items):
        return None
    return tuple(int(item) if int(item) > 0 else None for item in items)


def _model(fitted: Fitted, opset: int) -> bytes:
    translation, graph = fitted.translation, fitted.translation.graph
    inputs = [_info(entrance.name, entrance.dtype, entrance.dims) for entrance in fitted.entrances]
    if fitted.lengths:
        inputs.append(helper.make_tensor_value_info(LENGTHS, onnx.TensorProto.INT64, ["batch"]))
    outputs = [_info(name, value.dtype, value.dims) for name, value in translation.outputs]
    if sum(array.nbytes for array in graph.initializers.values()) > _MOST_BYTES:
        raise ConverterMissing(
            "the parameters take more than the 2 GiB of one ONNX file", hint="no smaller form is known"
        )
    tensors = [numpy_helper.from_array(_little(array), name) for name, array in graph.initializers.items()]
    made = helper.make_graph(graph.nodes, "model", inputs, outputs, tensors)
    versions = [helper.make_opsetid("", opset)]
    proto = helper.make_model(
        made, opset_imports=versions, ir_version=helper.find_min_ir_version_for(versions), producer_name="dray"
    )
    encoded: bytes = proto.SerializeToString(deterministic=True)
    return encoded


def _little(array: Array) -> Array:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("=")) if array.ndim else array


def _info(name: str, dtype: "np.dtype[Any]", dims: tuple[Size, ...]) -> onnx.ValueInfoProto:
    shape = [dim.symbol if dim.fixed is None else dim.fixed for dim in dims]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def _save(path: Path, arrays: Mapping[str, Array]) -> Path:
    np.savez(path, allow_pickle=False, **arrays)
    return path
