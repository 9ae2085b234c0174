"""Shapes of two tensors that meet."""

from packager.converters.mxnet.registry import Call
from packager.converters.mxnet.sizes import Size
from packager.converters.mxnet.values import Value


def same_dims(call: Call, left: Value, right: Value) -> None:
    """Both have one shape, or this is no model."""
    if left.rank != right.rank:
        call.refuse(f"gets tensors of {left.rank} and {right.rank} axes, which must be of one shape")
    for axis, (one, other) in enumerate(zip(left.dims, right.dims, strict=True)):
        call.same(one, other, f"a size on axis {axis} of")


def broadcast_dims(call: Call, left: Value, right: Value) -> list[Size]:
    """The shape of both together, axis by axis; MXNet wants as many axes."""
    if left.rank != right.rank:
        call.refuse(f"gets tensors of {left.rank} and {right.rank} axes, which must be as many")
    return [call.meet(one, other) for one, other in zip(left.dims, right.dims, strict=True)]
