# ruff: noqa: A002, C408, F841, N802, N803, RUF005, UP031
# mypy: ignore-errors
"""The cases of ``record_mxnet_answers``: one small model for every operator and variant; needs MXNet."""

import mxnet as mx
import numpy as np

sym = mx.sym
RNG = np.random.default_rng(7)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def image(size):
    return RNG.integers(-6, 7, (2, 3, size, size)).astype(np.float32) / 4


def positive(*shape):
    return RNG.uniform(0.2, 3.0, shape).astype(np.float32)


def small(*shape):
    return RNG.uniform(-0.9, 0.9, shape).astype(np.float32)


def whole(most, *shape):
    return RNG.integers(0, most, shape).astype(np.float32)


def op(*given, **attributes):
    """A node of an operator by its registered name, given first."""
    name, args = given[0], given[1:]
    function = getattr(sym, name, None) or getattr(sym._internal, name, None)
    if function is None:
        for prefix, module in (("_contrib_", sym.contrib), ("_linalg_", sym.linalg), ("_image_", sym.image)):
            if name.startswith(prefix):
                function = getattr(module, name[len(prefix) :])
    attributes.setdefault("name", "node")
    return function(*args, **attributes)


def case(name, symbol, given=None, input=(), **inputs):
    return (name, symbol, inputs, {"given": given or {}, "input": list(input)})


def X(name="data"):
    return sym.Variable(name)


def unary_cases():
    anywhere = [
        "abs",
        "cbrt",
        "ceil",
        "cos",
        "cosh",
        "degrees",
        "erf",
        "exp",
        "expm1",
        "fix",
        "floor",
        "logical_not",
        "negative",
        "radians",
        "relu",
        "rint",
        "round",
        "sigmoid",
        "sign",
        "sin",
        "sinh",
        "softsign",
        "square",
        "tan",
        "tanh",
        "trunc",
        "arctan",
        "arcsinh",
    ]
    for name in anywhere:
        yield case(name, op(name, X()), data=normal(3, 4) * 2)
    for name in ["log", "log10", "log1p", "log2", "rcbrt", "reciprocal", "rsqrt", "sqrt"]:
        yield case(name, op(name, X()), data=positive(3, 4))
    for name in ["arccos", "arcsin", "arctanh"]:
        yield case(name, op(name, X()), data=small(3, 4))
    yield case("arccosh", op("arccosh", X()), data=positive(3, 4) + 1)
    halves = np.array([[-2.5, -1.5, -0.5, 0.5], [1.5, 2.5, 0.0, -0.25], [3.49, 3.51, -3.49, -3.51]], np.float32)
    for name in ["rint", "round", "fix", "trunc", "ceil", "floor", "sign", "logical_not"]:
        yield case(name + ":halves", op(name, X()), data=halves)
    yield case("log1p:small", op("log1p", X()), data=normal(3, 4) * 1e-5)
    yield case("expm1:small", op("expm1", X()), data=normal(3, 4) * 1e-5)
    for name in ["BlockGrad", "make_loss", "identity"]:
        yield case(name, op(name, X()) * 2, data=normal(3, 4))
    yield case("_contrib_gradientmultiplier", op("_contrib_gradientmultiplier", X(), scalar=2.0), data=normal(3, 4))
    yield case("Dropout", sym.Dropout(X(), p=0.5), data=normal(3, 4))
    yield case("clip", sym.clip(X(), a_min=-0.5, a_max=0.75), data=normal(3, 4))
    yield case("smooth_l1", sym.smooth_l1(X(), scalar=2.0), data=normal(3, 4))
    yield case("smooth_l1:one", sym.smooth_l1(X(), scalar=1.0), data=normal(3, 4) * 2)
    yield case("_contrib_quadratic", op("_contrib_quadratic", X(), a=2.0, b=-1.0, c=0.5), data=normal(3, 4))
    yield case("_contrib_div_sqrt_dim", op("_contrib_div_sqrt_dim", X()), data=normal(3, 5))
    yield case("hard_sigmoid", sym.hard_sigmoid(X()), data=normal(3, 4) * 3)
    yield case("hard_sigmoid:alpha", sym.hard_sigmoid(X(), alpha=0.4, beta=0.3), data=normal(3, 4) * 3)
    yield case("identity:name_attribute", sym.relu(X(), attr={"ctx_group": "dev1"}), data=normal(3, 4))


def binary_cases():
    a, b = normal(3, 4), normal(3, 4)
    for name in [
        "elemwise_add",
        "elemwise_sub",
        "elemwise_mul",
        "elemwise_div",
        "_maximum",
        "_minimum",
        "_hypot",
        "_grad_add",
    ]:
        yield case(name, op(name, X("a"), X("b")), a=a, b=b + 3)
    yield case("_power", op("_power", X("a"), X("b")), a=positive(3, 4), b=b)
    yield case("_mod", op("_mod", X("a"), X("b")), a=a * 5, b=b)
    whole_a, whole_b = whole(3, 3, 4), whole(3, 3, 4)
    for name in [
        "equal",
        "not_equal",
        "greater",
        "greater_equal",
        "lesser",
        "lesser_equal",
        "logical_and",
        "logical_or",
        "logical_xor",
    ]:
        yield case("_" + name, op("_" + name, X("a"), X("b")), a=whole_a, b=whole_b)
        yield case("broadcast_" + name, op("broadcast_" + name, X("a"), X("b")), a=whole_a, b=whole_b[:, :1])
        yield case("_%s_scalar" % name, op("_%s_scalar" % name, X(), scalar=1.0), data=whole_a)
    for name in ["add", "sub", "mul", "div", "maximum", "minimum", "hypot", "power", "mod"]:
        data = positive(3, 4, 2) if name == "power" else normal(3, 4, 2)
        yield case("broadcast_" + name, op("broadcast_" + name, X("a"), X("b")), a=data, b=positive(3, 1, 2))
        weight = sym.Variable("w", shape=(1, 4, 1))
        yield case(
            "broadcast_%s:parameter" % name,
            op("broadcast_" + name, X(), weight),
            given={"w": positive(1, 4, 1)},
            data=data,
        )
    zeros = np.array([[0.0, 1, 2, -2], [3, -3, 0.5, -0.5], [0, 0, 1, 1]], np.float32)
    yield case("broadcast_mod:zero", op("broadcast_mod", X("a"), X("b")), a=a * 4, b=zeros)
    for name in ["plus", "minus", "rminus", "mul", "div", "rdiv", "maximum", "minimum", "hypot", "mod", "rmod"]:
        yield case("_%s_scalar" % name, op("_%s_scalar" % name, X(), scalar=1.5), data=normal(3, 4) * 3)
        yield case("_%s_scalar:negative" % name, op("_%s_scalar" % name, X(), scalar=-0.75), data=normal(3, 4) * 3)
    yield case("_power_scalar", op("_power_scalar", X(), scalar=2.0), data=normal(3, 4))
    yield case("_power_scalar:root", op("_power_scalar", X(), scalar=0.5), data=positive(3, 4))
    yield case("_rpower_scalar", op("_rpower_scalar", X(), scalar=2.0), data=normal(3, 4))
    yield case("add_n", sym.add_n(X("a"), X("b"), X("c")), a=a, b=b, c=normal(3, 4))
    yield case("add_n:one", sym.add_n(X("a")), a=a)
    yield case("where", sym.where(X("c"), X("a"), X("b")), c=whole(2, 3, 4), a=a, b=b)
    yield case("where:rows", sym.where(X("c"), X("a"), X("b")), c=whole(2, 3), a=a, b=b)


