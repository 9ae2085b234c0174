import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runtime.contract.dtypes import DTYPES
from runtime.contract.errors import PackageDamaged
from runtime.contract.package import VerifiedPackage, read_package
from runtime.engine.queue import Queue
from runtime.engine.repository import Repository, version_key
from runtime.engine.selftest import self_test
from runtime.engine.session import Cancellation, SessionSettings, load_model
from runtime.errors import (
    ModelNotReady,
    Overloaded,
    ProviderMissing,
    RefusedByModel,
    SelfTestFailed,
    UnknownModel,
)
from tests.support.packages import identity_model, make_package
from tests.support.slow_model import slow_model

ONE = SessionSettings(threads=1)


def repository(*paths: Path) -> Repository:
    made = Repository(paths, lambda: ONE)
    made.load()
    return made


# --- load, self-test, run


def test_verified_package_answers_its_own_test_data(tmp_path: Path) -> None:
    model = load_model(make_package(tmp_path / "iris"), ONE)
    assert self_test(model) == 2
    assert model.providers == ("CPUExecutionProvider",)
    outputs = model.run({"X": np.zeros((2, 4), "f4")}, ["probabilities"])
    assert list(outputs) == ["probabilities"]
    assert outputs["probabilities"].shape == (2, 3)


def test_zero_rows_are_answered(tmp_path: Path) -> None:
    model = load_model(make_package(tmp_path / "iris"), ONE)
    assert model.run({"X": np.zeros((0, 4), "f4")})["label"].shape == (0,)


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_every_type_passes_its_self_test(tmp_path: Path, dtype: str) -> None:
    facts = DTYPES[dtype]
    values = np.array([[0, 1], [1, 0]], dtype=facts.numpy if dtype != "BYTES" else object)
    values = values.astype(str).astype(object) if dtype == "BYTES" else values
    package = make_package(tmp_path / "p", identity_model(facts.onnx), inputs={"x": values})
    model = load_model(package, ONE)
    assert self_test(model) == 2
    np.testing.assert_array_equal(model.run({"x": values})["y"], values)


def test_wrong_answers_are_named_with_output_place_and_both_values(tmp_path: Path) -> None:
    model = load_model(make_package(tmp_path / "iris", wrong_answers=True), ONE)
    with pytest.raises(SelfTestFailed) as caught:
        self_test(model)
    assert caught.value.code == "E-SELF-TEST"
    assert "'iris' on CPUExecutionProvider failed: test_data_set_0: output 'probabilities' at [0, " in (
        caught.value.message
    )
    assert "expected" in caught.value.message
    assert "package it again" in caught.value.hint
    assert caught.value.detail["provider"] == "CPUExecutionProvider"


def test_required_provider_that_is_absent_stops_the_load(tmp_path: Path) -> None:
    settings = SessionSettings(threads=1, require=("TensorrtExecutionProvider",))
    with pytest.raises(ProviderMissing) as caught:
        load_model(make_package(tmp_path / "iris"), settings)
    assert caught.value.code == "E-PROVIDER"
    assert caught.value.message.startswith("TensorrtExecutionProvider must be used and cannot be")
    assert "DRAY_REQUIRE_PROVIDERS" in caught.value.hint
    assert caught.value.detail["missing"] == ["TensorrtExecutionProvider"]


def test_preferred_provider_that_is_absent_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = SessionSettings(threads=1, providers=("TensorrtExecutionProvider",))
    model = load_model(make_package(tmp_path / "iris"), settings)
    assert model.providers == ("CPUExecutionProvider",)
    assert "TensorrtExecutionProvider is not in this onnxruntime" in caplog.text


