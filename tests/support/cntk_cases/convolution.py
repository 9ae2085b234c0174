"""Convolution, pooling, normalisation by batches."""

import cntk as C
import numpy as np

CASES = {}


def case(name, build, **kinds):
    """Register a case; `kinds` says how inputs are drawn."""
    CASES[name] = (build, kinds)


def x(shape=(2, 5, 6), name="x", **more):
    return C.input_variable(shape, name=name, **more)


def w(*shape):
    return C.parameter(shape, init=np.random.RandomState(sum(shape)).normal(0, 1, shape).astype("f"))


for _k in (1, 2, 3, 4, 5):
    for _s in (1, 2, 3):
        for _pad in (True, False):
            case(
                "conv_k%d_s%d_%s" % (_k, _s, "same" if _pad else "valid"),
                lambda k=_k, s=_s, p=_pad: C.convolution(
                    w(2, 2, k, k), x(), strides=(s, s), auto_padding=[False, p, p]
                ),
            )
case("conv_stride_short", lambda: C.convolution(w(3, 2, 3, 3), x(), strides=(2,), auto_padding=[False, True, True]))
case("conv_stride_mixed", lambda: C.convolution(w(3, 2, 3, 2), x(), strides=(2, 1), auto_padding=[False, True, False]))
for _size in (5, 8, 11):
    for _k, _s in ((1, 4), (2, 3), (3, 3), (4, 3), (4, 2), (5, 4), (7, 4), (2, 5), (6, 2), (11, 4)):
        if _k <= _size:
            case(
                "conv_1d_i%d_k%d_s%d" % (_size, _k, _s),
                lambda i=_size, k=_k, s=_s: C.convolution(
                    w(1, 1, k), x((1, i)), strides=(s,), auto_padding=[False, True]
                ),
            )
            case(
                "pool_1d_i%d_k%d_s%d" % (_size, _k, _s),
                lambda i=_size, k=_k, s=_s: C.pooling(
                    x((1, 1, i)), C.AVG_POOLING, (1, k), strides=(1, s), auto_padding=[True, True]
                ),
            )
for _k, _s in ((1, 2), (2, 2), (3, 2), (4, 2), (5, 2), (3, 3), (5, 3), (4, 4)):
    case(
        "conv_transpose_valid_k%d_s%d" % (_k, _s),
        lambda k=_k, s=_s: C.convolution_transpose(
            w(1, 2, k, k), x((1, 3, 4)), strides=(s, s), auto_padding=[False, False, False]
        ),
    )
    case(
        "conv_transpose_same_k%d_s%d" % (_k, _s),
        lambda k=_k, s=_s: C.convolution_transpose(
            w(1, 2, k, k), x((1, 3, 4)), strides=(s, s), auto_padding=[False, True, True]
        ),
    )
    case(
        "conv_transpose_given_k%d_s%d" % (_k, _s),
        lambda k=_k, s=_s: C.convolution_transpose(
            w(1, 2, k, k),
            x((1, 3, 4)),
            strides=(s, s),
            output_shape=(2, 3 * s, 4 * s),
            auto_padding=[False, True, True],
        ),
    )
for _name, _low, _high in (("symmetric", [1, 1, 0], [1, 1, 0]), ("other", [2, 0, 0], [1, 1, 0])):
    for _s in (1, 2):
        case(
            "conv_pads_%s_s%d" % (_name, _s),
            lambda s=_s: C.convolution(w(3, 2, 3, 3), x(), strides=(s, s), auto_padding=[False, False, False]),
            pads={"lowerPad": _low, "upperPad": _high},
        )
        case(
            "conv_transpose_pads_%s_s%d" % (_name, _s),
            lambda s=_s: C.convolution_transpose(
                w(1, 2, 3, 3), x((1, 3, 4)), strides=(s, s), auto_padding=[False, False, False]
            ),
            pads={"lowerPad": _low, "upperPad": _high},
        )
for _kind, _type in (("max", C.MAX_POOLING), ("avg", C.AVG_POOLING)):
    case(
        "pool_%s_pads" % _kind,
        lambda t=_type: C.pooling(x(), t, (3, 3), strides=(2, 2), auto_padding=[False]),
        pads={"lowerPad": [1], "upperPad": [1]},
    )