def activation_cases():
    for kind in ["relu", "sigmoid", "softrelu", "softsign", "tanh"]:
        yield case("Activation:" + kind, sym.Activation(X(), act_type=kind), data=normal(3, 4) * 3)
    for kind in ["leaky", "elu", "selu", "gelu", "rrelu"]:
        yield case("LeakyReLU:" + kind, sym.LeakyReLU(X(), act_type=kind)[0], data=normal(3, 4) * 2)
    yield case("LeakyReLU:slope", sym.LeakyReLU(X(), act_type="leaky", slope=0.1), data=normal(3, 4))
    yield case("LeakyReLU:elu slope", sym.LeakyReLU(X(), act_type="elu", slope=0.7), data=normal(3, 4))
    yield case(
        "LeakyReLU:rrelu bounds",
        sym.LeakyReLU(X(), act_type="rrelu", lower_bound=0.2, upper_bound=0.4)[0],
        data=normal(3, 4),
    )
    yield case("LeakyReLU:prelu", sym.LeakyReLU(X(), act_type="prelu"), data=normal(3, 4, 5))
    yield case("LeakyReLU:prelu rows", sym.LeakyReLU(X(), act_type="prelu"), data=normal(3, 4))
    yield case(
        "LeakyReLU:prelu shared",
        sym.LeakyReLU(X(), gamma=sym.Variable("g", shape=(1,)), act_type="prelu"),
        given={"g": positive(1)},
        data=normal(3, 4, 5),
    )
    for name in ["softmax", "log_softmax", "softmin"]:
        yield case(name, op(name, X()), data=normal(3, 5))
        yield case(name + ":axis", op(name, X(), axis=1), data=normal(3, 4, 5))
        yield case(name + ":temperature", op(name, X(), temperature=2.5), data=normal(3, 5))
    yield case(
        "softmax:length",
        sym.softmax(X(), length=X("n"), use_length=True, axis=1),
        data=normal(3, 5),
        n=np.array([2, 5, 1], np.int32),
        input=["n=INT32:N"],
    )
    yield case(
        "softmax:length middle",
        sym.softmax(X(), length=X("n"), use_length=True, axis=1),
        data=normal(3, 5, 2),
        n=np.array([[2, 5], [1, 3], [4, 4]], np.int32),
        input=["n=INT32:N,2"],
    )
    yield case("SoftmaxActivation", sym.SoftmaxActivation(X()), data=normal(3, 5))
    yield case("SoftmaxActivation:instance image", sym.SoftmaxActivation(X()), data=normal(3, 2, 2, 2))
    yield case("SoftmaxActivation:channel", sym.SoftmaxActivation(X(), mode="channel"), data=normal(3, 4, 2, 2))
    for name in [
        "SoftmaxOutput",
        "LinearRegressionOutput",
        "LogisticRegressionOutput",
        "MAERegressionOutput",
        "SVMOutput",
    ]:
        yield case(
            name,
            op(name, X(), X("softmax_label"), name="softmax"),
            data=normal(3, 5),
            softmax_label=normal(3) if name in ("SoftmaxOutput", "SVMOutput") else normal(3, 5),
        )
    yield case(
        "SoftmaxOutput:multi_output", sym.SoftmaxOutput(X(), multi_output=True, name="softmax"), data=normal(3, 4, 2, 2)
    )
    yield case(
        "SoftmaxOutput:preserve_shape",
        sym.SoftmaxOutput(X(), preserve_shape=True, name="softmax"),
        data=normal(3, 4, 5),
    )
    yield case("SoftmaxOutput:image", sym.SoftmaxOutput(X(), name="softmax"), data=normal(3, 4, 5))
    yield case(
        "SoftmaxOutput:training",
        sym.SoftmaxOutput(
            X(),
            name="softmax",
            use_ignore=True,
            ignore_label=0,
            normalization="valid",
            grad_scale=0.5,
            smooth_alpha=0.1,
        ),
        data=normal(3, 4),
    )
    yield case("Softmax", op("Softmax", X(), name="softmax"), data=normal(3, 4))
    yield case("MakeLoss", sym.MakeLoss(sym.square(X())), data=normal(3, 5))
    data = X()
    yield case(
        "model:answer and loss",
        sym.Group(
            [sym.BlockGrad(sym.softmax(data), name="out"), sym.MakeLoss(sym.sum(data * X("label")), name="loss")]
        ),
        data=normal(3, 4),
        label=normal(3, 4),
    )


def linear_cases():
    x, w = normal(3, 4), sym.Variable("w")
    yield case("FullyConnected", sym.FullyConnected(X(), num_hidden=5), data=x)
    yield case("FullyConnected:no_bias", sym.FullyConnected(X(), num_hidden=5, no_bias=True), data=x)
    yield case("FullyConnected:flatten", sym.FullyConnected(X(), num_hidden=5), data=normal(3, 2, 3, 2))
    yield case(
        "FullyConnected:flatten=False", sym.FullyConnected(X(), num_hidden=5, flatten=False), data=normal(3, 2, 4)
    )
    yield case(
        "FullyConnected:flatten=False no_bias",
        sym.FullyConnected(X(), num_hidden=5, flatten=False, no_bias=True),
        data=normal(3, 2, 4),
    )
    yield case(
        "FullyConnected:shared weight",
        sym.FullyConnected(sym.FullyConnected(X(), w, num_hidden=4, no_bias=True), w, num_hidden=4, no_bias=True),
        data=x,
    )
    yield case("dot", sym.dot(X(), sym.Variable("w", shape=(4, 5))), data=x)
    yield case("dot:transpose_b", sym.dot(X(), sym.Variable("w", shape=(5, 4)), transpose_b=True), data=x)
    yield case("dot:transpose_a", sym.dot(X(), sym.Variable("w", shape=(3, 5)), transpose_a=True), data=x)
    yield case("dot:3 axes", sym.dot(X(), sym.Variable("w", shape=(4, 5))), data=normal(3, 2, 4))
    for a, b in ((False, False), (True, False), (False, True), (True, True)):
        left, right = normal(*((3, 4, 2) if a else (3, 2, 4))), normal(*((3, 5, 4) if b else (3, 4, 5)))
        name = "%s%s" % (" transpose_a" * a, " transpose_b" * b)
        yield case(
            "batch_dot:" + (name.strip() or "plain"),
            sym.batch_dot(X("a"), X("b"), transpose_a=a, transpose_b=b),
            a=left,
            b=right,
        )
        yield case(
            "linalg_gemm2:" + (name.strip() or "plain"),
            sym.linalg.gemm2(X("a"), X("b"), transpose_a=a, transpose_b=b, alpha=0.5),
            a=left,
            b=right,
        )
    yield case(
        "linalg_gemm",
        sym.linalg.gemm(X("a"), X("b"), X("c"), alpha=0.5, beta=2.0),
        a=normal(3, 2, 4),
        b=normal(3, 4, 5),
        c=normal(3, 2, 5),
    )
    yield case("linalg_syrk", sym.linalg.syrk(X("a"), alpha=0.5), a=normal(3, 2, 4))
    yield case("linalg_syrk:transpose", sym.linalg.syrk(X("a"), transpose=True), a=normal(3, 2, 4))
    yield case(
        "_contrib_interleaved_matmul_selfatt_qk",
        op("_contrib_interleaved_matmul_selfatt_qk", sym.swapaxes(X(), dim1=0, dim2=1), heads=2),
        data=normal(3, 4, 2 * 3 * 5),
    )
    turned = sym.swapaxes(X(), dim1=0, dim2=1)
    att = sym.softmax(op("_contrib_interleaved_matmul_selfatt_qk", turned, heads=2))
    out = op("_contrib_interleaved_matmul_selfatt_valatt", turned, att, heads=2)
    yield case("_contrib_interleaved_matmul_selfatt_valatt", sym.swapaxes(out, dim1=0, dim2=1), data=normal(3, 4, 30))
    q, kv = sym.swapaxes(X("q"), dim1=0, dim2=1), sym.swapaxes(X("kv"), dim1=0, dim2=1)
    att = op("_contrib_interleaved_matmul_encdec_qk", q, kv, heads=2)
    yield case("_contrib_interleaved_matmul_encdec_qk", att, q=normal(3, 4, 10), kv=normal(3, 6, 20))
    out = op("_contrib_interleaved_matmul_encdec_valatt", kv, sym.softmax(att), heads=2)
    yield case(
        "_contrib_interleaved_matmul_encdec_valatt",
        sym.swapaxes(out, dim1=0, dim2=1),
        q=normal(3, 4, 10),
        kv=normal(3, 6, 20),
    )


