"""The layers library as its users use it."""

import cntk as C
import numpy as np
from cntk.layers import (
    Activation,
    AveragePooling,
    BatchNormalization,
    Convolution,
    Convolution1D,
    Convolution2D,
    Convolution3D,
    ConvolutionTranspose2D,
    Dense,
    Dropout,
    Embedding,
    For,
    GlobalAveragePooling,
    GlobalMaxPooling,
    Label,
    LayerNormalization,
    MaxPooling,
    MaxUnpooling,
    ResNetBlock,
    Sequential,
    SequentialClique,
    Stabilizer,
    default_options,
)  # fmt: skip

CASES = {}


def case(name, build, **kinds):
    """Register a case; `kinds` says how inputs are drawn."""
    CASES[name] = (build, kinds)


def x(shape=(2, 6, 6), name="x", **more):
    return C.input_variable(shape, name=name, **more)


def moved(function):
    """The function with biases and statistics that are not those of the start."""
    r = np.random.RandomState(1)
    for variable in list(function.parameters) + [c for c in function.constants if c.name.startswith("aggregate")]:
        if variable.name == "aggregate_variance":
            variable.value = r.uniform(0.5, 2, variable.shape).astype("f")
        elif variable.name == "aggregate_count":
            variable.value = np.array(1000, "f")
        else:
            variable.value = np.asarray(variable.value + r.normal(0, 0.3, variable.shape), "f")
    return function


case("dense", lambda: moved(Dense(3)(x((4,)))))
case("dense_relu", lambda: moved(Dense(3, activation=C.relu, name="hidden")(x((4,)))))
case("dense_no_bias", lambda: moved(Dense(3, bias=False)(x((4,)))))
case("dense_tensor_in", lambda: moved(Dense(3)(x((2, 4)))))
case("dense_tensor_out", lambda: moved(Dense((2, 3))(x((4,)))))
case("dense_map_rank", lambda: moved(Dense(3, map_rank=1)(x((2, 4)))))
case("dense_input_rank", lambda: moved(Dense(3, input_rank=1)(x((2, 4)))))
case("conv2d", lambda: moved(Convolution2D((3, 3), 4)(x())))
case("conv2d_pad", lambda: moved(Convolution2D((3, 3), 4, pad=True, activation=C.relu)(x())))
case("conv2d_stride", lambda: moved(Convolution2D((3, 3), 4, pad=True, strides=2, bias=False)(x())))
case("conv2d_no_reduction", lambda: moved(Convolution2D((3, 3), 4, pad=True, reduction_rank=0)(x((6, 6)))))
case("conv1d", lambda: moved(Convolution1D(3, 4, pad=True)(x((2, 8)))))
case("conv3d", lambda: moved(Convolution3D((3, 3, 3), 4, pad=True)(x((2, 4, 4, 4)))))
case("conv_nd_unequal", lambda: moved(Convolution((1, 3), 4, pad=(False, True), strides=(1, 2))(x())))
case("conv_transpose", lambda: moved(ConvolutionTranspose2D((3, 3), 4, strides=2, pad=True)(x())))
case("conv_transpose_valid", lambda: moved(ConvolutionTranspose2D((2, 2), 4, strides=2)(x())))
case(
    "conv_transpose_output",
    lambda: moved(ConvolutionTranspose2D((3, 3), 4, strides=2, pad=True, output_shape=(12, 12))(x())),
)
case("max_pooling", lambda: MaxPooling((2, 2), strides=2)(x()))
case("max_pooling_pad", lambda: MaxPooling((3, 3), strides=2, pad=True)(x()))
case("average_pooling", lambda: AveragePooling((2, 2), strides=2)(x()))
case("average_pooling_pad", lambda: AveragePooling((3, 3), strides=2, pad=True)(x()))
case("global_max", lambda: GlobalMaxPooling()(x()))
case("global_average", lambda: GlobalAveragePooling()(x()))
case("max_unpooling", lambda: MaxUnpooling((2, 2), strides=2)(MaxPooling((2, 2), strides=2)(x()), x()))
case("batch_norm", lambda: moved(BatchNormalization()(x((4,)))))
case("batch_norm_spatial", lambda: moved(BatchNormalization(map_rank=1)(x())))
case("batch_norm_epsilon", lambda: moved(BatchNormalization(map_rank=1, epsilon=0.05, use_cntk_engine=True)(x())))
case("batch_norm_no_scale", lambda: moved(BatchNormalization(map_rank=1, disable_regularization=True)(x())))
case("layer_norm", lambda: moved(LayerNormalization()(x((5,)))))
case("layer_norm_tensor", lambda: moved(LayerNormalization()(x((2, 3)))))
case("layer_norm_epsilon", lambda: moved(LayerNormalization(initial_scale=2, initial_bias=1, epsilon=0.1)(x((5,)))))
case("stabilizer", lambda: moved(Stabilizer(enable_self_stabilization=True)(x((5,)))))
case("dropout", lambda: Dropout(0.4)(x()))
case("embedding", lambda: moved(Embedding(3)(x((5,)))), x="onehot")
case("embedding_sparse", lambda: moved(Embedding(3)(x((5,), is_sparse=True))), x="onehot")
case("embedding_weights", lambda: Embedding(weights=np.arange(15).reshape(5, 3).astype("f"))(x((5,))), x="onehot")
case("activation", lambda: Activation(C.tanh)(x()))
case("label", lambda: Sequential([Dense(3), Label("here"), Dense(2)])(x((4,))))
case(
    "sequential_for",
    lambda: moved(
        Sequential([For(range(3), lambda i: Dense(3 + i, activation=C.relu)), Dense(2, activation=C.softmax)])(x((4,)))
    ),
)
case("resnet_block", lambda: moved(ResNetBlock(Sequential([Convolution2D((3, 3), 2, pad=True), C.relu]))(x())))
case("clique", lambda: moved(SequentialClique([Dense(4), Dense(4)])(x((4,)))))


