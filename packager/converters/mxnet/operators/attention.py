"""Attention with interleaved projections, as GluonNLP's transformers are exported."""

import math

from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import Size, size
from packager.converters.mxnet.values import Value


@operator("_contrib_interleaved_matmul_selfatt_qk")
def self_scores(call: Call) -> Values:
    """Queries times keys, of one input (steps, rows, heads·3·width)."""
    call.floats()
    queries, keys, _ = _parts(call, call.inputs[0], 3)
    return _scores(call, queries, keys)


@operator("_contrib_interleaved_matmul_encdec_qk")
def cross_scores(call: Call) -> Values:
    """Queries of one input times keys of another."""
    call.floats()
    (queries,) = _parts(call, call.inputs[0], 1)
    keys, _ = _parts(call, call.inputs[1], 2)
    return _scores(call, queries, keys)


@operator("_contrib_interleaved_matmul_selfatt_valatt", "_contrib_interleaved_matmul_encdec_valatt")
def weighted(call: Call) -> Values:
    """Weights times values, back as (steps, rows, heads·width)."""
    call.floats()
    source, weights = call.inputs
    values = _parts(call, source, 3 if "selfatt" in call.op else 2)[-1]
    rows, heads = source.dims[1], size(call.integer("heads"))
    steps, width = weights.dims[1], values.dims[2]
    name = call.emit("MatMul", weights.name, values.name)
    apart = call.graph.shape([rows, heads, steps, width], scope=call.name)
    name = call.emit("Transpose", call.emit("Reshape", name, apart), perm=[2, 0, 1, 3])
    dims = [steps, rows, heads * width]
    return (call.result(call.emit("Reshape", name, call.graph.shape(dims, scope=call.name)), dims),)


def _scores(call: Call, queries: Value, keys: Value) -> Values:
    width = call.fixed(queries.dims[2], "the width of a head is needed")
    scaled = call.emit("Mul", queries.name, call.constant(1 / math.sqrt(width)))
    turned = call.emit("Transpose", keys.name, perm=[0, 2, 1])
    return (call.result(call.emit("MatMul", scaled, turned), [queries.dims[0], queries.dims[1], keys.dims[1]]),)


def _parts(call: Call, source: Value, parts: int) -> list[Value]:
    """Each projection as (rows·heads, steps, width)."""
    if source.rank != 3:
        call.refuse(f"gets a tensor of {source.rank} axes, it takes 3")
    steps, rows, whole = source.dims
    heads = call.integer("heads")
    width = whole.over(size(heads * parts))
    if width is None:
        call.fixed(whole, "its projections are cut into heads")
        call.refuse(f"cannot cut {whole} into {heads} heads of {parts} parts")
    shape: list[Size] = [steps, rows, size(heads), size(parts), width]
    cut = call.emit("Reshape", source.name, call.graph.shape(shape, scope=call.name))
    turned = call.emit("Transpose", cut, perm=[3, 1, 2, 0, 4])
    merged = call.graph.shape([size(parts), rows * heads, steps, width], scope=call.name)
    whole_name = call.emit("Reshape", turned, merged)
    names = [whole_name]
    if parts > 1:
        names = call.graph.emit("Split", [whole_name], scope=call.name, outputs=parts, axis=0, num_outputs=parts)
    first = call.constant([0], "int64")
    return [call.result(call.emit("Squeeze", name, first), [rows * heads, steps, width]) for name in names]
