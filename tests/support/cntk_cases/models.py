"""Whole models as people build them: tagging, forecasting, image nets, autoencoders, sequence to sequence."""

import cntk as C
import numpy as np
from cntk.layers import *

CASES = {}


def case(name, build, **kinds):
    """Register a case; `kinds` says how inputs are drawn."""
    CASES[name] = (build, kinds)


S = C.sequence


def x(shape=(3,), name="x", **m):
    return C.input_variable(shape, name=name, **m)


def sx(shape=(3,), name="x", **m):
    return S.input_variable(shape, name=name, **m)


r = np.random.RandomState(0)


def weights(*s):
    return C.parameter(s, init=r.normal(0, 0.5, s).astype("f"))


# ATIS
case(
    "atis",
    lambda: Sequential(
        [
            Embedding(8),
            Stabilizer(enable_self_stabilization=True),
            Recurrence(LSTM(6)),
            Stabilizer(enable_self_stabilization=True),
            Dense(5),
        ]
    )(sx((9,), is_sparse=True)),
    x="onehot",
)
case(
    "atis_bn_lookahead",
    lambda: Sequential(
        [
            Embedding(8),
            BatchNormalization(),
            (Recurrence(LSTM(6)), Recurrence(LSTM(6), go_backwards=True)),
            splice,
            BatchNormalization(),
            Dense(5),
        ]
    )(sx((9,))),
    x="onehot",
)


def with_lookahead():
    xx = sx((4,))
    return Sequential([Recurrence(GRU(3)), Dense(2)])(C.splice(xx, S.future_value(xx)))


case("lookahead", with_lookahead)


def oner():

    @C.Function
    def f(x):
        return C.splice(x, S.delay(x, time_step=-1))

    return Sequential([Embedding(3), f, Recurrence(LSTM(3)), Dense(2)])(sx((5,)))


case("one_word_lookahead", oner)
# stock LSTM 106
case("c106", lambda: Sequential([Recurrence(LSTM(5)), S.last, Dropout(0.2), Dense(1)])(sx((1,))))


def c106():
    with default_options(initial_state=0.1):
        return Sequential([Recurrence(LSTM(5)), S.last, Dropout(0.2), Dense(1)])(sx((1,)))


case("c106_default", c106)


# DCGAN
def gen():
    with default_options(init=C.normal(scale=0.02)):
        h0 = Dense([2, 4, 4], activation=None)(x((10,), "z"))
        h1 = BatchNormalization(map_rank=1)(h0)
        h1 = C.relu(h1)
        h2 = ConvolutionTranspose2D((5, 5), 3, strides=(2, 2), pad=True, output_shape=(8, 8), activation=None)(h1)
        h2 = C.relu(BatchNormalization(map_rank=1)(h2))
        h3 = ConvolutionTranspose2D((5, 5), 1, strides=(2, 2), pad=True, output_shape=(16, 16), activation=C.sigmoid)(
            h2
        )
        return C.reshape(h3, (256,))


case("dcgan_gen", gen)


def disc():
    h0 = C.reshape(x((64,)), (1, 8, 8))
    lr = lambda v: C.leaky_relu(v, alpha=0.2)
    h1 = lr(BatchNormalization(map_rank=1)(Convolution2D((5, 5), 2, strides=(2, 2), pad=True)(h0)))
    return Dense(1, activation=C.sigmoid)(h1)


case("dcgan_disc", disc)


# VGG-like with loss & named; transfer
def vgg():
    with default_options(activation=C.relu, pad=True):
        return Sequential(
            [
                For(
                    range(2),
                    lambda i: [
                        Convolution2D((3, 3), [2, 3][i]),
                        Convolution2D((3, 3), [2, 3][i]),
                        MaxPooling((2, 2), strides=2),
                    ],
                ),
                Dense(6),
                Dropout(0.5),
                Dense(3, activation=None),
            ]
        )(x((3, 8, 8), "features") - 114)


case("vgg", vgg)


# siamese
def siam():
    enc = Sequential([Dense(5, activation=C.tanh), Dense(4)])
    return C.cosine_distance(enc(x((6,), "a")), enc(x((6,), "b")))


case("siamese", siam)


def siam2():
    enc = Sequential([Dense(5, activation=C.tanh), Dense(4)])
    return C.squared_error(enc(x((6,), "a")), enc(x((6,), "b")))


case("siamese_sq", siam2)


# text CNN over time: conv via splice of delays
def tcnn():
    e = Embedding(4)(sx((7,)))
    w = [S.delay(e, time_step=t) for t in (-1, 0, 1)]
    return Dense(2)(S.reduce_max(C.relu(Dense(3)(C.splice(*w)))))


case("textcnn", tcnn, x="onehot")


