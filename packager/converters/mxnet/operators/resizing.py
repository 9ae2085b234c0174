"""Repeating, padding, turning round, and images of another size."""

import numpy as np

from packager.converters.mxnet.operators.activations import apart
from packager.converters.mxnet.operators.slicing import Cut, sliced
from packager.converters.mxnet.registry import Call, Values, operator
from packager.converters.mxnet.sizes import Size, product, size

_FAR = -(1 << 31)


@operator("tile")
def tile(call: Call) -> Values:
    """The whole again and again."""
    (x,) = call.inputs
    times = list(call.numbers("reps"))
    if not times or min(times) < 1:
        call.refuse(f"has reps={times}")
    name, dims = x.name, list(x.dims)
    if len(times) > x.rank:
        more = len(times) - x.rank
        name = call.emit("Unsqueeze", name, call.constant(list(range(more)), np.int64))
        dims = [size(1)] * more + dims
    times = [1] * (len(dims) - len(times)) + times
    result = call.emit("Tile", name, call.constant(times, np.int64))
    return (call.result(result, [dim * number for dim, number in zip(dims, times, strict=True)], x.dtype),)


@operator("repeat")
def repeat(call: Call) -> Values:
    """Every number so many times, along an axis or of the flat tensor."""
    (x,) = call.inputs
    times = call.integer("repeats")
    if times < 1:
        call.refuse(f"has repeats={times}")
    name, dims, axis = x.name, list(x.dims), 0
    if call.attributes["axis"] is None:
        name, dims = call.emit("Reshape", name, call.constant([-1], np.int64)), [product(dims)]
    else:
        axis = call.axis()
    spread = call.emit("Unsqueeze", name, call.constant([axis + 1], np.int64))
    spread = call.emit(
        "Tile", spread, call.constant([times if i == axis + 1 else 1 for i in range(len(dims) + 1)], np.int64)
    )
    dims[axis] *= times
    free = [place for place, dim in enumerate(dims) if dim.fixed is None]
    shape = call.graph.shape(dims, scope=call.name)
    if len(free) == 1:
        shape = call.constant([-1 if dim.fixed is None else dim.fixed for dim in dims], np.int64)
    return (call.result(call.emit("Reshape", spread, shape), dims, x.dtype),)


@operator("reverse")
def reverse(call: Call) -> Values:
    """Backwards along some axes."""
    (x,) = call.inputs
    cuts = []
    for given in call.numbers("axis"):
        axis = call.nonnegative_axis(given, x.rank)
        apart(call, axis)
        cuts.append(Cut(axis, -1, size(_FAR), -1, x.dims[axis]))
    return sliced(call, cuts)


@operator("Pad")
def pad(call: Call) -> Values:
    """A border of one number, of the edge, or of the mirror image."""
    call.floats()
    (x,) = call.inputs
    widths = call.numbers("pad_width")
    if len(widths) != 2 * x.rank or min(widths) < 0 or max(widths) > 1 << 20:
        call.refuse(f"has pad_width={list(widths)} for a tensor of {x.rank} axes")
    given = call.constant([*widths[::2], *widths[1::2]], np.int64)
    filling = [call.constant(call.number("constant_value"))] if call.text("mode") == "constant" else []
    dims = [dim + (widths[2 * axis] + widths[2 * axis + 1]) for axis, dim in enumerate(x.dims)]
    return (call.result(call.emit("Pad", x.name, given, *filling, mode=call.text("mode")), dims),)


@operator("space_to_depth", "depth_to_space")
def blocks(call: Call) -> Values:
    """Between places and channels, in MXNet's order of channels."""
    call.floats()
    (x,) = call.inputs
    block = call.integer("block_size")
    if x.rank != 4 or block < 1:
        call.refuse(f"has block_size={block} for a tensor of {x.rank} axes")
    rows, channels, height, width = x.dims
    if call.op == "depth_to_space":
        fewer = _exactly(call, channels, block * block)
        name = call.emit("DepthToSpace", x.name, blocksize=block, mode="DCR")
        return (call.result(name, [rows, fewer, height * block, width * block]),)
    dims = [rows, channels * (block * block), _exactly(call, height, block), _exactly(call, width, block)]
    return (call.result(call.emit("SpaceToDepth", x.name, blocksize=block), dims),)