def conv_bn(features, size=(3, 3), strides=(1, 1), relu=True):
    layers = [
        Convolution2D(size, features, pad=True, strides=strides, bias=False),
        BatchNormalization(map_rank=1, normalization_time_constant=4096, use_cntk_engine=False),
    ]
    return Sequential(layers + ([C.relu] if relu else []))


def resnet_basic(value, features):
    return C.relu(conv_bn(features, relu=False)(conv_bn(features)(value)) + value)


def resnet_increase(value, features):
    short = conv_bn(features, (1, 1), (2, 2), relu=False)(value)
    return C.relu(conv_bn(features, relu=False)(conv_bn(features, strides=(2, 2))(value)) + short)


def resnet():
    value = conv_bn(3)(x((3, 8, 8), name="features") - 0.5)
    value = resnet_basic(value, 3)
    value = resnet_basic(resnet_increase(value, 4), 4)
    value = AveragePooling((4, 4), strides=1, name="pool")(value)
    return moved(Dense(5, name="fc")(value))


def inception():
    value = x((3, 8, 8))
    a = conv_bn(2, (1, 1))(value)
    b = Sequential([conv_bn(2, (1, 1)), conv_bn(3, (3, 3))])(value)
    c = Sequential([conv_bn(2, (1, 1)), conv_bn(2, (5, 5))])(value)
    d = Sequential([MaxPooling((3, 3), strides=(1, 1), pad=True), conv_bn(2, (1, 1))])(value)
    return moved(Dense(4)(GlobalAveragePooling()(C.splice(a, b, c, d, axis=0))))


def lenet():
    with default_options(activation=C.relu, pad=True, init=C.glorot_uniform()):
        return moved(Sequential([
            lambda image: image / 255.0, Convolution2D((5, 5), 3), MaxPooling((3, 3), (2, 2)), Convolution2D((3, 3), 4),
            MaxPooling((3, 3), (2, 2)), Dense(6), Dropout(0.5), Dense(3, activation=None)])(x((1, 10, 10))))  # fmt: skip


def alexnet_like():
    @C.Function
    def lrn(value):
        square = C.reshape(C.square(value), (1, 4, 6, 6))
        summed = C.reshape(
            C.convolution(C.constant(np.ones((1, 1, 3, 1, 1), "f")), square, auto_padding=[False, True, False, False]),
            (4, 6, 6),
        )
        return value / C.exp(0.75 * C.log(1.0 + 1e-4 * summed))

    return moved(
        Sequential([Convolution2D((3, 3), 4, pad=True, activation=C.relu), lrn, MaxPooling((3, 3), (2, 2)), Dense(3)])(
            x()
        )
    )


def autoencoder():
    value = Sequential(
        [
            Convolution2D((3, 3), 3, pad=True, strides=2, activation=C.relu),
            ConvolutionTranspose2D((4, 4), 2, strides=2, pad=True, activation=C.sigmoid),
        ]
    )
    return moved(value(x((1, 8, 8))))


def vae_like():
    hidden = Dense(4, activation=C.tanh)(x((6,)))
    return moved(C.combine([Dense(2, name="mean")(hidden), Dense(2, name="logvar")(hidden)]))


case("resnet", resnet)
case("inception", inception)
case("lenet", lenet)
case("alexnet_like", alexnet_like)
case("autoencoder", autoencoder)
case("vae_like", vae_like)