def convolution_cases():
    image, line, cube = normal(3, 4, 7, 6), normal(3, 4, 9), normal(2, 2, 5, 4, 6)
    c = sym.Convolution
    yield case("Convolution", c(X(), kernel=(3, 3), num_filter=5), data=image)
    yield case("Convolution:stride pad", c(X(), kernel=(3, 2), stride=(2, 1), pad=(1, 0), num_filter=5), data=image)
    yield case("Convolution:dilate", c(X(), kernel=(3, 2), dilate=(2, 3), pad=(2, 1), num_filter=5), data=image)
    yield case("Convolution:groups", c(X(), kernel=(3, 3), num_group=2, num_filter=6, no_bias=True), data=image)
    yield case("Convolution:depthwise", c(X(), kernel=(3, 3), pad=(1, 1), num_group=4, num_filter=4), data=image)
    yield case("Convolution:1x1", c(X(), kernel=(1, 1), num_filter=3, layout="NCHW"), data=image)
    yield case("Convolution:1 axis", c(X(), kernel=(3,), stride=(2,), pad=(1,), num_filter=5), data=line)
    yield case("Convolution:3 axes", c(X(), kernel=(3, 2, 2), stride=(1, 2, 1), pad=(1, 0, 1), num_filter=3), data=cube)
    yield case(
        "Convolution:dilate 1 axis",
        c(X(), kernel=(3,), dilate=(2,), num_filter=6, num_group=2, no_bias=True, layout="NCW"),
        given={},
        data=normal(3, 4, 9),
    )
    d = sym.Deconvolution
    yield case("Deconvolution", d(X(), kernel=(3, 3), num_filter=5), data=image)
    yield case("Deconvolution:bias", d(X(), kernel=(3, 3), num_filter=5, no_bias=False), data=image)
    yield case(
        "Deconvolution:stride pad adj",
        d(X(), kernel=(3, 4), stride=(2, 3), pad=(1, 1), adj=(1, 0), num_filter=5),
        data=image,
    )
    yield case(
        "Deconvolution:groups", d(X(), kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_group=2, num_filter=6), data=image
    )
    yield case(
        "Deconvolution:target_shape",
        d(X(), kernel=(4, 3), stride=(2, 2), target_shape=(14, 12), dilate=(1, 1), num_filter=3),
        data=image,
    )
    yield case(
        "Deconvolution:target_shape odd",
        d(X(), kernel=(3, 3), stride=(2, 2), target_shape=(13, 12), dilate=(1, 1), num_filter=3),
        data=image,
    )
    yield case("Deconvolution:1 axis", d(X(), kernel=(4,), stride=(2,), pad=(1,), num_filter=3), data=line)
    yield case("Deconvolution:3 axes", d(X(), kernel=(2, 2, 2), stride=(2, 1, 2), num_filter=3), data=cube)
    yield case("Deconvolution:dilate", d(X(), kernel=(3, 3), dilate=(2, 1), num_filter=3), data=image)
    yield case("Convolution_v1", op("Convolution_v1", X(), kernel=(3, 3), num_filter=5, pad=(1, 1)), data=image)
    yield case("UpSampling:nearest", sym.UpSampling(X(), scale=2, sample_type="nearest"), data=image)
    yield case("UpSampling:nearest 3", sym.UpSampling(X(), scale=3, sample_type="nearest", num_args=1), data=image)
    for scale in (2, 3):
        yield case(
            "UpSampling:bilinear %d" % scale,
            sym.UpSampling(
                X(), sym.Variable("up_weight"), scale=scale, sample_type="bilinear", num_filter=4, num_args=2
            ),
            data=image,
        )
    for size in ((10, 9), (4, 3), (7, 6), (1, 5)):
        yield case(
            "_contrib_BilinearResize2D:%d x %d" % size,
            op("_contrib_BilinearResize2D", X(), height=size[0], width=size[1]),
            data=image,
        )
        if 1 in size:
            continue
        yield case(
            "_contrib_BilinearResize2D:%d x %d half pixel" % size,
            op("_contrib_BilinearResize2D", X(), height=size[0], width=size[1], align_corners=False),
            data=image,
        )
    for size in ((1, 1), (3, 2), (4, 4), (7, 6), (9, 11)):
        yield case(
            "_contrib_AdaptiveAvgPooling2D:%d x %d" % size,
            op("_contrib_AdaptiveAvgPooling2D", X(), output_size=size),
            data=image,
        )
    yield case("_contrib_AdaptiveAvgPooling2D:default", op("_contrib_AdaptiveAvgPooling2D", X()), data=image)
    yield case("Crop", sym.Crop(X(), num_args=1, h_w=(4, 3), offset=(1, 2)), data=image)
    yield case("Crop:center", sym.Crop(X(), num_args=1, h_w=(4, 3), center_crop=True), data=image)
    yield case("Crop:like", sym.Crop(X(), X("b"), num_args=2, offset=(2, 1)), data=image, b=normal(3, 2, 4, 5))


def pooling_cases():
    image, line, cube = normal(3, 4, 7, 6), normal(3, 4, 9), normal(2, 2, 5, 4, 6)
    p = sym.Pooling
    for kind in ("max", "avg", "sum", "lp"):
        more = {"p_value": 2} if kind == "lp" else {}
        for convention in ("valid", "full"):
            yield case(
                "Pooling:%s %s" % (kind, convention),
                p(X(), kernel=(3, 2), stride=(2, 2), pool_type=kind, pooling_convention=convention, **more),
                data=image,
            )
            yield case(
                "Pooling:%s %s pad" % (kind, convention),
                p(X(), kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type=kind, pooling_convention=convention, **more),
                data=image,
            )
            yield case(
                "Pooling:%s %s wide stride" % (kind, convention),
                p(X(), kernel=(2, 2), stride=(3, 3), pad=(1, 0), pool_type=kind, pooling_convention=convention, **more),
                data=image,
            )
        yield case(
            "Pooling:%s global" % kind, p(X(), global_pool=True, kernel=(2, 2), pool_type=kind, **more), data=image
        )
        yield case("Pooling:%s no stride" % kind, p(X(), kernel=(2, 2), pool_type=kind, **more), data=image)
        yield case(
            "Pooling:%s 1 axis" % kind, p(X(), kernel=(3,), stride=(2,), pad=(1,), pool_type=kind, **more), data=line
        )
        yield case(
            "Pooling:%s 3 axes" % kind, p(X(), kernel=(2, 2, 3), stride=(2, 1, 2), pool_type=kind, **more), data=cube
        )
        yield case(
            "Pooling:%s global 1 axis" % kind, p(X(), kernel=(1,), global_pool=True, pool_type=kind, **more), data=line
        )
    for convention in ("valid", "full"):
        yield case(
            "Pooling:avg %s count_include_pad=False" % convention,
            p(
                X(),
                kernel=(3, 3),
                stride=(2, 2),
                pad=(1, 1),
                pool_type="avg",
                count_include_pad=False,
                pooling_convention=convention,
            ),
            data=image,
        )
    for power in (1, 3):
        yield case(
            "Pooling:lp p=%d" % power, p(X(), kernel=(2, 2), pool_type="lp", p_value=power), data=positive(3, 4, 7, 6)
        )
    yield case(
        "Pooling:max full squeezenet",
        p(X(), kernel=(3, 3), stride=(2, 2), pooling_convention="full"),
        data=normal(3, 2, 8, 8),
    )