def _exactly(call: Call, dim: Size, parts: int) -> Size:
    quotient = dim.over(size(parts))
    if quotient is None:
        call.fixed(dim, f"a size of {dim} is cut into {parts}")
        call.refuse(f"cannot cut {dim} into {parts}")
    return quotient


@operator("UpSampling", least=1, most=2)
def upsampling(call: Call) -> Values:
    """Every place as a square of places, or by a transposed convolution."""
    call.floats()
    x, scale = call.inputs[0], call.integer("scale")
    if x.rank != 4 or not 1 <= scale <= 64:
        call.refuse(f"has scale={scale} for a tensor of {x.rank} axes")
    dims = [*x.dims[:2], x.dims[2] * scale, x.dims[3] * scale]
    if call.text("sample_type") == "nearest":
        if len(call.inputs) != 1:
            call.refuse("joins several inputs of different sizes, which was not verified against MXNet")
        scales = call.constant([1, 1, scale, scale])
        name = call.emit("Resize", x.name, "", scales, mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric")  # fmt: skip
        return (call.result(name, dims),)
    channels = call.fixed(x.dims[1], "the number of channels is needed")
    kernel, border = 2 * scale - scale % 2, -(-(scale - 1) // 2)
    weight = call.inputs[-1]
    expected = [channels, 1, kernel, kernel]
    if len(call.inputs) != 2 or [dim.fixed for dim in weight.dims] != expected:
        call.refuse(f"has no weight of the shape {expected}")
    name = call.emit("ConvTranspose", x.name, weight.name, group=channels, kernel_shape=[kernel] * 2,
                     strides=[scale] * 2, pads=[border] * 4)  # fmt: skip
    return (call.result(name, dims),)


@operator("_contrib_BilinearResize2D", least=1, most=2)
def bilinear(call: Call) -> Values:
    """An image of a given size, by lines between its points."""
    call.floats()
    x = call.inputs[0]
    if x.rank != 4 or call.text("mode") != "size" or len(call.inputs) != 1:
        call.refuse(f"has mode={call.text('mode')!r}, 'size' was verified against MXNet")
    if call.attributes["scale_height"] is not None or call.attributes["scale_width"] is not None:
        call.refuse("has scales, sizes were verified against MXNet")
    height, width = call.integer("height"), call.integer("width")
    if not (1 <= height <= 1 << 16 and 1 <= width <= 1 << 16):
        call.refuse(f"has the size {height} x {width}")
    if not call.flag("align_corners") and 1 in (height, width):
        call.refuse("makes an image of one row or column without align_corners: MXNet takes its first, ONNX its middle")
    how = "align_corners" if call.flag("align_corners") else "half_pixel"
    dims = [*x.dims[:2], size(height), size(width)]
    target = call.graph.shape(dims, scope=call.name)
    name = call.emit("Resize", x.name, "", "", target, mode="linear", coordinate_transformation_mode=how)
    return (call.result(name, dims),)


@operator("Crop", least=1, most=2)
def crop(call: Call) -> Values:
    """The last two axes, cut to a size or to that of another tensor."""
    call.floats()
    x = call.inputs[0]
    offsets, asked = call.numbers("offset"), call.numbers("h_w")
    if x.rank != 4 or len(offsets) != 2 or len(asked) != 2 or min(offsets) < 0:
        call.refuse(f"has offset={list(offsets)} and h_w={list(asked)} for a tensor of {x.rank} axes")
    target = list(call.inputs[1].dims[2:]) if len(call.inputs) == 2 else [size(number) for number in asked]
    cuts = []
    for axis in (2, 3):
        length, begin = target[axis - 2], offsets[axis - 2]
        if call.flag("center_crop"):
            room = x.dims[axis] - length
            begin = call.fixed(room, "a crop in the middle needs sizes") // 2
        cuts.append(Cut(axis, begin, length + begin, 1, length))
    return sliced(call, cuts)
