"""``dray package --circuit``, with the smallest network: what stands in the package, and what refuses it."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from packager import package
from packager.cli.run import run
from packager.core.errors import CircuitRefused, CircuitTooLarge, GateFailed, NotWritable, SampleError
from packager.core.progress import SilentProgress
from runtime.contract.circuit import CircuitPort
from runtime.contract.package import read_package
from runtime.contract.tensors import load_tensor
from tests.support.circuits import mlp

pytestmark = pytest.mark.needs("g++")
ROWS = np.random.default_rng(5).normal(size=(60, 4)).astype(np.float32)


def shaped(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shape of its output, as the checker wants it."""
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3]))
    return model


def write_model(folder: Path, model: onnx.ModelProto) -> Path:
    """The model, its rows, and the labels that it gives them itself: all are right before."""
    path = folder / "small.onnx"
    path.write_bytes(shaped(model).SerializeToString())
    np.save(folder / "rows.npy", ROWS)
    answers = ort.InferenceSession(str(path)).run(None, {"x": ROWS})[0]
    np.save(folder / "truth.npy", answers.argmax(axis=1))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and a package with its circuit, as the command line makes it."""
    folder = tmp_path_factory.mktemp("circuit")
    model = write_model(folder, mlp((4, 3, 3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRAY_HOME", str(folder / "home"))
        given = ["--samples", f"{folder}/rows.npy", "--truth", f"{folder}/truth.npy", "--out", f"{folder}/package"]
        asked = ["--circuit", "--bits", "4", "--min-agreement", "0.5", "--part", "xc7a35t", "--clock-ns", "8"]
        assert run(["package", str(model), *given, *asked, "--version", "1", "-q"]) == 0
    return folder


def held(values: np.ndarray, port: CircuitPort) -> np.ndarray:
    """Integers of a port for numbers, as the contract has it."""
    low, high = (-(1 << (port.bits - 1)), (1 << (port.bits - 1)) - 1) if port.signed else (0, (1 << port.bits) - 1)
    return np.clip(np.floor(np.ldexp(values.astype(np.float64), port.fraction) + 0.5), low, high).astype(np.int64)


@pytest.mark.slow
def test_the_test_data_are_the_integer_answers_through_the_hosts_parts(made: Path) -> None:
    found = read_package(made / "package")
    circuit = found.manifest.circuit
    assert circuit is not None
    asked, answered = (np.load(found.root / path) for path in (circuit.asked, circuit.answered))
    assert asked.dtype == np.int8
    known = {row.tobytes(): answer for row, answer in zip(asked.astype(np.int64), answered, strict=True)}
    after = ort.InferenceSession(found.root / str(circuit.after))
    for case in found.test_data_sets():
        rows = np.frombuffer(case.inputs[0].values, np.float32).reshape(case.inputs[0].shape)
        integers = np.stack([known[row.tobytes()] for row in held(rows, circuit.input)])
        scores = np.ldexp(integers.astype(np.float64), -circuit.output.fraction).astype(np.float32)
        expected = load_tensor(found.read_content(f"{case.name}/output_0.pb"))
        assert after.run(None, {circuit.output.tensor: scores})[0].tobytes() == expected.values


@pytest.mark.slow
def test_the_certificate_tells_what_was_found(made: Path) -> None:
    found = read_package(made / "package")
    circuit = found.certificate.circuit
    assert circuit is not None
    assert circuit.accuracy is not None
    assert (circuit.accuracy.before, circuit.accuracy.rows) == (1.0, 60)
    assert 0.5 <= circuit.accuracy.after < 1  # three bits and a sign lose something
    assert circuit.accuracy.after == pytest.approx(circuit.agreement["probabilities"].measures["classes"], abs=1e-5)
    assert (circuit.compared, circuit.calibration_rows, circuit.broken_rtl) == (60 + 64 + 2, 30, True)
    assert circuit.caught >= 0.9 * circuit.mutants > 0
    assert [each.by.split()[0] for each in circuit.resources] == ["alkaid", "dray"]
    assert set(circuit.simulations[0].made_by) == {"alkaid", "verilator", "g++"}
    assert {"alkaid", "verilator"} <= set(found.certificate.versions)
    constraints = (found.root / "circuit/project/constraints/dray_small_stream.xdc").read_text()
    assert "-period 8 " in constraints
    assert "-part xc7a35t" in (found.root / "circuit/project/vivado.tcl").read_text()


@pytest.mark.slow
def test_inspect_shows_the_circuit_as_text_and_as_json(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(made / "package")]) == 0
    told = capsys.readouterr().out
    assert "accuracy     1.0000 -> " in told
    assert "not synthesised, not run on a device" in told
    assert "LUT, " in told
    assert f"project      {made}/package/circuit/project" in told
    assert run(["inspect", str(made / "package"), "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["circuit"]["bits"] == 4
    assert document["certificate"]["circuit"]["mutants"] > 0


@pytest.mark.slow
def test_a_simulation_that_was_changed_is_refused(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((made / "package/simulation").glob("*.so"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        assert run(["inspect", str(made / "package")]) == 3
    finally:
        path.write_bytes(whole)
    told = capsys.readouterr().err
    assert f"changed: simulation/{path.name}" in told


@pytest.mark.slow
def test_the_same_model_is_the_same_content(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_HOME", str(made / "home"))  # with what was built before
    again = package(
        made / "small.onnx", samples=ROWS, truth=np.load(made / "truth.npy"), circuit=True, bits=4, min_agreement=0.5,
        part="xc7a35t", clock_ns=8.0, out=made / "again", name="small", version="1",
    )  # fmt: skip
    assert again.digest == read_package(made / "package").digest
    assert again.circuit is not None
    assert again.circuit.project == str(made / "again/circuit/project")


@pytest.mark.parametrize(
    ("truth", "message"),
    [(np.arange(59) % 3, "holds 59 labels, and there are 60 samples"), (np.full(60, 7), "holds the label '7', which")],
)
def test_a_truth_about_something_else_is_refused_before_anything_slow(
    tmp_path: Path, truth: np.ndarray, message: str
) -> None:
    model = write_model(tmp_path, mlp((4, 3, 3)))
    with pytest.raises(SampleError, match=message) as caught:
        package(model, samples=ROWS, truth=truth, circuit=True, out=tmp_path / "p")
    assert caught.value.hint
    assert not (tmp_path / "p").exists()


def test_too_large_a_network_is_refused_before_it_is_compared(tmp_path: Path) -> None:
    steps: list[str] = []
    told = SilentProgress()
    told.step = steps.append  # type: ignore[method-assign]
    with pytest.raises(CircuitTooLarge, match="10 are the most"):
        package(write_model(tmp_path, mlp((4, 3, 3))), circuit=True, max_luts=10, out=tmp_path / "p", progress=told)
    assert "comparing ONNX Runtime with the source" not in steps


def test_a_gate_that_no_width_passes_leaves_no_package(tmp_path: Path) -> None:
    model = write_model(tmp_path, mlp((4, 3, 3)))
    with pytest.raises(GateFailed, match=r"at 2 bits"):
        package(model, samples=ROWS, circuit=True, bits=2, min_agreement=1.0, out=tmp_path / "p")
    assert not (tmp_path / "p").exists()


@pytest.mark.slow
def test_a_model_of_a_fixed_number_of_rows_becomes_a_circuit_of_rows(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAY_HOME", str(made / "home"))  # it is the same circuit
    model = shaped(mlp((4, 3, 3)))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    (tmp_path / "small.onnx").write_bytes(model.SerializeToString())
    package(tmp_path / "small.onnx", samples=ROWS, circuit=True, bits=4, min_agreement=0.5, out=tmp_path / "p")
    fixed, free = (read_package(root) for root in (tmp_path / "p", made / "package"))
    assert fixed.manifest.signature.inputs[0].shape == (1, 4)
    assert [case.inputs[0].shape for case in fixed.test_data_sets()] == [(1, 4)]
    for name in ("asked", "answered"):
        assert fixed.read_content(f"circuit/{name}.npy") == free.read_content(f"circuit/{name}.npy")


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path, state_folder: Path) -> None:
    (state_folder / "cache").touch()
    with pytest.raises(NotWritable, match="circuits"):
        package(write_model(tmp_path, mlp((4, 3, 3))), samples=ROWS, circuit=True, bits=8, out=tmp_path / "p")


def test_a_model_whose_inputs_share_no_rows_is_refused(tmp_path: Path) -> None:
    model = shaped(mlp((4, 3, 3)))
    model.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [2, 3]))
    (tmp_path / "small.onnx").write_bytes(model.SerializeToString())
    np.savez(tmp_path / "rows.npz", x=ROWS, b=ROWS[:2, :3])
    with pytest.raises(CircuitRefused, match="share no rows"):
        package(tmp_path / "small.onnx", samples=tmp_path / "rows.npz", circuit=True, out=tmp_path / "p")
