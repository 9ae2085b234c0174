"""Matrix products and distances."""

import numpy as np

from packager.converters.cntk.emitter import Emitter, Size, Value, of_rank, reshaped, with_axes_of
from packager.converters.cntk.model import Node
from packager.converters.cntk.registry import refusal, rule
from packager.converters.cntk.rules_elementwise import aligned


@rule(31, "Times", "any output rank; parameters or data on either side; sparse inputs as dense ones", inputs=2)
def _times(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    left, right = values
    rank = node.attributes.whole("outputRank", 1)
    if node.attributes.whole("inferInputRankToMap", -1) == -2:
        raise refusal(node, "it sums over the items of a sequence")
    if not 0 < rank <= len(left.shape):
        raise refusal(node, f"it has the output rank {rank}, its left operand {len(left.shape)} axes")
    # From the fastest axis, CNTK's left operand is [out…, in…] and its right one [in…, more…].
    inner, outer = left.shape[: len(left.shape) - rank], left.shape[len(left.shape) - rank :]
    return _product(emitter, node, left, right, inner, outer)


@rule(32, "TransposeTimes", "a matrix or vector on the left", inputs=2)
def _transpose_times(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    left, right = values
    if node.attributes.whole("outputRank", 1) != 1 or len(left.shape) > 2:
        raise refusal(node, f"its left operand has {len(left.shape)} axes")
    matrix = of_rank(emitter, left, 2)
    order = [*range(matrix.lead), matrix.lead + 1, matrix.lead]
    turned = matrix.like(emitter.node("Transpose", matrix.name, perm=order), matrix.shape[::-1])
    return _product(emitter, node, turned, right, turned.shape[:1], turned.shape[1:])


def _product(
    emitter: Emitter, node: Node, left: Value, right: Value, inner: tuple[Size, ...], outer: tuple[Size, ...]
) -> Value:
    """``right`` (more…, inner…) times ``left`` (inner…, outer…)."""
    if left.dtype != right.dtype:
        raise refusal(node, f"its operands are of different types ({left.dtype}, {right.dtype})")
    if not inner and right.shape == (1,):
        inner = (1,)
    split = len(right.shape) - len(inner)
    if split < 0 or right.shape[split:] != inner:
        raise refusal(node, f"it multiplies shapes that do not match: {_words(right.shape)} and {_words(left.shape)}")
    if left.sequence and right.sequence and left.sequence.name != right.sequence.name:
        raise refusal(node, "its operands are sequences along different axes")
    more = right.shape[:split]
    matrix = _flat(emitter, left, inner, outer)
    rows = _flat(emitter, right, more, inner) if len(more) != 1 or len(inner) != 1 else right
    widest = max((left, right), key=lambda value: value.lead)
    matrix, rows = with_axes_of(emitter, matrix, widest), with_axes_of(emitter, rows, widest)
    made = Value(
        emitter.node("MatMul", rows.name, matrix.name),
        (*rows.shape[:-1], *matrix.shape[-1:]),
        widest.batch,
        widest.sequence,
        left.dtype,
    )
    return reshaped(emitter, made, (*more, *outer))


def _flat(emitter: Emitter, value: Value, rows: tuple[Size, ...], columns: tuple[Size, ...]) -> Value:
    """As a matrix; an axis of free size may stand alone only."""
    return reshaped(emitter, value, (_total(rows), _total(columns)))


def _total(parts: tuple[Size, ...]) -> Size:
    if len(parts) == 1:
        return parts[0]
    free = [part for part in parts if not isinstance(part, int)]
    known = int(np.prod([part for part in parts if isinstance(part, int)], dtype=np.int64))
    if len(free) == 1 and known == 1:
        return free[0]
    if free:
        from packager.core.errors import ConverterMissing

        raise ConverterMissing(
            "a product mixes the axis of an unpacked sequence with others",
            hint="reduce over that axis first, or leave the sequence packed",
        )
    return known


def _words(shape: tuple[Size, ...]) -> str:
    return str([size if isinstance(size, int) else size.name for size in shape])


@rule(53, "CosDistance", "the cosine of the angle between two items", inputs=2)
def _cosine(emitter: Emitter, node: Node, values: list[Value]) -> Value:
    (left, right), answer = aligned(emitter, node, values)
    axes = emitter.ints(*range(answer.lead, answer.lead + len(answer.shape)))

    def total(one: Value, other: Value) -> str:
        return emitter.node("ReduceSum", emitter.node("Mul", one.name, other.name), axes, keepdims=0)

    both = emitter.node("Mul", emitter.node("Sqrt", total(left, left)), emitter.node("Sqrt", total(right, right)))
    name = emitter.node("Div", total(left, right), both)
    return answer.like(name, ())