def normalisation_cases():
    image = normal(3, 4, 5, 6)
    b = sym.BatchNorm
    yield case("BatchNorm", b(X()), data=image)
    yield case("BatchNorm:fix_gamma=False", b(X(), fix_gamma=False), data=image)
    yield case("BatchNorm:eps", b(X(), fix_gamma=False, eps=0.1), data=image)
    yield case("BatchNorm:axis 3", b(X(), fix_gamma=False, axis=3), data=image)
    yield case("BatchNorm:axis -1", b(X(), fix_gamma=False, axis=-1), data=normal(3, 4, 5))
    yield case("BatchNorm:rows", b(X(), fix_gamma=False, use_global_stats=True), data=normal(3, 4))
    yield case("BatchNorm:1 axis", b(X(), fix_gamma=False), data=normal(3, 4, 5))
    yield case("BatchNorm:3 axes", b(X(), fix_gamma=False), data=normal(2, 3, 2, 3, 2))
    yield case("_contrib_SyncBatchNorm", op("_contrib_SyncBatchNorm", X(), key="k", fix_gamma=False), data=image)
    yield case("_contrib_BatchNormWithReLU", op("_contrib_BatchNormWithReLU", X(), fix_gamma=False), data=image)
    yield case("LayerNorm", sym.LayerNorm(X()), data=normal(3, 4, 5))
    yield case("LayerNorm:eps", sym.LayerNorm(X(), eps=1e-2), data=normal(3, 6))
    yield case("LayerNorm:axis", sym.LayerNorm(X(), axis=1), data=normal(3, 4, 5))
    yield case("InstanceNorm", sym.InstanceNorm(X()), data=image)
    yield case("InstanceNorm:eps", sym.InstanceNorm(X(), eps=1e-5), data=normal(3, 4, 5))
    yield case("GroupNorm", sym.GroupNorm(X(), num_groups=2), data=image)
    yield case("GroupNorm:one", sym.GroupNorm(X()), data=normal(3, 4, 5))
    yield case("GroupNorm:eps", sym.GroupNorm(X(), num_groups=4, eps=0.01), data=image)
    for mode in ("instance", "channel", "spatial"):
        yield case("L2Normalization:" + mode, sym.L2Normalization(X(), mode=mode), data=image)
    yield case("L2Normalization:eps", sym.L2Normalization(X(), eps=0.1), data=normal(3, 4))
    yield case("LRN", sym.LRN(X(), nsize=3), data=normal(3, 6, 4, 4))
    yield case("LRN:all", sym.LRN(X(), nsize=5, alpha=0.01, beta=0.5, knorm=1.5), data=normal(3, 6, 4, 4) * 3)
    yield case("moments", sym.Group(list(sym.moments(X(), axes=(1, 2)))), data=image)
    yield case("moments:keepdims", sym.Group(list(sym.moments(X(), axes=(1,), keepdims=True))), data=image)


def reduction_cases():
    x = normal(3, 4, 5)
    for name in ["sum", "mean", "prod", "max", "min"]:
        yield case(name, op(name, X(), axis=1), data=x)
        yield case(name + ":keepdims", op(name, X(), axis=(1, 2), keepdims=True), data=x)
        yield case(name + ":exclude", op(name, X(), axis=0, exclude=True), data=x)
        yield case(name + ":negative", op(name, X(), axis=-1), data=x)
        yield case(name + ":all", op(name, X()), data=x)
    yield case("sum:exclude keepdims", sym.sum(X(), axis=(0, 1), exclude=True, keepdims=True), data=x)
    yield case("norm", sym.norm(X(), axis=1), data=x)
    yield case("norm:1", sym.norm(X(), axis=2, ord=1, keepdims=True), data=x)
    yield case("norm:all", sym.norm(X()), data=x)
    yield case("cumsum", sym.cumsum(X(), axis=1), data=x)
    yield case("argmax", sym.argmax(X(), axis=1), data=x)
    yield case("argmax:keepdims", sym.argmax(X(), axis=-1, keepdims=True), data=x)
    yield case("argmax:all", sym.argmax(X()), data=x)
    yield case("argmax:ties", sym.argmax(X(), axis=1), data=whole(2, 4, 6))
    yield case("argmin", sym.argmin(X(), axis=1), data=x)
    yield case("argmin:ties", sym.argmin(X(), axis=1), data=whole(2, 4, 6))
    yield case("argmax_channel", sym.argmax_channel(X()), data=normal(3, 4))
    for kind in ("value", "indices", "mask"):
        yield case("topk:" + kind, sym.topk(X(), k=2, ret_typ=kind), data=x)
        yield case("topk:%s axis" % kind, sym.topk(X(), k=2, ret_typ=kind, axis=1, is_ascend=True), data=x)
    yield case("topk:both", sym.Group(list(sym.topk(X(), k=3, ret_typ="both"))), data=x)
    yield case("topk:int32", sym.topk(X(), k=1, ret_typ="indices", dtype="int32"), data=x)
    yield case("topk:int64", sym.topk(X(), k=1, ret_typ="indices", dtype="int64"), data=x)
    yield case("topk:all", sym.topk(X(), k=0, ret_typ="value"), data=x)
    for name in ("sum", "mean", "max", "norm", "argmax", "argmin"):
        yield case(name + ":all keepdims", op(name, X(), keepdims=True), data=x)
    yield case("sum:no axes", sym.sum(X(), axis=()), data=x)
    yield case("argmin:all", sym.argmin(X()), data=x)
    for name in ("sort", "argsort"):
        yield case(name + ":flat", op(name, X(), axis=None), data=x, input=["data=FP32:3,4,5"])
    yield case("topk:flat value", sym.topk(X(), k=3, ret_typ="value", axis=None), data=x)
    yield case("topk:flat indices", sym.topk(X(), k=3, ret_typ="indices", axis=None), data=x)
    cube = normal(2, 2, 4, 3, 4)
    for mode in ("edge", "reflect"):
        widths = (0, 0, 0, 0, 1, 2, 2, 1, 0, 1)
        yield case("Pad:%s 3 axes" % mode, sym.Pad(X(), mode=mode, pad_width=widths), data=cube)
    yield case(
        "take:negative axis", sym.take(X(), sym.Variable("i", shape=(3,)), axis=-1), given={"i": whole(5, 3)}, data=x
    )
    yield case("InstanceNorm:3 axes", sym.InstanceNorm(X()), data=cube)
    yield case("L2Normalization:spatial line", sym.L2Normalization(X(), mode="spatial"), data=x)
    yield case("GroupNorm:line", sym.GroupNorm(X(), num_groups=2), data=x)
    yield case("LayerNorm:first axis", sym.LayerNorm(X(), axis=0), data=normal(3, 4), input=["data=FP32:3,4"])
    yield case("dot:4 axes", sym.dot(X(), sym.Variable("w", shape=(4, 5))), data=normal(3, 2, 2, 4))
    yield case(
        "dot:4 axes transpose_b",
        sym.dot(X(), sym.Variable("w", shape=(5, 4)), transpose_b=True),
        data=normal(3, 2, 2, 4),
    )
    yield case("linalg_gemm2:2 axes", sym.linalg.gemm2(X(), sym.Variable("w", shape=(4, 5))), data=normal(3, 4))
    yield case("linalg_gemm2:4 axes", sym.linalg.gemm2(X("a"), X("b")), a=normal(3, 2, 2, 4), b=normal(3, 2, 4, 2))
    yield case("SoftmaxOutput:preserve image", sym.SoftmaxOutput(X(), preserve_shape=True, name="softmax"), data=cube)
    yield case("Embedding:3 axes", sym.Embedding(X(), input_dim=7, output_dim=4), data=whole(7, 3, 2, 2))
    ties = whole(3, 4, 9)
    yield case("topk:ties", sym.topk(X(), k=4, ret_typ="indices"), data=ties)
    yield case("topk:ties ascending", sym.topk(X(), k=4, ret_typ="indices", is_ascend=True), data=ties)
    yield case("argsort:ties", sym.argsort(X()), data=ties)
    yield case("argsort:ties descending", sym.argsort(X(), is_ascend=False), data=ties)
    yield case("sort", sym.sort(X()), data=x)
    yield case("sort:descending", sym.sort(X(), axis=1, is_ascend=False), data=x)
    yield case("argsort", sym.argsort(X()), data=x)
    yield case("argsort:descending", sym.argsort(X(), axis=1, is_ascend=False), data=x)


