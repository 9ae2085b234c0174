"""A model on an NVIDIA card, where there is one: proven by its self-test there, or not served."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from runtime.contract.package import VerifiedPackage, read_package
from runtime.engine.selftest import self_test
from runtime.engine.session import SessionSettings, load_model
from runtime.errors import ProviderMissing, SelfTestFailed
from tests.support.packages import make_package
from tests.support.servers import running_server

CUDA = "CUDAExecutionProvider"
ON_CUDA = SessionSettings(threads=1, providers=(CUDA,), require=(CUDA,))


def network() -> onnx.ModelProto:
    """``image`` [batch, 3, 32, 32] → ``scores`` [batch, 10]: convolutions and a product that TF32 would round."""
    rng = np.random.default_rng(0)
    weights = {
        "c1": rng.normal(size=(64, 3, 3, 3)) / 5,
        "c2": rng.normal(size=(64, 64, 3, 3)) / 24,
        "w": rng.normal(size=(64 * 32 * 32, 10)) / 64,
    }
    nodes = [
        helper.make_node("Conv", ["image", "c1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "c2"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "w"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value.astype("f4"), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> VerifiedPackage:
    images = np.random.default_rng(1).normal(size=(8, 3, 32, 32)).astype("f4")
    folder = tmp_path_factory.mktemp("cuda") / "net"
    return read_package(make_package(folder, network(), name="net", inputs={"image": images}).root)


@pytest.fixture
def card(package: VerifiedPackage) -> None:
    """Skips where this onnxruntime has no CUDA, or this machine no card."""
    if CUDA not in ort.get_available_providers():
        pytest.skip("this onnxruntime is built without CUDA")
    try:
        load_model(package, ON_CUDA)
    except ProviderMissing as error:
        pytest.skip(f"no NVIDIA card: {error.message}")


@pytest.mark.usefixtures("card")
def test_the_self_test_passes_on_the_card(package: VerifiedPackage) -> None:
    model = load_model(package, ON_CUDA)
    assert model.providers[0] == CUDA
    assert self_test(model) == 2


@pytest.mark.usefixtures("card")
def test_tf32_would_not_pass(package: VerifiedPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.engine.providers._DEFAULT_OPTIONS", {CUDA: {"use_tf32": "1"}})
    with pytest.raises(SelfTestFailed, match=CUDA):
        self_test(load_model(package, ON_CUDA))


@pytest.mark.usefixtures("card")
def test_a_server_on_the_card_answers_as_the_source_did(package: VerifiedPackage, tmp_path: Path) -> None:
    on_cpu = load_model(package, replace(ON_CUDA, providers=(), require=()))
    images = np.random.default_rng(2).normal(size=(24, 3, 32, 32)).astype("f4")
    expected = on_cpu.run({"image": images})["scores"]
    with (
        running_server(package.root, log=tmp_path / "log", DRAY_PROVIDERS=CUDA, DRAY_REQUIRE_PROVIDERS=CUDA) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
        ThreadPoolExecutor(8) as together,
    ):

        def ask(at: int) -> list[float]:
            tensor = {"name": "image", "shape": [1, 3, 32, 32], "datatype": "FP32", "data": images[at].ravel().tolist()}
            answer = client.post("/v2/models/net/infer", json={"inputs": [tensor]}).raise_for_status().json()
            values: list[float] = answer["outputs"][0]["data"]
            return values

        answers = np.array(list(together.map(ask, range(24))))
        told = client.get("/v2/models/net").json()
        metrics = client.get("/metrics").text

    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-4)
    assert told["parameters"]["providers"][0] == CUDA
    assert f'provider="{CUDA}"' in metrics


def test_without_a_card_a_required_one_stops_the_start(package: VerifiedPackage, tmp_path: Path) -> None:
    settings = {"DRAY_REQUIRE_PROVIDERS": CUDA, "CUDA_VISIBLE_DEVICES": "-1"}
    with running_server(package.root, log=tmp_path / "log", until=("failed",), **settings) as server:
        body = server.readiness()
    assert "E-PROVIDER" in str(body)
    assert CUDA in str(body)
