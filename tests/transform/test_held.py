"""A quantised package is held to its source's answers when it runs, and a wrong model still fails."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from packager import package
from packager.core.errors import GateFailed
from packager.pipeline import DeployRequest, deploy
from runtime.contract.certificate import CERTIFICATE_NAME, Certificate
from runtime.contract.manifest import MANIFEST_NAME, ModelManifest, content_digest
from runtime.contract.package import hash_content, read_package
from runtime.engine.selftest import self_test
from runtime.engine.session import SessionSettings, load_model
from runtime.errors import SelfTestFailed
from tests.support.command import dray
from tests.support.nets import convolutions, digit_rows, digits_model, embeddings, write_net
from tests.support.servers import running_server

ONE = SessionSettings(threads=1)
Make = Callable[[Path], Path]


def pictures(folder: Path) -> dict[str, Path]:
    return {"samples": digit_rows(folder / "rows.npz", name="x", pictures=True)}


def quantised(make: Make, folder: Path, quantize: str, **options: Path) -> Path:
    folder.mkdir()
    made = package(
        make(folder), out=folder / "p", name="m", version="1", quantize=quantize, min_agreement=0.95, **options
    )
    return Path(made.package)


def digits_net(folder: Path) -> Path:
    return digits_model(folder)


def convolutional(folder: Path) -> Path:
    return convolutions(folder / "net.onnx")


def embedding(folder: Path) -> Path:
    return embeddings(folder / "net.onnx")


def with_other_model(root: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """The package with weights exchanged, and every digest put right again."""
    path = root / "model.onnx"
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    manifest = ModelManifest.model_validate_json((root / MANIFEST_NAME).read_bytes())
    files = {name: sha256 for name, sha256 in hash_content(root).items() if name != MANIFEST_NAME}
    (root / MANIFEST_NAME).write_bytes(manifest.model_copy(update={"files": files}).to_bytes())
    certificate = Certificate.model_validate_json((root / CERTIFICATE_NAME).read_bytes())
    digest = content_digest(hash_content(root))
    (root / CERTIFICATE_NAME).write_bytes(certificate.model_copy(update={"digest": digest}).sealed().to_bytes())
    return root


def shuffle_weights(model: onnx.ModelProto) -> None:
    """The largest weight with its rows in another order."""
    weights = [t for t in model.graph.initializer if t.data_type in {TensorProto.INT8, TensorProto.FLOAT16}]
    largest = max(weights, key=lambda tensor: np.prod(tensor.dims))
    values = numpy_helper.to_array(largest)
    largest.CopyFrom(numpy_helper.from_array(np.random.default_rng(0).permutation(values), largest.name))


def scale_last_weight(model: onnx.ModelProto) -> None:
    """One weight with every other column a third larger."""
    weights = [t for t in model.graph.initializer if t.data_type in {TensorProto.INT8, TensorProto.FLOAT16}]
    last = [tensor for tensor in weights if len(tensor.dims) > 1][-1]
    values = numpy_helper.to_array(last).astype(np.float32)
    values[..., ::2] *= 1.3
    last.CopyFrom(numpy_helper.from_array(values.astype(numpy_helper.to_array(last).dtype), last.name))


CASES = [
    (digits_net, "int8-static"),
    (digits_net, "int8-dynamic"),
    (digits_net, "fp16"),
    (convolutional, "int8-static"),
    (embedding, "int8-dynamic"),
    (embedding, "fp16"),
]


@pytest.mark.parametrize(("make", "quantize"), CASES)
def test_a_quantised_package_passes_its_self_test_and_one_with_other_weights_does_not(
    make: Make, quantize: str, tmp_path: Path
) -> None:
    root = quantised(make, tmp_path / "q", quantize)
    assert self_test(load_model(read_package(root), ONE)) == 3
    for number, change in enumerate((shuffle_weights, scale_last_weight)):
        wrong = with_other_model(shutil.copytree(root, tmp_path / f"wrong{number}"), change)
        with pytest.raises(SelfTestFailed):
            self_test(load_model(read_package(wrong), ONE))


def test_the_runtime_serves_a_quantised_package_and_refuses_it_with_other_weights(tmp_path: Path) -> None:
    root = quantised(convolutional, tmp_path / "q", "int8-static", **pictures(tmp_path))
    with running_server(root, log=tmp_path / "log") as server:
        assert server.readiness()["state"] == "ready"
    wrong = with_other_model(shutil.copytree(root, tmp_path / "wrong"), shuffle_weights)
    with running_server(wrong, log=tmp_path / "log", until=("ready", "failed")) as server:
        body = server.readiness()
    assert (body["state"], body["error_code"]) == ("failed", "E-SELF-TEST")


@pytest.mark.parametrize("quantize", ["int8-static", "int8-dynamic"])
def test_a_quantised_package_is_deployed_and_passes_its_smoke_test(quantize: str, tmp_path: Path) -> None:
    root = quantised(digits_net, tmp_path / "q", quantize, samples=digit_rows(tmp_path / "rows.npz"))
    document = deploy(root, DeployRequest(name="q"))
    try:
        assert document.smoke.passed
        errors = [check.max_abs_error for check in document.smoke.checks if check.max_abs_error is not None]
        assert max(errors) > 1e-4  # held to the source, not to itself
    finally:
        assert dray("delete", "q", "--yes").status == 0


def test_test_data_that_would_pass_any_model_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(16, 1)).astype(np.float32) * 1e-3, "b": np.full(1, 1000, np.float32)}
    path = write_net(
        tmp_path / "flat.onnx",
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        [("x", TensorProto.FLOAT, ["batch", 16])],
        [("y", TensorProto.FLOAT, ["batch", 1])],
        weights,
    )
    with pytest.raises(GateFailed, match="its test data would pass a wrong model"):
        package(path, out=tmp_path / "p", name="m", version="1", quantize="int8-static", min_agreement=0)
    assert not (tmp_path / "p").exists()
