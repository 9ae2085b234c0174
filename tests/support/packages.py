"""Small real packages, made without any framework: a logistic regression and a text look-up, as ONNX."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from packager.core.artifact import ModelPackage
from packager.core.conversion import ConversionResult, TestCase
from packager.pack import write_package
from runtime.contract.certificate import BatchSafety, Comparison, Coverage, OutputDeviation, Parity
from runtime.contract.dtypes import BY_ORT
from runtime.contract.manifest import OnnxInfo, Signature, SourceInfo, TensorSpec
from runtime.contract.package import file_sha256
from tests.support.sessions import session_of

CLASSES = ("setosa", "versicolor", "virginica")


def logistic_model(features: int = 4, *, scale: float = 1.0, seed: int = 0) -> onnx.ModelProto:
    """``X`` FP32 [batch, features] → ``label`` INT64 [batch], ``probabilities`` FP32 [batch, 3]."""
    rng = np.random.default_rng(seed)
    weights = (rng.normal(size=(features, 3)) * scale).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["X", "W"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "logistic",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["batch", features])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3]),
        ],
        [numpy_helper.from_array(weights, "W")],
    )
    return _model(graph)


def identity_model(dtype: int, shape: tuple[int | str, ...] = ("batch", 2)) -> onnx.ModelProto:
    """``x`` → ``y``, unchanged, for any ONNX type."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", dtype, list(shape))],
        [helper.make_tensor_value_info("y", dtype, list(shape))],
    )
    return _model(graph)


def columns_model(inputs: dict[str, int], *, rank: int = 2) -> onnx.ModelProto:
    """An input of one column each (name → ONNX type), given back unchanged as ``out_<name>``."""
    shape = ["batch", 1][:rank]
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"out_{name}"]) for name in inputs],
        "columns",
        [helper.make_tensor_value_info(name, dtype, shape) for name, dtype in inputs.items()],
        [helper.make_tensor_value_info(f"out_{name}", dtype, shape) for name, dtype in inputs.items()],
    )
    return _model(graph)


def make_package(
    out: Path,
    model: onnx.ModelProto | None = None,
    *,
    name: str = "iris",
    version: str = "1",
    inputs: dict[str, np.ndarray] | None = None,
    wrong_answers: bool = False,
    columns: dict[str, tuple[str, ...]] | None = None,
    batched: bool = True,
) -> ModelPackage:
    """A package of ``model`` with its own answers as test data; ``wrong_answers`` shifts the expected floats by 0.5.

    ``columns`` names the columns of inputs. Without ``batched`` the inputs are one call, whatever their shapes.
    """
    given = conversion_of(model or logistic_model(), inputs=inputs, wrong_answers=wrong_answers, batched=batched)
    with given as result:
        return write_package(_with_columns(result, columns or {}), out, name=name, version=version)


@contextmanager
def conversion_of(
    model: onnx.ModelProto,
    *,
    inputs: dict[str, np.ndarray] | None = None,
    wrong_answers: bool = False,
    batched: bool = True,
) -> Iterator[ConversionResult]:
    """What a conversion that ended in ``model`` would hand to the packer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString(deterministic=True))
        session = session_of(path)
        if inputs is None:
            rng = np.random.default_rng(1)
            inputs = {session.get_inputs()[0].name: rng.normal(size=(5, session.get_inputs()[0].shape[1])).astype("f4")}
        outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))
        if wrong_answers:
            outputs = {k: v + np.asarray(0.5, v.dtype) if v.dtype.kind == "f" else v for k, v in outputs.items()}
        yield _result(path, model.ir_version, session, inputs, outputs, batched=batched)


def _with_columns(result: ConversionResult, columns: dict[str, tuple[str, ...]]) -> ConversionResult:
    specs = [spec.model_copy(update={"columns": columns.get(spec.name)}) for spec in result.signature.inputs]
    return replace(result, signature=result.signature.model_copy(update={"inputs": tuple(specs)}))


def _result(
    path: Path,
    ir_version: int,
    session: ort.InferenceSession,
    inputs: dict[str, np.ndarray],
    outputs: dict[str, np.ndarray],
    *,
    batched: bool,
) -> ConversionResult:
    cases = [TestCase(_tensors(inputs), _tensors(outputs))]
    if batched:
        cases = [TestCase(_tensors(_head(inputs, rows)), _tensors(_head(outputs, rows))) for rows in (1, 5)]
    deviation = OutputDeviation(rows=5, max_abs_error=0.0, max_rel_error=0.0, rows_over=0, labels_differing=0)
    comparison = Comparison(outputs=dict.fromkeys(outputs, deviation))
    return ConversionResult(
        onnx_path=path,
        external_data=(),
        source=SourceInfo(framework="onnx", framework_version="1", filename="m.onnx", sha256=file_sha256(path)),
        onnx=OnnxInfo(
            path="model.onnx",
            opset=18,
            domains={},
            ir_version=ir_version,
            sha256=file_sha256(path),
            size_bytes=path.stat().st_size,
        ),
        signature=Signature(
            inputs=tuple(_spec(arg) for arg in session.get_inputs()),
            outputs=tuple(_spec(arg) for arg in session.get_outputs()),
            batch_dim="batch" if batched else None,
        ),
        labels={"probabilities": CLASSES} if "probabilities" in outputs else None,
        test_cases=tuple(cases),
        reference="source",
        parity=Parity(
            samples=5,
            synthetic=True,
            seed=1,
            batch_sizes=(1, 3),
            atol=1e-5,
            rtol=1e-4,
            coverage=Coverage(),
            conversion=comparison,
            user_visible=comparison,
        ),
        batch_safety=BatchSafety(batchable=True, reason="proven"),
        versions={"onnxruntime": ort.__version__},
    )


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def _head(tensors: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    return {name: value[:rows] for name, value in tensors.items()}


def _tensors(tensors: dict[str, np.ndarray]) -> tuple[bytes, ...]:
    return tuple(
        numpy_helper.from_array(np.asarray(value, order="C"), name).SerializeToString()
        for name, value in tensors.items()
    )


def _spec(arg: ort.NodeArg) -> TensorSpec:
    shape = tuple(f"axis_{at}" if dim is None else dim for at, dim in enumerate(arg.shape))
    return TensorSpec(name=arg.name, dtype=BY_ORT[arg.type], shape=shape)