def layout_cases():
    x, data = normal(3, 4, 6), X()
    shapes = {
        "flat": (0, -1),
        "all": (-1,),
        "merge": (-3, 0),
        "merge rest": (0, -3),
        "split": (0, -4, 2, 2, 0),
        "split infer": (0, -4, -1, 2, -2),
        "rest": (0, -2),
        "numbers": (-1, 2, 12),
        "back": (-1, 6),
        "split last": (0, 0, -4, 3, -1),
    }
    for name, shape in shapes.items():
        yield case("Reshape:" + name, sym.reshape(X(), shape=shape), data=x)
    yield case("Reshape:reverse", sym.reshape(X(), shape=(-1, 0), reverse=True), data=x)
    yield case("Reshape:reverse merge", sym.reshape(X(), shape=(-3, 0), reverse=True), data=x)
    yield case("Flatten", sym.Flatten(X()), data=normal(3, 2, 2, 3))
    yield case("expand_dims", sym.expand_dims(X(), axis=1), data=x)
    yield case("expand_dims:negative", sym.expand_dims(X(), axis=-1), data=x)
    yield case("squeeze", sym.squeeze(X(), axis=1), data=normal(3, 1, 4, 1))
    yield case("squeeze:several", sym.squeeze(X(), axis=(1, -1)), data=normal(3, 1, 4, 1))
    yield case("squeeze:all", sym.squeeze(X()), data=normal(3, 1, 4, 1), input=["data=FP32:N,1,4,1"])
    yield case("SwapAxis", sym.SwapAxis(X(), dim1=1, dim2=2), data=x)
    yield case("transpose", sym.transpose(X(), axes=(0, 2, 1)), data=x)
    yield case("transpose:default", sym.transpose(X()), data=normal(3, 4))
    yield case("Concat", sym.concat(X("a"), X("b"), dim=1), a=normal(3, 2), b=normal(3, 4))
    yield case("Concat:axis", sym.concat(X("a"), X("b"), X("c"), dim=-1), a=x, b=normal(3, 4, 1), c=normal(3, 4, 2))
    yield case("stack", sym.stack(X("a"), X("b"), axis=1), a=x, b=normal(3, 4, 6))
    yield case("stack:last", sym.stack(X("a"), X("b"), axis=-1), a=x, b=normal(3, 4, 6))
    yield case("SliceChannel", sym.Group(list(sym.split(X(), num_outputs=2, axis=1))), data=x)
    yield case(
        "SliceChannel:squeeze", sym.Group(list(sym.split(X(), num_outputs=4, axis=1, squeeze_axis=True))), data=x
    )
    yield case("SliceChannel:one", sym.split(X(), num_outputs=4, axis=1, squeeze_axis=True)[2], data=x)
    yield case("_split_v2", sym.Group(list(sym.split_v2(X(), (1, 3), axis=1))), data=x)
    yield case("_split_v2:sections", sym.Group(list(sym.split_v2(X(), 3, axis=2))), data=x)
    yield case("_split_v2:squeeze", sym.Group(list(sym.split_v2(X(), 4, axis=1, squeeze_axis=True))), data=x)
    for kind in ("float32", "int32", "int64", "uint8", "int8", "float64"):
        yield case("Cast:" + kind, sym.Cast(sym.Cast(X(), dtype=kind), dtype="float32") + 1, data=whole(5, 3, 4) + 0.5)
    yield case("amp_cast", op("amp_cast", X(), dtype="float32"), data=x)
    for mode in ("constant", "edge", "reflect"):
        yield case(
            "Pad:" + mode,
            sym.Pad(X(), mode=mode, pad_width=(0, 0, 0, 0, 1, 2, 2, 1), constant_value=0.5),
            data=normal(3, 2, 4, 4),
        )
    yield case(
        "Pad:3 axes",
        sym.Pad(X(), mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 2, 1, 0, 1)),
        data=normal(2, 2, 3, 3, 2),
    )
    yield case("space_to_depth", sym.space_to_depth(X(), block_size=2), data=normal(3, 2, 4, 6))
    yield case("depth_to_space", sym.depth_to_space(X(), block_size=2), data=normal(3, 8, 2, 3))
    yield case("tile", sym.tile(X(), reps=(1, 2, 3)), data=x)
    yield case("tile:fewer", sym.tile(X(), reps=(2,)), data=x)
    yield case("tile:more", sym.tile(X(), reps=(2, 1, 1, 2)), data=x)
    yield case("repeat", sym.repeat(X(), repeats=2, axis=1), data=x)
    yield case("repeat:flat", sym.repeat(X(), repeats=2), data=x)
    yield case("reverse", sym.reverse(X(), axis=1), data=x)
    yield case("reverse:several", sym.reverse(X(), axis=(1, 2)), data=x)
    yield case("flip", sym.flip(X(), axis=2), data=x)
    for name, (begin, end, step) in {
        "plain": ((None, 1), (None, 3), ()),
        "negative": ((None, -3, 1), (None, -1, 5), ()),
        "step": ((None, 0, 0), (None, 4, 6), (1, 2, 3)),
        "backwards": ((None, None, 5), (None, None, 1), (1, 1, -2)),
        "open": ((None, 1, None), (None, None, -1), (1, 1, 2)),
        "all backwards": ((None, None), (None, None), (1, -1)),
    }.items():
        yield case("slice:" + name, sym.slice(X(), begin=begin, end=end, step=step), data=x)
    yield case("slice_axis", sym.slice_axis(X(), axis=1, begin=1, end=3), data=x)
    yield case("slice_axis:open", sym.slice_axis(X(), axis=2, begin=2, end=None), data=x)
    yield case("slice_axis:last", sym.slice_axis(X(), axis=1, begin=-1, end=None), data=x)
    yield case("slice_axis:negative", sym.slice_axis(X(), axis=-1, begin=-4, end=-1), data=x)
    yield case("slice_like", sym.slice_like(X(), X("b")), data=x, b=normal(3, 2, 5))
    yield case("slice_like:axes", sym.slice_like(X(), X("b"), axes=(2,)), data=x, b=normal(3, 2, 5))
    yield case("broadcast_to", sym.broadcast_to(X(), shape=(0, 4, 5)), data=normal(3, 1, 5))
    yield case("broadcast_axis", sym.broadcast_axis(X(), axis=(1, 2), size=(4, 2)), data=normal(3, 1, 1))
    yield case("broadcast_like", sym.broadcast_like(X(), X("b")), data=normal(3, 1, 1), b=x)
    yield case(
        "broadcast_like:axes", sym.broadcast_like(X(), X("b"), lhs_axes=(1,), rhs_axes=(2,)), data=normal(3, 1, 2), b=x
    )
    yield case("reshape_like", sym.reshape_like(X(), X("b")), data=normal(3, 24), b=x)
    yield case(
        "reshape_like:part",
        sym.reshape_like(X(), X("b"), lhs_begin=1, lhs_end=None, rhs_begin=1, rhs_end=3),
        data=normal(3, 24),
        b=x,
    )
    yield case("shape_array", sym.shape_array(X()), data=x)
    yield case("size_array", sym.size_array(X()), data=x)
    yield case("zeros_like", sym.zeros_like(data) + data, data=x)
    yield case("ones_like", sym.ones_like(data) + data, data=x)
    yield case(
        "_arange",
        sym.broadcast_add(X(), sym.reshape(sym.arange(start=1, stop=9, step=2), shape=(1, 4))),
        data=normal(3, 4),
    )
    yield case("_arange:stop", sym.broadcast_add(X(), sym.reshape(sym.arange(4), shape=(1, 4))), data=normal(3, 4))
    yield case(
        "_arange:repeat",
        sym.broadcast_add(X(), sym.reshape(sym.arange(0, 2, 0.5, repeat=2), shape=(1, 8))),
        data=normal(3, 8),
    )
    yield case("_zeros", sym.broadcast_add(X(), sym.zeros((1, 4))), data=normal(3, 4))
    yield case("_zeros:unknown", X() + sym.zeros((0, 4)), data=normal(3, 4))
    yield case("_ones", sym.broadcast_add(X(), sym.ones((1, 4))), data=normal(3, 4))
    yield case("_full", sym.broadcast_add(X(), sym.full((1, 4), 2.5)), data=normal(3, 4))
    yield case("_eye", sym.dot(X(), sym.eye(4, M=5, k=1)), data=normal(3, 4))
    yield case(
        "_contrib_arange_like",
        sym.broadcast_add(data, sym.expand_dims(op("_contrib_arange_like", data, axis=1), axis=0)),
        data=normal(3, 4),
    )
    yield case("_contrib_arange_like:all", op("_contrib_arange_like", X(), start=2, step=0.5), data=normal(3, 4))
    yield case(
        "_identity_with_attr_like_rhs", op("_identity_with_attr_like_rhs", X("a"), X("b")), a=x, b=normal(3, 4, 6)
    )