def seqmean():
    e = sx((4,))
    return Dense(2)(S.reduce_sum(e) / S.reduce_sum(S.broadcast_as(C.constant(1.0), e)))


case("seqmean", seqmean)


# seq attention pool
def attnpool():
    e = Recurrence(GRU(4))(sx((3,)))
    a = S.softmax(Dense(1)(C.tanh(Dense(3)(e))))
    return Dense(2)(S.reduce_sum(a * e))


case("attnpool", attnpool)


# highway, gated, maxout
def highway():
    v = Dense(5)(x((5,)))
    t = C.sigmoid(Dense(5)(v))
    return t * C.relu(Dense(5)(v)) + (1 - t) * v


case("highway", highway)
case("maxout", lambda: C.reduce_max(Dense((3, 4))(x((5,))), axis=1))
case("maxout_nokeep", lambda: C.reduce_max(Dense((3, 4))(x((5,))), axis=1, keepdims=False))


# SE block
def se():
    v = Convolution2D((3, 3), 4, pad=True)(x((2, 6, 6)))
    s = C.sigmoid(Dense(4)(C.relu(Dense(2)(GlobalAveragePooling()(v)))))
    return v * C.reshape(s, (4, 1, 1))


case("se", se)


# densenet
def dn():
    v = Convolution2D((3, 3), 2, pad=True)(x((2, 6, 6)))
    for _ in range(2):
        v = C.splice(v, Convolution2D((3, 3), 2, pad=True)(C.relu(BatchNormalization(map_rank=1)(v))), axis=0)
    return Dense(3)(AveragePooling((2, 2), strides=2)(v))


case("densenet", dn)
# depthwise separable via groups
case("depthwise", lambda: C.convolution(weights(4, 1, 3, 3), x((4, 6, 6)), groups=4, auto_padding=[False, True, True]))
# pixel shuffle superres
case("superres", lambda: C.depth_to_space(Convolution2D((3, 3), 4, pad=True)(x((1, 5, 5))), 2))


# U-net
def unet():
    a = Convolution2D((3, 3), 2, pad=True, activation=C.relu)(x((1, 8, 8)))
    b = Convolution2D((3, 3), 3, pad=True, activation=C.relu)(MaxPooling((2, 2), (2, 2))(a))
    u = ConvolutionTranspose2D((2, 2), 2, strides=2, pad=False)(b)
    return C.sigmoid(Convolution2D((1, 1), 1)(C.splice(a, u, axis=0)))


case("unet", unet)


# instance norm style-transfer
def inorm():
    v = Convolution2D((3, 3), 3, pad=True)(x((3, 6, 6)))
    m = C.reduce_mean(v, axis=(1, 2))
    c = v - m
    s = C.reduce_mean(C.square(c), axis=(1, 2))
    return c / C.sqrt(s + 1e-5) * weights(3, 1, 1) + weights(3, 1, 1)


case("instancenorm", inorm)
case(
    "gram",
    lambda: (lambda f: C.times_transpose(f, f))(C.reshape(Convolution2D((3, 3), 3, pad=True)(x((3, 6, 6))), (3, 36))),
)
# two-input seq + static
case("mixed_inputs", lambda: Dense(2)(C.splice(Fold(LSTM(3))(sx((4,))), Dense(2)(x((3,), "s")))))


# decoder w/ RecurrenceFrom and Dense; teacher forcing
def s2s():
    a = C.Axis("A")
    b = C.Axis("B")
    src = S.input_variable((5,), sequence_axis=a, name="src")
    tgt = S.input_variable((6,), sequence_axis=b, name="tgt")
    h = Recurrence(LSTM(4), return_full_state=True)(Embedding(3)(src))
    hh = S.last(h.outputs[0])
    cc = S.last(h.outputs[1])
    return Dense(6)(RecurrenceFrom(LSTM(4))(hh, cc, Embedding(3)(tgt)))


case("s2s", s2s, src="onehot", tgt="onehot")


def s2sb():
    a = C.Axis("A")
    b = C.Axis("B")
    src = S.input_variable((5,), sequence_axis=a, name="src")
    tgt = S.input_variable((6,), sequence_axis=b, name="tgt")
    enc = Recurrence(LSTM(4), return_full_state=True)(src)
    return Dense(6)(RecurrenceFrom(LSTM(4))(enc.outputs[0], enc.outputs[1], tgt))


case("s2s_seqinit", s2sb)