case(
    "conv_pads",
    lambda: C.convolution(w(3, 2, 3, 3), x(), strides=(1, 2), auto_padding=[False, False, True]),
)
case("conv_computed_weights", lambda: C.convolution(C.tanh(w(3, 2, 3, 3)) * 2, x(), auto_padding=[False, True, True]))
case("conv_groups", lambda: C.convolution(w(4, 1, 3, 3), x(), groups=2, auto_padding=[False, True, True]))
case("conv_1d", lambda: C.convolution(w(3, 2, 3), x((2, 9)), auto_padding=[False, True]))
case(
    "conv_3d",
    lambda: C.convolution(w(3, 2, 3, 3, 3), x((2, 4, 5, 6)), strides=(1, 2, 1), auto_padding=[False, True, True, True]),
)
case("conv_reduction0", lambda: C.convolution(w(3, 1, 3, 3), x((1, 6, 7)), auto_padding=[True, True, True]))
case(
    "conv_transpose",
    lambda: C.convolution_transpose(w(2, 3, 3, 3), x(), strides=(2, 2), auto_padding=[False, False, False]),
)
case(
    "conv_transpose_same",
    lambda: C.convolution_transpose(w(2, 3, 3, 3), x(), strides=(2, 2), auto_padding=[False, True, True]),
)
case(
    "conv_transpose_k4",
    lambda: C.convolution_transpose(w(2, 3, 4, 4), x(), strides=(2, 2), auto_padding=[False, True, True]),
)
case(
    "conv_transpose_s1",
    lambda: C.convolution_transpose(w(2, 3, 3, 3), x(), strides=(1, 1), auto_padding=[False, True, True]),
)
case(
    "conv_transpose_shape",
    lambda: C.convolution_transpose(
        w(2, 3, 3, 3), x(), strides=(2, 2), output_shape=(3, 10, 12), auto_padding=[False, True, True]
    ),
)
case(
    "conv_transpose_shape2",
    lambda: C.convolution_transpose(
        w(2, 3, 2, 2), x(), strides=(2, 2), output_shape=(3, 10, 12), auto_padding=[False, True, True]
    ),
)
for _kind, _type in (("max", C.MAX_POOLING), ("avg", C.AVG_POOLING)):
    for _k, _s in ((2, 2), (3, 2), (3, 1), (2, 1), (3, 3), (4, 3)):
        for _pad in (True, False):
            case(
                "pool_%s_k%d_s%d_%s" % (_kind, _k, _s, "same" if _pad else "valid"),
                lambda t=_type, k=_k, s=_s, p=_pad: C.pooling(x(), t, (k, k), strides=(s, s), auto_padding=[p]),
            )
        case(
            "pool_%s_k%d_s%d_ceil" % (_kind, _k, _s),
            lambda t=_type, k=_k, s=_s: C.pooling(x(), t, (k, k), strides=(s, s), ceil_out_dim=True),
        )
        case(
            "pool_%s_k%d_s%d_include" % (_kind, _k, _s),
            lambda t=_type, k=_k, s=_s: C.pooling(
                x(), t, (k, k), strides=(s, s), auto_padding=[True], include_pad=True
            ),
        )
        case(
            "pool_%s_k%d_s%d_include_ceil" % (_kind, _k, _s),
            lambda t=_type, k=_k, s=_s: C.pooling(x(), t, (k, k), strides=(s, s), ceil_out_dim=True, include_pad=True),
        )
    case("pool_%s_global" % _kind, lambda t=_type: C.pooling(x(), t, (5, 6)))
    case("pool_%s_global_same" % _kind, lambda t=_type: C.pooling(x(), t, (5, 6), auto_padding=[True]))
    case("pool_%s_1d" % _kind, lambda t=_type: C.pooling(x((2, 9)), t, (3,), strides=(2,), auto_padding=[True]))
    case(
        "pool_%s_3d" % _kind,
        lambda t=_type: C.pooling(x((2, 4, 5, 6)), t, (2, 3, 2), strides=(1, 2, 2), auto_padding=[True]),
    )
    case("pool_%s_channel" % _kind, lambda t=_type: C.pooling(x((4, 6, 7)), t, (2, 3, 3), strides=(2, 1, 1)))
    case("pool_%s_matrix" % _kind, lambda t=_type: C.pooling(x((5, 6)), t, (2, 2), strides=(2, 2)))
case(
    "unpooling_even",
    lambda: (
        lambda q: C.unpooling(
            C.relu(C.pooling(q, C.MAX_POOLING, (2, 2), strides=(2, 2))) + 1, q, C.MAX_UNPOOLING, (2, 2), strides=(2, 2)
        )
    )(x((2, 6, 4))),
)
case(
    "unpooling",
    lambda: C.unpooling(
        C.pooling(x(), C.MAX_POOLING, (2, 2), strides=(2, 2)), x(), C.MAX_UNPOOLING, (2, 2), strides=(2, 2)
    ),
)


def norm(shape, spatial, count=(2,), **more):
    n = count[0]
    r = np.random.RandomState(3)
    return C.batch_normalization(
        x(shape),
        C.parameter(count, init=r.normal(1, 0.1, n).astype("f")),
        C.parameter(count, init=r.normal(0, 1, n).astype("f")),
        C.constant(r.normal(0, 1, n).astype("f")),
        C.constant(r.uniform(0.5, 2, n).astype("f")),
        spatial,
        running_count=C.constant(1000.0),
        use_cudnn_engine=False,
        **more,
    )


case("bn_spatial", lambda: norm((2, 5, 6), True))
case("bn_vector", lambda: norm((2,), False))
case("bn_spatial_vector", lambda: norm((2,), True))
case("bn_epsilon", lambda: norm((2, 3, 3), True, epsilon=0.1))
case("bn_not_spatial", lambda: norm((6,), False, (6,)))
case("bn_1d", lambda: norm((2, 5), True))