def indexing_cases():
    w = sym.Variable("w", shape=(7, 4))
    indices = np.array([[0, 1, 6], [3, 9, -2], [5.7, 2, 2]], np.float32)
    yield case("Embedding", sym.Embedding(X(), input_dim=7, output_dim=4), data=indices)
    yield case("Embedding:rows", sym.Embedding(X(), input_dim=7, output_dim=4), data=whole(7, 3), input=["data=FP32:N"])
    yield case("take", sym.take(w, X()), data=indices)
    yield case(
        "take:axis",
        sym.take(X(), sym.Variable("i", shape=(3,)), axis=1),
        given={"i": whole(5, 3)},
        data=normal(3, 5, 2),
    )
    yield case(
        "take:wrap", sym.take(w, X(), mode="wrap"), data=np.array([[0, 8, -1], [6, 7, -7], [2, 3, 14]], np.float32)
    )
    yield case("pick", sym.pick(X(), X("i")), data=normal(3, 5), i=np.array([0, 4, 2], np.float32))
    yield case("pick:axis", sym.pick(X(), X("i"), axis=1, keepdims=True), data=normal(3, 5, 2), i=whole(5, 3, 2))
    yield case("pick:clip", sym.pick(X(), X("i")), data=normal(3, 5), i=np.array([-1, 7, 2], np.float32))
    yield case("pick:wrap", sym.pick(X(), X("i"), mode="wrap"), data=normal(3, 5), i=np.array([-1, 7, 2], np.float32))
    yield case(
        "choose_element_0index",
        op("choose_element_0index", X(), X("i")),
        data=normal(3, 5),
        i=np.array([0, 4, 2], np.float32),
    )
    yield case(
        "batch_take",
        sym.batch_take(X(), sym.Cast(X("i"), dtype="int32")),
        data=normal(3, 5),
        i=np.array([0, 4, 2], np.float32),
    )
    yield case(
        "gather_nd",
        sym.gather_nd(X(), X("i")),
        data=normal(3, 5, 2),
        i=np.array([[0, 2, 1], [4, 0, 3]], np.float32),
        input=["i=FP32:2,3", "data=FP32:3,5,2"],
    )
    yield case("one_hot", sym.one_hot(X(), depth=5), data=np.array([0, 4, 2, 7, -1], np.float32), input=["data=FP32:N"])
    yield case("one_hot:values", sym.one_hot(X(), depth=5, on_value=2.0, off_value=-1.0), data=whole(5, 3, 2))


def sequence_cases():
    x, n = normal(5, 3, 4), np.array([2, 5, 3], np.float32)
    fixed = ["data=FP32:5,N,4", "n=FP32:N"]
    for name in ["SequenceLast", "SequenceMask", "SequenceReverse"]:
        yield case(name, op(name, X()), data=x, input=fixed[:1])
        yield case(name + ":length", op(name, X(), X("n"), use_sequence_length=True), data=x, n=n, input=fixed)
    yield case(
        "SequenceMask:value axis",
        sym.SequenceMask(X(), X("n"), use_sequence_length=True, value=-1.0, axis=1),
        data=normal(3, 5, 4),
        n=n,
    )
    yield case(
        "SequenceLast:axis", sym.SequenceLast(X(), X("n"), use_sequence_length=True, axis=1), data=normal(3, 5, 4), n=n
    )
    yield case(
        "SequenceReverse:swap",
        sym.swapaxes(sym.SequenceReverse(sym.swapaxes(X(), dim1=0, dim2=1)), dim1=0, dim2=1),
        data=normal(3, 5, 4),
    )


def recurrent(mode, layers, both, states, begin, size=3, width=4):
    cell = mx.gluon.rnn
    layer = {"lstm": cell.LSTM, "gru": cell.GRU}.get(mode)
    more = dict(num_layers=layers, bidirectional=both, layout="NTC", input_size=width)
    net = layer(size, **more) if layer else cell.RNN(size, activation=mode[4:], **more)
    if not states:
        return net(X())
    initial = [X("state%d" % i) for i in range(2 if mode == "lstm" else 1)]
    out, last = net(X(), initial)
    return sym.Group([out] + list(last))