def dec():
    # attention inside recurrence written with raw delay
    a = C.Axis("A")
    b = C.Axis("B")
    src = S.input_variable((5,), sequence_axis=a, name="src")
    tgt = S.input_variable((6,), sequence_axis=b, name="tgt")
    att = AttentionModel(3)
    enc = Recurrence(GRU(4))(src)
    rec = GRU(4)
    h = C.placeholder(shape=(4,), dynamic_axes=tgt.dynamic_axes)
    hp = S.past_value(h)
    y = rec(hp, C.splice(tgt, att(enc, hp)))
    return Dense(2)(y.replace_placeholders({h: y.output}))


case("s2s_attention_raw", dec)
case("mapping", lambda: C.combine([Dense(2, name="a")(x((4,))), C.softmax(Dense(3, name="b")(x((4,), "y")))]))
case("block_fn", lambda: BlockFunction("MyBlock", "blk")(lambda v: C.tanh(v) * 2)(x((3,))))
case("lstm_twice", lambda: (lambda layer: Dense(2)(layer(x((3,), "s1")) + layer(x((3,), "s2"))))(Dense(4)))
case(
    "seq_softmax_out",
    lambda: Sequential([Recurrence(RNNStep(4, activation=C.tanh)), Dense(3, activation=C.softmax)])(sx((2,))),
)
case("logsoftmax_seq", lambda: C.log_softmax(Dense(3)(sx((2,)))))
case(
    "seq_conv2d",
    lambda: Sequential([Convolution2D((3, 3), 2, pad=True), MaxPooling((2, 2), 2), Dense(4), Fold(LSTM(3))])(
        sx((1, 6, 6))
    ),
)
case("first_last", lambda: C.splice(S.first(sx((3,))), S.last(Recurrence(GRU(3))(sx((3,), "y")))))
case("slice_rec", lambda: Recurrence(GRU(2))(S.slice(sx((3,)), 1, 0)), lengths=(4, 2, 5, 3))
case("slice_rec2", lambda: Fold(GRU(2))(S.slice(sx((3,)), -2, 0)), lengths=(4, 2, 5, 3))
case("past3", lambda: (lambda q: C.splice(*[S.past_value(q, time_step=k) for k in (1, 2, 3)]))(sx((2,))))
case("scalar_seq", lambda: Recurrence(C.plus)(S.input_variable((), name="x")))
case("rnn_bias_init", lambda: Recurrence(RNNStep(3, activation=C.tanh, init_bias=0.3))(sx((2,))))
case("global_pool_3d", lambda: GlobalAveragePooling()(x((2, 3, 4, 5))))
case("pool_mix", lambda: MaxPooling((3, 2), strides=(2, 1), pad=(True, False))(x((2, 7, 6))))
case("conv_mix", lambda: Convolution((5, 3), 3, strides=(3, 2), pad=(True, True))(x((2, 11, 8))))
case("conv_1x1", lambda: Convolution2D((1, 1), 3)(x((2, 5, 5))))
case("conv_valid_big", lambda: Convolution2D((5, 5), 3)(x((2, 5, 5))))
case("conv_rr0_2d", lambda: Convolution2D((3, 3), (2,), reduction_rank=0, pad=True)(x((5, 5))))
case("pool_stride_big", lambda: AveragePooling((2, 2), strides=3, pad=True)(x((2, 8, 7))))
case("rnn_cellshape", lambda: Recurrence(RNNStep(3, cell_shape=4))(sx((2,))))
case("cross_layer", lambda: (lambda a: C.combine([S.last(a), S.first(a)]))(Recurrence(LSTM(3))(sx((2,)))))
case("dense_seq_tensor", lambda: Dense((2, 3))(sx((2, 2))))
case("ln_seq", lambda: LayerNormalization()(sx((4,))))
case("floor_div", lambda: C.floor(x((3,)) / 2))
case("argmax_seq", lambda: C.argmax(Dense(3)(sx((2,))), axis=0))
case("hardmax_seq", lambda: C.hardmax(Dense(3)(sx((2,)))))
case("clip_seq", lambda: C.clip(sx((3,)), -1, 1))
case("neg_axis_slice", lambda: C.slice(x((4, 5)), -1, 0, 3))
case("getitem_int", lambda: x((4, 5))[1])
case("getitem_seq", lambda: sx((4,))[0:2])
case("mean_axes", lambda: C.reduce_mean(x((2, 3, 4)), axis=[1, 2]))
case("softmax_t", lambda: C.softmax(x((2, 3, 4)), axis=1))

case(
    "static_to_seq",
    lambda: (lambda q: Recurrence(GRU(3))(C.splice(q, S.broadcast_as(Dense(2)(x((3,), "s")), q))))(sx((4,))),
)
case("qrnn", lambda: C.tanh(Dense(3)((lambda q: C.splice(q, S.past_value(q)))(sx((4,))))))
case("clone", lambda: Sequential([Dense(3, activation=C.relu), Dense(2)])(x((4,))).clone("freeze"))