def test_model_changed_after_reading_is_not_loaded(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris")
    other = make_package(tmp_path / "other", identity_model(TensorProto.FLOAT), inputs={"x": np.ones((5, 2), "f4")})
    package.model_path.write_bytes(other.model_path.read_bytes())
    with pytest.raises(PackageDamaged, match=r"model\.onnx .* was changed after the package was read"):
        load_model(package, ONE)


def external_package(tmp_path: Path) -> VerifiedPackage:
    """A package whose weights are in a file beside the model."""
    from packager.core.conversion import ConversionResult, TestCase
    from packager.pack import write_package
    from runtime.contract.certificate import BatchSafety
    from runtime.contract.manifest import OnnxInfo, Signature, SourceInfo, TensorSpec
    from runtime.contract.package import file_sha256

    weights = numpy_helper.from_array(np.arange(1024, dtype="f4").reshape(2, 512), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 512])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    work = tmp_path / "work"
    work.mkdir()
    onnx.save_model(model, work / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    x = np.ones((1, 2), "f4")
    y = x @ numpy_helper.to_array(weights)
    case = TestCase(
        (numpy_helper.from_array(x, "x").SerializeToString(),), (numpy_helper.from_array(y, "y").SerializeToString(),)
    )
    sha256 = file_sha256(work / "model.onnx")
    result = ConversionResult(
        onnx_path=work / "model.onnx",
        external_data=("weights.bin",),
        source=SourceInfo(framework="onnx", framework_version="1", filename="m.onnx", sha256=sha256),
        onnx=OnnxInfo(
            path="model.onnx",
            opset=18,
            domains={},
            ir_version=10,
            sha256=sha256,
            size_bytes=1,
            external_data=("weights.bin",),
        ),
        signature=Signature(
            inputs=(TensorSpec(name="x", dtype="FP32", shape=("batch", 2)),),
            outputs=(TensorSpec(name="y", dtype="FP32", shape=("batch", 512)),),
            batch_dim="batch",
        ),
        labels=None,
        test_cases=(case,),
        reference="self",
        parity=None,
        batch_safety=BatchSafety(batchable=False, reason="not tried"),
        versions={},
    )
    return write_package(result, tmp_path / "external", name="external", version="1")


def test_weights_beside_the_model_are_loaded_from_verified_bytes(tmp_path: Path) -> None:
    model = load_model(external_package(tmp_path), ONE)
    assert self_test(model) == 1


def test_weights_changed_after_reading_are_not_loaded(tmp_path: Path) -> None:
    package = external_package(tmp_path)
    (package.root / "weights.bin").write_bytes(bytes(4096))
    with pytest.raises(PackageDamaged, match=r"weights\.bin"):
        load_model(package, ONE)


def gather_model() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(np.arange(3, dtype="f4"), "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_values_that_the_model_stops_at_are_refused_in_one_line(tmp_path: Path) -> None:
    good = np.zeros((5, 2), "i8")
    model = load_model(make_package(tmp_path / "g", gather_model(), inputs={"x": good}), ONE)
    with pytest.raises(RefusedByModel) as caught:
        model.run({"x": np.full((1, 2), 99)})
    assert caught.value.code == "E-MODEL-REFUSED"
    assert "99" in caught.value.message
    assert "\n" not in caught.value.message
    assert "signature" in caught.value.hint


def test_cancelled_run_stops_early(tmp_path: Path) -> None:
    package = make_package(tmp_path / "slow", slow_model(), inputs={"x": np.zeros((5, 2), "f4")})
    model = load_model(package, ONE)
    cancellation = Cancellation()
    timer = threading.Timer(0.1, cancellation.cancel)
    timer.start()
    with pytest.raises(RefusedByModel, match="terminate"):
        model.run({"x": np.full((1, 2), 1e9, "f4")}, cancellation=cancellation)
    timer.join()


def test_run_cancelled_before_it_began_does_not_begin(tmp_path: Path) -> None:
    model = load_model(make_package(tmp_path / "iris"), ONE)
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(RefusedByModel, match="terminate"):
        model.run({"X": np.zeros((1, 4), "f4")}, cancellation=cancellation)


# --- repository


def test_ready_only_after_every_model_is(tmp_path: Path) -> None:
    unloaded = Repository((make_package(tmp_path / "iris").root,), lambda: ONE)
    assert unloaded.state == "starting"
    with pytest.raises(ModelNotReady) as caught:
        unloaded.find("iris")
    assert caught.value.code == "E-NOT-READY"
    assert "being loaded" in caught.value.message
    assert caught.value.hint
    unloaded.load()
    assert unloaded.state == "ready"
    assert unloaded.find("iris").manifest.name == "iris"


def test_failed_package_leaves_the_others_answering(tmp_path: Path) -> None:
    good, bad = make_package(tmp_path / "a", name="a"), make_package(tmp_path / "b", name="b", wrong_answers=True)
    both = repository(good.root, bad.root)
    assert both.state == "failed"
    assert both.find("a").manifest.name == "a"
    with pytest.raises(ModelNotReady) as caught:
        both.find("b")
    assert caught.value.detail["cause"] == "E-SELF-TEST"


def test_highest_version_answers_unless_one_is_named(tmp_path: Path) -> None:
    roots = [make_package(tmp_path / version, version=version).root for version in ("2", "10", "9")]
    all_three = repository(*roots)
    assert all_three.state == "ready"
    assert all_three.find("iris").manifest.version == "10"
    assert all_three.find("iris", "2").manifest.version == "2"


def test_unknown_model_or_version_is_named_with_what_is_served(tmp_path: Path) -> None:
    one = repository(make_package(tmp_path / "iris").root)
    with pytest.raises(UnknownModel) as caught:
        one.find("churn")
    assert caught.value.code == "E-NO-MODEL"
    assert caught.value.message == "no model 'churn' is served here; served: iris 1"
    with pytest.raises(UnknownModel, match="no model 'iris' version '2'"):
        one.find("iris", "2")


def test_two_packages_of_one_name_and_version_are_refused(tmp_path: Path) -> None:
    twice = repository(make_package(tmp_path / "a").root, make_package(tmp_path / "b").root)
    error = twice.slots[1].error
    assert error is not None
    assert error.code == "E-DUPLICATE-MODEL"
    assert "are both 'iris' version '1'" in error.message
    assert "--version" in error.hint
    assert twice.state == "failed"


def test_package_that_cannot_be_read_fails_without_a_name(tmp_path: Path) -> None:
    absent = repository(tmp_path / "absent")
    assert absent.slots[0].error is not None
    assert absent.slots[0].error.code == "E-PACKAGE-MISSING"
    assert absent.state == "failed"


def test_unforeseen_failure_ends_in_failed_not_in_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Repository((make_package(tmp_path / "iris").root,), lambda: ONE)
    monkeypatch.setattr("runtime.engine.bring_up.load_model", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken.load()
    assert broken.state == "failed"
    assert broken.slots[0].error is not None
    assert broken.slots[0].error.code == "E-LOAD"


def test_versions_sort_as_people_read_them() -> None:
    assert sorted(["10", "9", "1.10", "1.9", "2-rc1", "2"], key=version_key) == ["1.9", "1.10", "2", "2-rc1", "9", "10"]


def test_package_read_for_serving_is_the_one_that_was_made(tmp_path: Path) -> None:
    made = make_package(tmp_path / "iris")
    assert read_package(made.root).digest == repository(made.root).find("iris").package.digest


# --- queue


def test_one_request_more_than_the_limit_is_refused() -> None:
    queue = Queue(limit=1, threads=1)
    with queue.enter():
        with pytest.raises(Overloaded) as caught:
            queue.enter()
        assert caught.value.code == "E-OVERLOADED"
        assert caught.value.message == "as many requests as are allowed at a time are being answered: 1"
        assert "DRAY_MAX_QUEUE" in caught.value.hint
    with queue.enter():
        assert queue.taken == 1
    assert queue.taken == 0


def test_place_is_taken_until_an_abandoned_run_has_ended() -> None:
    queue, release = Queue(limit=1, threads=1), threading.Event()

    async def abandon() -> None:
        with queue.enter() as place:
            async with asyncio.timeout(0.05):
                await place.run(lambda _: release.wait(10))

    with pytest.raises(TimeoutError):
        asyncio.run(abandon())
    assert queue.taken == 1
    release.set()
    deadline = time.monotonic() + 10
    while queue.taken and time.monotonic() < deadline:
        time.sleep(0.01)
    assert queue.taken == 0
    queue.close()


def test_caller_that_gives_up_stops_its_run() -> None:
    queue, stopped = Queue(limit=1, threads=1), threading.Event()

    def work(cancellation: Cancellation) -> None:
        while not cancellation.run_options().terminate:
            time.sleep(0.005)
        stopped.set()

    async def give_up() -> None:
        with queue.enter() as place:
            async with asyncio.timeout(0.05):
                await place.run(work)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert stopped.wait(10)
    queue.close()