def recurrent_cases():
    for mode in ["lstm", "gru", "rnn_tanh", "rnn_relu"]:
        for layers in (1, 2):
            for both in (False, True):
                name = "RNN:%s%s%s" % (mode, " 2 layers" * (layers == 2), " bidirectional" * both)
                yield case(name, recurrent(mode, layers, both, False, False), data=normal(3, 5, 4))
        both_states = {"state0": normal(4, 3, 3)}
        if mode == "lstm":
            both_states["state1"] = normal(4, 3, 3)
        yield case("RNN:%s states" % mode, recurrent(mode, 2, True, True, True), data=normal(3, 5, 4), **both_states)
    fused = mx.rnn.FusedRNNCell(3, num_layers=2, mode="lstm", prefix="lstm_", get_next_state=True)
    out, _ = fused.unroll(5, X(), layout="NTC", merge_outputs=True)
    yield case(
        "RNN:module fused",
        sym.FullyConnected(sym.slice_axis(out, axis=1, begin=-1, end=None), num_hidden=2),
        data=normal(3, 5, 4),
    )
    for name, cell in {
        "lstm": mx.rnn.LSTMCell(3, prefix="l_"),
        "gru": mx.rnn.GRUCell(3, prefix="g_"),
        "rnn": mx.rnn.RNNCell(3, prefix="r_"),
    }.items():
        out, _ = cell.unroll(4, X(), layout="NTC", merge_outputs=True)
        yield case(
            "model:unrolled %s" % name,
            sym.SoftmaxOutput(sym.FullyConnected(out, num_hidden=2), name="softmax"),
            data=normal(3, 4, 5),
        )
    cell = mx.rnn.BidirectionalCell(mx.rnn.LSTMCell(3, prefix="a_"), mx.rnn.GRUCell(3, prefix="b_"))
    out, _ = cell.unroll(4, X(), layout="NTC", merge_outputs=True)
    yield case("model:unrolled bidirectional", sym.mean(out, axis=1), data=normal(3, 4, 5))
    gcell = mx.gluon.rnn.LSTMCell(3, input_size=5)
    out, _ = gcell.unroll(4, X(), layout="NTC", merge_outputs=True)
    yield case("model:gluon cell", out, data=normal(3, 4, 5))


def transformer(F, x):
    """An encoder layer with two heads as GluonNLP writes it, of symbols."""

    def dense(value, units, name):
        return F.FullyConnected(value, num_hidden=units, flatten=False, name=name)

    def heads(name):
        cut = F.reshape(dense(x, 8, "proj_" + name), shape=(0, 0, 2, -1))
        return F.reshape(F.transpose(cut, axes=(0, 2, 1, 3)), shape=(-1, 0, 0), reverse=True)

    q, k, v = heads("q"), heads("k"), heads("v")
    scores = F.softmax(F.contrib.div_sqrt_dim(F.batch_dot(q, k, transpose_b=True)), axis=-1)
    mixed = F.reshape(F.batch_dot(scores, v), shape=(-1, 2, 0, 0), reverse=True)
    mixed = F.reshape(F.transpose(mixed, axes=(0, 2, 1, 3)), shape=(0, 0, -1))
    first = F.LayerNorm(x + dense(mixed, 8, "out"), name="ln1")
    hidden = F.LeakyReLU(dense(first, 16, "ffn1"), act_type="gelu", name="gelu")
    return F.LayerNorm(first + dense(F.Dropout(hidden, p=0.1), 8, "ffn2"), name="ln2")


def more_model_cases():
    """Models with steps first, cells around cells, attention, skips and several answers."""
    steps_first = mx.gluon.rnn.LSTM(3, layout="TNC", input_size=4)(X())
    yield case("model:steps first", sym.SequenceLast(steps_first), data=normal(5, 3, 4), input=["data=FP32:5,N,4"])
    stacked = mx.rnn.SequentialRNNCell()
    stacked.add(mx.rnn.ResidualCell(mx.rnn.GRUCell(5, prefix="r_")))
    stacked.add(mx.rnn.DropoutCell(0.3))
    stacked.add(mx.rnn.LSTMCell(3, prefix="s_"))
    out, _ = stacked.unroll(4, X(), layout="NTC", merge_outputs=False)
    yield case("model:stacked cells", sym.FullyConnected(out[-1], num_hidden=2), data=normal(3, 4, 5))
    yield case("model:transformer", transformer(sym, X()), data=normal(3, 4, 8))
    embedded = sym.Embedding(X(), input_dim=13, output_dim=8) * 2.0
    yield case("model:embedded transformer", sym.mean(transformer(sym, embedded), axis=1), data=whole(13, 3, 4))
    data = X()
    conv = sym.Convolution(data, kernel=(3, 3), pad=(1, 1), num_filter=4, name="c1")
    trunk = sym.Activation(sym.BatchNorm(conv, fix_gamma=False), act_type="relu")
    down = sym.Pooling(trunk, kernel=(2, 2), stride=(2, 2), pool_type="max")
    conv = sym.Convolution(down, kernel=(3, 3), pad=(1, 1), num_filter=4, name="c2")
    up = sym.UpSampling(conv, scale=2, sample_type="nearest")
    joined = sym.concat(trunk, sym.Crop(up, trunk, num_args=2), dim=1)
    last = sym.Convolution(joined, kernel=(1, 1), num_filter=3, name="c3")
    yield case("model:u-net", sym.SoftmaxOutput(last, multi_output=True, name="softmax"), data=normal(3, 2, 8, 8))
    shared = sym.FullyConnected(data, num_hidden=6, name="trunk")
    kind = sym.SoftmaxOutput(sym.FullyConnected(shared, num_hidden=3, name="a"), name="kind")
    amount = sym.LinearRegressionOutput(sym.FullyConnected(shared, num_hidden=1, name="b"), name="amount")
    features = sym.BlockGrad(shared, name="features")
    yield case("model:three heads", sym.Group([kind, amount, features]), data=normal(3, 5))
    squeezed = sym.relu(sym.FullyConnected(sym.mean(data, axis=(2, 3), keepdims=True), num_hidden=2, name="s1"))
    gate = sym.reshape(sym.sigmoid(sym.FullyConnected(squeezed, num_hidden=4, name="s2")), shape=(0, 0, 1, 1))
    yield case("model:squeeze and excite", sym.broadcast_mul(data, gate), data=normal(3, 4, 5, 5))
    wide = sym.one_hot(sym.slice_axis(data, axis=1, begin=0, end=1), depth=5)
    deep = sym.concat(sym.Flatten(wide), sym.slice_axis(data, axis=1, begin=1, end=None), dim=1)
    click = sym.LogisticRegressionOutput(sym.FullyConnected(deep, num_hidden=1), name="click")
    yield case("model:wide and deep", click, data=np.concatenate([whole(5, 3, 1), normal(3, 3)], axis=1))
    away = sym.broadcast_sub(sym.expand_dims(data, axis=1), sym.Variable("centres", shape=(1, 4, 3)))
    yield case("model:radial", sym.exp(-0.5 * sym.sum(sym.square(away), axis=2)), data=normal(3, 3))
    normed = sym.broadcast_div(data, sym.sqrt(sym.sum(data * data, axis=1, keepdims=True) + 1e-6))
    cosine = sym.dot(normed, sym.Variable("w", shape=(4, 3)), transpose_b=True)
    yield case("model:cosine", cosine, data=normal(3, 3))
    pixels = sym.depth_to_space(sym.Convolution(data, kernel=(3, 3), pad=(1, 1), num_filter=8), block_size=2)
    yield case("model:super resolution", sym.clip(pixels, 0, 1), data=normal(3, 2, 5, 4))


