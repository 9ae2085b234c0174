"""Primitives that move values."""

import cntk as C
import numpy as np

CASES = {}


def case(name, build, **kinds):
    """Register a case; `kinds` says how inputs are drawn."""
    CASES[name] = (build, kinds)


def x(shape=(2, 3, 4), name="x", **more):
    return C.input_variable(shape, name=name, **more)


for _axis in (0, 1, 2, -1):
    case("slice_axis%d" % _axis, lambda a=_axis: C.slice(x(), a, 1, 2))
case("slice_negative", lambda: C.slice(x(), 2, -3, -1))
case("slice_to_end", lambda: C.slice(x(), 2, 1, 0))
case("slice_strided", lambda: C.slice(x((7,)), 0, 1, 6, 2))
case("slice_reversed", lambda: C.slice(x((7,)), 0, 0, 7, -1))
case("slice_reversed2", lambda: C.slice(x((7,)), 0, 1, 6, -2))
case("slice_several", lambda: C.slice(x(), [0, 2], [1, 0], [2, 3]))
case("getitem", lambda: x()[0:1, 1:, ::2])
for _axis in (0, 1, -1):
    case("splice_axis%d" % _axis, lambda a=_axis: C.splice(x((2, 3)), x((2, 3), name="y"), axis=a))
case("splice_sizes", lambda: C.splice(x((2, 3)), x((2, 5), name="y"), x((2, 1), name="z")))
case("splice_new_axis", lambda: C.splice(x((3,)), x((3,), name="y"), axis=-2))
case("splice_broadcast", lambda: C.splice(x((2, 3)), C.constant(np.ones((2, 1), "f"))))
case("splice_one", lambda: C.splice(x((2, 3)), axis=0))
case("reshape", lambda: C.reshape(x(), (4, 6)))
case("reshape_infer", lambda: C.reshape(x(), (C.InferredDimension, 3)))
case("reshape_scalar", lambda: C.reshape(x((1,)), ()))
case("reshape_part", lambda: C.reshape(x(), (C.InferredDimension,), begin_axis=0, end_axis=2))
case("reshape_part2", lambda: C.reshape(x(), (2, 2), begin_axis=2))
case("reshape_insert", lambda: C.reshape(x(), (1, 1), begin_axis=1, end_axis=1))
case("reshape_drop", lambda: C.reshape(x((2, 1, 4)), (), begin_axis=1, end_axis=2))
case("flatten", lambda: C.flatten(x()))
case("flatten_axis", lambda: C.flatten(x(), axis=1))
case("squeeze", lambda: C.squeeze(x((1, 3, 1))))
case("squeeze_axis", lambda: C.squeeze(x((1, 3, 1)), axes=0))
case("expand_dims", lambda: C.expand_dims(x(), 1))
case("expand_dims_last", lambda: C.expand_dims(x(), -1))
case("swapaxes", lambda: C.swapaxes(x()))
case("swapaxes12", lambda: C.swapaxes(x(), 1, 2))
case("transpose", lambda: C.transpose(x(), (2, 0, 1)))
case("transpose_matrix", lambda: C.transpose(x((2, 3)), (1, 0)))
case("pad", lambda: C.pad(x((2, 3)), [(1, 0), (2, 1)], constant_value=0.5))
case("pad_reflect", lambda: C.pad(x((3, 4)), [(1, 1), (2, 1)], mode=C.ops.REFLECT_PAD))
case("pad_symmetric", lambda: C.pad(x((3, 4)), [(1, 1), (2, 1)], mode=C.ops.SYMMETRIC_PAD))


def index(shape, rng):
    return rng.randint(0, 4, shape)


case("one_hot", lambda: C.one_hot(x((3,)), 4), x=index)
case("one_hot_matrix", lambda: C.one_hot(x((2, 3)), 4), x=index)
case("one_hot_axis0", lambda: C.one_hot(x((2, 3)), 4, axis=0), x=index)
case(
    "one_hot_sparse",
    lambda: C.times(
        C.one_hot(x((1,)), 4, sparse_output=True), C.parameter((4, 2), init=np.arange(8).reshape(4, 2).astype("f"))
    ),
    x=index,
)
case("gather", lambda: C.gather(C.constant(np.arange(8).reshape(4, 2).astype("f")), x((3,))), x=index)
case(
    "gather_parameter",
    lambda: C.gather(C.parameter((4, 2, 3), init=np.arange(24).reshape(4, 2, 3).astype("f")), x((2, 2))),
    x=index,
)
case("gather_axis", lambda: C.gather(C.constant(np.arange(24).reshape(2, 4, 3).astype("f")), x((3,)), axis=1), x=index)
case("crop_manual", lambda: C.crop_manual(x((2, 5, 6)), x((2, 3, 3), name="y"), 1, 2))
case("depth_to_space", lambda: C.depth_to_space(x((8, 2, 3)), 2))
case("space_to_depth", lambda: C.space_to_depth(x((2, 4, 6)), 2))
case("top_k", lambda: C.top_k(x((6,)), 3))
case("top_k_axis", lambda: C.top_k(x((4, 3)), 2, axis=0))
case("top_k_values", lambda: C.combine([C.top_k(x((6,)), 3).outputs[0]]))
case("combine", lambda: C.combine([C.relu(x((3,)), name="first"), C.tanh(x((2,), name="y"), name="second")]))
case("combine_unnamed", lambda: C.combine([C.relu(x((3,))), C.tanh(x((2,), name="y"))]))
case("combine_same_name", lambda: C.combine([C.relu(x((3,)), name="a"), C.tanh(x((2,), name="y"), name="a")]))
case("combine_input", lambda: C.combine([x((3,)), C.tanh(x((2,), name="y"), name="a")]))
case("odd_names", lambda: C.plus(x((3,), name="in put/1"), x((3,), name="in put_1"), name="out put"))
case("unnamed_inputs", lambda: C.plus(C.input_variable(3), C.input_variable(3)))
case(
    "roi_max",
    lambda: C.roipooling(x((2, 6, 6)), x((3, 4), name="r"), C.MAX_POOLING, (2, 2), 1.0),
    r=lambda s, g: np.tile(np.array([[0, 0, 3, 3], [1, 2, 5, 5], [2, 0, 4, 5]], "f"), (s[0], 1, 1)),
)
case("unpack_batch", lambda: C.unpack_batch(x((3,))))
case("to_batch", lambda: C.to_batch(C.input_variable((2, 3), dynamic_axes=[], name="k")) + x((3,)))
case("free_static", lambda: C.reduce_sum(C.input_variable((C.FreeDimension, 3), name="x"), axis=1))
case("to_sequence", lambda: C.to_sequence(x((3, 2))))
case(
    "to_sequence_recurrent",
    lambda: C.layers.Fold(C.layers.GRU(3, init=C.normal(0.5, seed=3)))(C.to_sequence(x((4, 2)))),
)
case("to_sequence_lengths", lambda: C.to_sequence(x((3, 2)), x((1,), name="n")), n=lambda s, g: g.randint(1, 4, s))
