"""Small Keras models of every kind, by name: built in the interpreter of the TensorFlow environment."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

Model = Any
ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "tanh",
    "tanh_shrink",
)  # fmt: skip


def chain(shape: tuple[int | None, ...], *parts: Any, dtype: str = "float32") -> Model:
    return keras.Sequential([keras.Input(shape, dtype=dtype, name="x"), *parts])


def adapted(layer: Any, values: Any) -> Any:
    layer.adapt(values)
    return layer


IMAGE = (8, 8, 3)
STEPS = (None, 5)
MODELS: dict[str, Callable[[], Model]] = {
    "dense": lambda: chain((4,), layers.Dense(3, "relu"), layers.Dense(2, "softmax")),
    "conv1d": lambda: chain((12, 3), layers.Conv1D(4, 3, padding="same"), layers.GlobalMaxPooling1D()),
    "conv1d_free_time": lambda: chain((None, 3), layers.Conv1D(4, 3), layers.GlobalAveragePooling1D()),
    "conv2d": lambda: chain(IMAGE, layers.Conv2D(4, 3, strides=2, padding="same"), layers.Flatten(), layers.Dense(2)),
    "conv2d_dilated": lambda: chain(IMAGE, layers.Conv2D(4, 3, dilation_rate=2), layers.MaxPooling2D()),
    "conv2d_groups": lambda: chain((8, 8, 4), layers.Conv2D(4, 3, groups=2)),
    "conv3d": lambda: chain((4, 6, 6, 2), layers.Conv3D(3, 2), layers.GlobalAveragePooling3D()),
    "conv2d_transpose": lambda: chain(IMAGE, layers.Conv2DTranspose(4, 3, strides=2, padding="same")),
    "conv3d_transpose": lambda: chain((3, 4, 4, 2), layers.Conv3DTranspose(3, 2, strides=2)),
    "depthwise1d": lambda: chain((12, 3), layers.DepthwiseConv1D(3)),
    "depthwise2d": lambda: chain(IMAGE, layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")),
    "separable2d": lambda: chain(IMAGE, layers.SeparableConv2D(4, 3, strides=2)),
    "free_image": lambda: chain((None, None, 3), layers.Conv2D(4, 3, padding="same"), layers.GlobalAveragePooling2D()),
    "pooling": lambda: chain(IMAGE, layers.AveragePooling2D(2, padding="same"), layers.MaxPooling2D(3, 1, "same")),
    "pooling1d": lambda: chain((9, 2), layers.MaxPooling1D(2), layers.AveragePooling1D(2, padding="same")),
    "padding": lambda: chain(IMAGE, layers.ZeroPadding2D(((1, 2), (0, 3))), layers.Cropping2D(1)),
    "upsampling2d": lambda: chain(IMAGE, layers.UpSampling2D(2)),
    "upsampling2d_bilinear": lambda: chain(IMAGE, layers.UpSampling2D(2, interpolation="bilinear")),
    "upsampling2d_bicubic": lambda: chain(IMAGE, layers.UpSampling2D(2, interpolation="bicubic")),
    "upsampling3d": lambda: chain((2, 3, 3, 2), layers.UpSampling3D(2)),
    "resizing": lambda: chain(IMAGE, layers.Resizing(5, 12)),
    "resizing_nearest": lambda: chain(IMAGE, layers.Resizing(5, 12, interpolation="nearest")),
    "resizing_bicubic": lambda: chain(IMAGE, layers.Resizing(16, 12, interpolation="bicubic")),
    "center_crop": lambda: chain(IMAGE, layers.CenterCrop(4, 6)),
    "rescaling": lambda: chain(IMAGE, layers.Rescaling(1 / 127.5, -1.0), layers.GlobalAveragePooling2D()),
    "uint8_image": lambda: chain(
        IMAGE, layers.Rescaling(1 / 255), layers.Conv2D(2, 3), layers.Flatten(), dtype="uint8"
    ),
    "batch_norm": lambda: chain(IMAGE, layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()),
    "batch_norm_dense": lambda: chain((6,), layers.Dense(4), layers.BatchNormalization(scale=False)),
    "layer_norm": lambda: chain((6,), layers.Dense(4), layers.LayerNormalization()),
    "rms_norm": lambda: chain((6,), layers.RMSNormalization()),
    "group_norm": lambda: chain((6, 6, 4), layers.GroupNormalization(2)),
    "unit_norm": lambda: chain((6,), layers.UnitNormalization()),
    "spectral_norm": lambda: chain((6,), layers.SpectralNormalization(layers.Dense(4))),
    "normalization": lambda: chain((3,), adapted(layers.Normalization(), normal((50, 3))), layers.Dense(2)),
    "discretization": lambda: chain((2,), layers.Discretization([-1.0, 0.0, 1.0])),
    "discretization_one_hot": lambda: chain((1,), layers.Discretization([-1.0, 0.0, 1.0], output_mode="one_hot")),
    "category_encoding": lambda: chain((1,), layers.CategoryEncoding(5, output_mode="one_hot"), dtype="int64"),
    "category_multi_hot": lambda: chain((3,), layers.CategoryEncoding(5, output_mode="multi_hot"), dtype="int64"),
    "category_count": lambda: chain((3,), layers.CategoryEncoding(5, output_mode="count"), dtype="int64"),
    "integer_lookup_one_hot": lambda: chain(
        (1,), layers.IntegerLookup(vocabulary=[3, 7, 9], output_mode="one_hot"), layers.Dense(2), dtype="int64"
    ),
    "string_lookup": lambda: chain((2,), layers.StringLookup(vocabulary=["a", "b", "naïve"]), dtype="string"),
    "string_lookup_embedding": lambda: chain(
        (1,), layers.StringLookup(vocabulary=["a", "b"]), layers.Embedding(3, 4), layers.Flatten(), dtype="string"
    ),
    "string_lookup_multi_hot": lambda: chain(
        (3,), layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot"), dtype="string"
    ),
    "string_lookup_two_oov": lambda: chain(
        (1,), layers.StringLookup(vocabulary=["a", "b"], num_oov_indices=2), dtype="string"
    ),
    "string_lookup_inverse": lambda: chain(
        (1,), layers.StringLookup(vocabulary=["a", "b"], invert=True), dtype="int64"
    ),
    "string_lookup_mask": lambda: chain(
        (2,), layers.StringLookup(vocabulary=["a", "b"], mask_token=""), layers.Embedding(4, 2, mask_zero=True),
        layers.GlobalAveragePooling1D(), dtype="string",
    ),
    "hashing": lambda: chain((1,), layers.Hashing(3), dtype="string"),
    "text_vectorization": lambda: chain(
        (1,), adapted(layers.TextVectorization(output_sequence_length=4), ["a b c", "b c d"]), dtype="string"
    ),
    "random_layers": lambda: chain(
        IMAGE, layers.RandomFlip(), layers.RandomRotation(0.2), layers.RandomZoom(0.1), layers.RandomContrast(0.1),
        layers.RandomTranslation(0.1, 0.1), layers.Dropout(0.5), layers.SpatialDropout2D(0.5),
        layers.GaussianNoise(1.0), layers.GaussianDropout(0.3), layers.AlphaDropout(0.2),
        layers.ActivityRegularization(0.1), layers.Flatten(),
    ),
    "embedding": lambda: chain((6,), layers.Embedding(10, 4), layers.Flatten(), layers.Dense(2), dtype="int32"),
    "lstm": lambda: chain((7, 5), layers.LSTM(4)),
    "lstm_free_time": lambda: chain(STEPS, layers.LSTM(4)),
    "lstm_sequences": lambda: chain(STEPS, layers.LSTM(4, return_sequences=True), layers.Dense(2)),
    "lstm_backwards": lambda: chain((7, 5), layers.LSTM(4, go_backwards=True, return_sequences=True)),
    "lstm_relu": lambda: chain((7, 5), layers.LSTM(4, activation="relu", recurrent_activation="hard_sigmoid")),
    "lstm_dropout": lambda: chain((7, 5), layers.LSTM(4, dropout=0.2, recurrent_dropout=0.3)),
    "bilstm": lambda: chain(STEPS, layers.Bidirectional(layers.LSTM(4)), layers.Dense(2)),
    "bilstm_sequences": lambda: chain(STEPS, layers.Bidirectional(layers.LSTM(4, return_sequences=True))),
    "gru_free_time": lambda: chain(STEPS, layers.GRU(4, return_sequences=True)),
    "gru_reset_before": lambda: chain((7, 5), layers.GRU(4, reset_after=False)),
    "bigru": lambda: chain((7, 5), layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.GRU(3)),
    "simple_rnn_sequences": lambda: chain(STEPS, layers.SimpleRNN(4, return_sequences=True)),
    "rnn_cells": lambda: chain((5, 3), layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)])),
    "conv_lstm1d": lambda: chain((3, 6, 2), layers.ConvLSTM1D(2, 3)),
    "masking_lstm": lambda: chain((7, 5), layers.Masking(), layers.LSTM(4)),
    "mask_zero_lstm_free": lambda: chain(
        (None,), layers.Embedding(6, 4, mask_zero=True), layers.LSTM(3), dtype="int32"
    ),
    "mask_zero_gru": lambda: chain((7,), layers.Embedding(6, 4, mask_zero=True), layers.GRU(3), dtype="int32"),
    "mask_zero_bilstm": lambda: chain(
        (7,), layers.Embedding(6, 4, mask_zero=True), layers.Bidirectional(layers.LSTM(3)), dtype="int32"
    ),
    "mask_zero_pool": lambda: chain(
        (7,), layers.Embedding(6, 4, mask_zero=True), layers.GlobalAveragePooling1D(), dtype="int32"
    ),
    "time_distributed": lambda: chain((5, 6, 6, 2), layers.TimeDistributed(layers.Conv2D(2, 3))),
    "time_distributed_free": lambda: chain(STEPS, layers.TimeDistributed(layers.Dense(2))),
    "reshape": lambda: chain((12,), layers.Reshape((3, 4)), layers.Permute((2, 1)), layers.Flatten()),
    "repeat": lambda: chain((4,), layers.RepeatVector(3), layers.LSTM(2)),
    "einsum_dense": lambda: chain((5, 4), layers.EinsumDense("abc,cd->abd", output_shape=(None, 3), bias_axes="d")),
    "prelu": lambda: chain(IMAGE, layers.Conv2D(3, 3), layers.PReLU(shared_axes=[1, 2])),
    "softmax_axis": lambda: chain((4, 5), layers.Softmax(axis=1)),
    "float64": lambda: chain((4,), layers.Dense(3, "tanh", dtype="float64"), dtype="float64"),
    "float16": lambda: chain((4,), layers.Dense(3, "tanh", dtype="mixed_float16")),
}  # fmt: skip


def normal(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(5).standard_normal(shape).astype("float32")


def named(name: str) -> Callable[[Callable[[], Model]], Callable[[], Model]]:
    def keep(build: Callable[[], Model]) -> Callable[[], Model]:
        MODELS[name] = build
        return build

    return keep


@named("multi_io")
def _multi_io() -> Model:
    one, two = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    joined = layers.Concatenate()([layers.Dense(5)(one), two])
    outputs = {"score": layers.Dense(1, "sigmoid")(joined), "features": layers.Dense(2)(joined)}
    return keras.Model({"right": two, "left": one}, outputs)


@named("multi_output_list")
def _multi_output_list() -> Model:
    given = keras.Input((4,), name="x")
    return keras.Model(given, [layers.Dense(2, name="first")(given), layers.Dense(3, name="second")(given)])


@named("same_output_twice")
def _same_output_twice() -> Model:
    given = keras.Input((4,), name="x")
    shared = layers.Dense(2, name="shared")
    return keras.Model(given, [shared(given), shared(-given), given])


@named("input_as_output")
def _input_as_output() -> Model:
    given = keras.Input((4,), name="x")
    return keras.Model(given, {"x": given, "y": layers.Dense(2)(given)})


@named("merges")
def _merges() -> Model:
    one, two = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    parts = [
        kind()([one, two])
        for kind in (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
    ]
    return keras.Model([one, two], [layers.Concatenate()([*parts, layers.Dot(1)([one, two])])])


@named("residual")
def _residual() -> Model:
    given = keras.Input(IMAGE, name="image")
    inner = layers.Conv2D(3, 3, padding="same", activation="swish")(given)
    return keras.Model(given, layers.GlobalAveragePooling2D()(layers.Add()([given, inner])))


@named("squeeze_excite")
def _squeeze_excite() -> Model:
    given = keras.Input(IMAGE, name="image")
    weights = layers.Dense(3, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(given))
    return keras.Model(given, layers.Multiply()([given, weights]))


@named("attention")
def _attention() -> Model:
    query, value = keras.Input((5, 4), name="query"), keras.Input((7, 4), name="value")
    return keras.Model(
        [query, value], [layers.Attention(use_scale=True)([query, value]), layers.AdditiveAttention()([query, value])]
    )


@named("transformer_block")
def _transformer_block() -> Model:
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    given = layers.Embedding(20, 8)(tokens)
    seen = layers.MultiHeadAttention(2, 4)(given, given)
    inner = layers.LayerNormalization()(layers.Add()([given, seen]))
    outer = layers.Dense(8)(layers.Dense(16, "gelu")(inner))
    return keras.Model(
        tokens,
        layers.Dense(3, "softmax")(
            layers.GlobalAveragePooling1D()(layers.LayerNormalization()(layers.Add()([inner, outer])))
        ),
    )


@named("masked_attention")
def _masked_attention() -> Model:
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    given = layers.Embedding(20, 8, mask_zero=True)(tokens)
    return keras.Model(tokens, layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 4)(given, given)))


@named("causal_attention")
def _causal_attention() -> Model:
    given = keras.Input((None, 8), name="x")
    return keras.Model(given, layers.MultiHeadAttention(2, 4)(given, given, use_causal_mask=True))


@named("grouped_attention")
def _grouped_attention() -> Model:
    given = keras.Input((5, 8), name="x")
    return keras.Model(given, layers.GroupQueryAttention(4, 4, 2)(given, given))


@named("lstm_states")
def _lstm_states() -> Model:
    given = keras.Input((None, 5), name="x")
    sequence, hidden, cell = layers.LSTM(4, return_sequences=True, return_state=True)(given)
    return keras.Model(given, {"sequence": sequence, "hidden": hidden, "cell": cell})


@named("encoder_decoder")
def _encoder_decoder() -> Model:
    source, target = keras.Input((None, 5), name="source"), keras.Input((None, 3), name="target")
    _, hidden, cell = layers.LSTM(4, return_state=True)(source)
    return keras.Model([source, target], layers.LSTM(4, return_sequences=True)(target, initial_state=[hidden, cell]))


@named("operations")
def _operations() -> Model:
    given = keras.Input((6,), name="x")
    ops = keras.ops
    parts = [
        ops.exp(given),
        ops.log(ops.abs(given) + 1),
        ops.sqrt(ops.square(given)),
        ops.cumsum(given, axis=1),
        ops.sort(given),
        ops.erf(given),
        ops.sin(given),
        ops.floor(given),
        ops.clip(given, -1, 1),
        ops.roll(given, 2, axis=1),
        ops.flip(given, axis=1),
    ]
    return keras.Model(given, [ops.concatenate(parts, axis=1), ops.top_k(given, 2)[0]])


@named("operations_compare")
def _operations_compare() -> Model:
    given = keras.Input((6,), name="x")
    ops = keras.ops
    return keras.Model(
        given, {"positive": given > 0, "chosen": ops.where(given > 0, given, -given), "any": ops.any(given > 1, axis=1)}
    )


@named("labels")
def _labels() -> Model:
    given = keras.Input((6,), name="x")
    return keras.Model(given, {"best": keras.ops.argmax(layers.Dense(4)(given), axis=-1)})


@named("looked_up_and_counted")
def _looked_up_and_counted() -> Model:
    tags = keras.Input((4,), dtype="string", name="tags")
    known = layers.StringLookup(vocabulary=["a", "b", "c"])(tags)
    return keras.Model(tags, [layers.CategoryEncoding(4, output_mode=mode)(known) for mode in ("multi_hot", "count")])


@named("weighted_count")
def _weighted_count() -> Model:
    values, weights = keras.Input((4,), dtype="int32", name="x"), keras.Input((4,), name="weights")
    return keras.Model(
        [values, weights], layers.CategoryEncoding(6, output_mode="count")(values, count_weights=weights)
    )


@named("nested")
def _nested() -> Model:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, "relu"), layers.Dropout(0.5)], name="inner")
    given = keras.Input((4,), name="x")
    return keras.Model(given, layers.Dense(2)(inner(given)))


@named("wide_and_deep")
def _wide_and_deep() -> Model:
    city, age = keras.Input((1,), dtype="string", name="city"), keras.Input((1,), name="age")
    where = layers.StringLookup(vocabulary=["Oslo", "Rome"], output_mode="one_hot")(city)
    return keras.Model(
        {"city": city, "age": age},
        layers.Dense(2, "softmax")(layers.Concatenate()([where, layers.Normalization(mean=40.0, variance=100.0)(age)])),
    )


@named("stateful_lstm")
def _stateful() -> Model:
    return keras.Sequential([keras.Input(batch_shape=(2, 7, 5), name="x"), layers.LSTM(4, stateful=True)])


@named("feature_space_cross")
def _cross() -> Model:
    one, two = keras.Input((1,), dtype="int64", name="a"), keras.Input((1,), dtype="int64", name="b")
    return keras.Model([one, two], layers.HashedCrossing(5)((one, two)))


@named("mel")
def _mel() -> Model:
    return chain((512,), layers.MelSpectrogram(num_mel_bins=8, sampling_rate=8000, sequence_stride=128, fft_length=256))


@named("activations")
def _activations() -> Model:
    given = keras.Input((6,), name="x")
    inner = layers.Dense(4)(given)
    return keras.Model(given, {name: layers.Activation(name)(inner) for name in ACTIVATIONS})