def numpy_cases():
    """The numpy interface, whose operators have names of their own."""
    snp = mx.symbol.numpy

    def N(name="data"):
        return sym.Variable(name).as_np_ndarray()

    def made(name, symbol, **inputs):
        return case(name, symbol, **inputs)

    x, y = normal(3, 4, 5), positive(3, 4, 5)
    for name in ("absolute", "cos", "exp", "negative", "sin", "tanh", "square"):
        yield made("_npi_" + name, getattr(snp, name)(N()), data=x)
    for name in ("log", "reciprocal", "sqrt"):
        yield made("_npi_" + name, getattr(snp, name)(N()), data=y)
    for name in ("relu", "sigmoid"):
        yield made("_npx_" + name, getattr(mx.symbol.numpy_extension, name)(N()), data=x)
    for name in ("add", "subtract", "multiply", "true_divide", "power"):
        yield made("_npi_" + name, getattr(snp, name)(N("a"), N("b")), a=y, b=y[:, ::-1] + 1)
        yield made("_npi_%s:broadcast" % name, getattr(snp, name)(N("a"), N("b")), a=y, b=positive(3, 1, 5))
        yield made("_npi_%s_scalar" % name, getattr(snp, name)(N(), 1.5), data=y)
    yield made("_npi_rsubtract_scalar", 1.5 - N(), data=x)
    yield made("_npi_rtrue_divide_scalar", 1.5 / N(), data=y)
    for name, start in (("mean", "_npi_"), ("sum", "_np_"), ("max", "_np_"), ("min", "_np_")):
        yield made(start + name, getattr(snp, name)(N(), axis=1), data=x)
        yield made("%s%s:keepdims" % (start, name), getattr(snp, name)(N(), axis=(1, 2), keepdims=True), data=x)
    yield made("_npi_concatenate", snp.concatenate([N("a"), N("b")], axis=1), a=x, b=y)
    yield made("_npi_concatenate:last", snp.concatenate([N("a"), N("b")], axis=-1), a=x, b=y)
    yield made("_npi_stack", snp.stack([N("a"), N("b")], axis=1), a=x, b=y)
    yield made("_np_reshape", snp.reshape(N(), (-1, 20)), data=x)
    yield made("_np_transpose", snp.transpose(N(), (0, 2, 1)), data=x)
    yield made("_np_squeeze", snp.squeeze(N(), axis=1), data=normal(3, 1, 4))
    yield made("_np_copy", snp.copy(N()) + 1, data=x)
    yield made("_npi_matmul", snp.matmul(N("a"), N("b")), a=x, b=normal(3, 5, 2))


def model_cases():
    """Small models as people build them."""
    nn, vision = mx.gluon.nn, mx.gluon.model_zoo.vision
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(4, 3, padding=1, in_channels=3),
        nn.BatchNorm(in_channels=4),
        nn.Activation("relu"),
        nn.MaxPool2D(2, 2),
        nn.Conv2DTranspose(3, 2, 2, in_channels=4),
        nn.PReLU(),
        nn.GlobalAvgPool2D(),
        nn.Flatten(),
        nn.Dense(4, in_units=3),
    )
    yield case("model:gluon image", net(X()), data=normal(3, 3, 8, 8))
    text = nn.HybridSequential()
    text.add(
        nn.Embedding(11, 6),
        mx.gluon.rnn.GRU(4, layout="NTC", input_size=6, bidirectional=True),
        nn.Dense(3, flatten=False),
    )
    yield case("model:tagger", text(X()), data=whole(11, 3, 5))
    conv = sym.Convolution(
        sym.swapaxes(sym.Embedding(X(), input_dim=11, output_dim=6), dim1=1, dim2=2), kernel=(3,), num_filter=4
    )
    yield case(
        "model:text convolution",
        sym.FullyConnected(sym.max(sym.relu(conv), axis=2), num_hidden=2),
        data=whole(11, 3, 7),
    )
    user = sym.Flatten(sym.Embedding(X("user"), input_dim=9, output_dim=4))
    item = sym.Flatten(sym.Embedding(X("item"), input_dim=8, output_dim=4))
    yield case(
        "model:factors",
        sym.LinearRegressionOutput(sym.sum(user * item, axis=1), X("score_label"), name="lro"),
        user=whole(9, 3, 1),
        item=whole(8, 3, 1),
        score_label=normal(3),
    )
    from mxnet.gluon.model_zoo.vision import (
        BasicBlockV1,
        BasicBlockV2,
        BottleneckV1,
        BottleneckV2,
        DenseNet,
        MobileNet,
        MobileNetV2,
        ResNetV1,
        ResNetV2,
    )

    small_nets = {
        "resnet18_v1 narrow": (ResNetV1(BasicBlockV1, [2, 2, 2, 2], [4, 4, 8, 16, 32], classes=10), 32),
        "resnet18_v2 narrow": (ResNetV2(BasicBlockV2, [2, 2, 2, 2], [4, 4, 8, 16, 32], classes=10), 32),
        "resnet50_v1 narrow": (ResNetV1(BottleneckV1, [2, 1, 1, 1], [4, 8, 16, 24, 32], classes=10), 32),
        "resnet50_v2 narrow": (ResNetV2(BottleneckV2, [2, 1, 1, 1], [4, 8, 16, 24, 32], classes=10), 32),
        "squeezenet narrow": (narrow_squeezenet(), 48),
        "densenet narrow": (DenseNet(4, 4, [2, 2, 2], classes=5, bn_size=2), 112),
    }
    for name, (net, size) in small_nets.items():
        yield case("zoo:" + name, zoo(net, size), data=image(size))
    for name, (net, size) in {
        "mobilenet narrow": (MobileNet(0.125, classes=5), 32),
        "mobilenet_v2 narrow": (MobileNetV2(0.125, classes=5), 32),
    }.items():
        yield case("zoo:" + name, zoo(net, size), data=image(size))


def narrow_squeezenet():
    """The layers of squeezenet1.1 with an eighth of its channels."""
    from mxnet.gluon.model_zoo.vision.squeezenet import _make_fire

    nn = mx.gluon.nn
    net = nn.HybridSequential()
    net.add(nn.Conv2D(8, kernel_size=3, strides=2), nn.Activation("relu"))
    for squeeze, expand in ((2, 8), (2, 8), (4, 16), (4, 16), (6, 24), (6, 24), (8, 32), (8, 32)):
        if (squeeze, expand) in ((2, 8), (4, 16), (6, 24)) and len(net) in (2, 5, 8):
            net.add(nn.MaxPool2D(pool_size=3, strides=2, ceil_mode=True))
        net.add(_make_fire(squeeze, expand, expand))
    net.add(nn.Dropout(0.5), nn.Conv2D(5, kernel_size=1), nn.Activation("relu"), nn.GlobalAvgPool2D(), nn.Flatten())
    return net


def zoo(net, size):
    """The symbol of a network whose layers learn their sizes from a first image."""
    net.initialize(mx.init.Xavier())
    net.hybridize()
    net(mx.nd.zeros((1, 3, size, size)))
    return net(X())


def all_cases():
    makers = (
        unary_cases,
        binary_cases,
        activation_cases,
        linear_cases,
        convolution_cases,
        pooling_cases,
        normalisation_cases,
        reduction_cases,
        layout_cases,
        indexing_cases,
        sequence_cases,
        recurrent_cases,
        model_cases,
        more_model_cases,
        numpy_cases,
    )
    found = []
    for maker in makers:
        found += list(maker())
    return found
