"""Packages with a circuit, made in milliseconds: its integers are real, its simulation is a file that nobody loads."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from packager.core.artifact import ModelPackage
from packager.core.conversion import CircuitForm, ConversionResult, TestCase
from packager.core.image import Platform
from packager.pack import write_package
from packager.transform.circuit import reference
from packager.transform.circuit.compile import answers
from packager.transform.circuit.ends import to_circuit
from packager.transform.circuit.fixing import Widths, fixed
from packager.transform.circuit.frontend import Cut, cut
from packager.transform.circuit.ir import Circuit
from runtime.contract.circuit import SIMULATIONS, CircuitEvidence, CircuitModel, CircuitPort, Resources, Simulation
from runtime.contract.manifest import OutputTolerance
from runtime.contract.package import file_sha256
from runtime.contract.transformation import OutputAgreement
from tests.support.circuits import mlp
from tests.support.packages import conversion_of

HERE = str(Platform.here())
SIZES = (4, 3, 2)


def unbuilt_package(
    out: Path,
    *,
    bits: int = 8,
    seed: int = 0,
    version: str = "1",
    platforms: Sequence[str] = (HERE,),
    agreement: float = 0.9917,
) -> ModelPackage:
    """A package of the smallest network: its test data are the answers of the integer reference."""
    model = mlp(SIZES, seed=seed)
    feeds = {"x": np.random.default_rng(1).normal(size=(5, SIZES[0])).astype(np.float32)}
    parts = cut(model)
    circuit = fixed(parts.network, to_circuit(parts, feeds), Widths.of(bits))
    with conversion_of(model, inputs=feeds) as result:
        folder = result.onnx_path.parent / "form"
        form = CircuitForm(
            _written(folder, parts, circuit, reference.quantise(to_circuit(parts, feeds), circuit.format), bits),
            _evidence(folder, platforms, agreement),
            folder,
        )
        cases = tuple(_case(parts, circuit, {"x": feeds["x"][:rows]}) for rows in (1, 5))
        exact = {"probabilities": OutputTolerance(atol=0, rtol=0)}
        made: ConversionResult = replace(result, test_cases=cases, tolerances=exact, circuit=form)
        return write_package(made, out, name="net", version=version)


def _case(parts: Cut, circuit: Circuit, feeds: dict[str, np.ndarray]) -> TestCase:
    found = answers(parts, circuit, feeds)
    sides = [{"x": feeds["x"]}, {"probabilities": found["probabilities"]}]
    inputs, outputs = (
        tuple(numpy_helper.from_array(value, name).SerializeToString() for name, value in side.items())
        for side in sides
    )
    return TestCase(inputs, outputs)


def _written(folder: Path, parts: Cut, circuit: Circuit, asked: np.ndarray, bits: int) -> CircuitModel:
    project = folder / "circuit" / "project"
    (project / "constraints").mkdir(parents=True)
    (project / "vivado.tcl").write_text("create_project net_stream vivado -part xcvu13p-flga2577-2-e -force\n")
    (project / "constraints" / "net.xdc").write_text("create_clock -name clk -period 5 [get_ports clk]\n")
    assert parts.after is not None
    onnx.save(parts.after, folder / "circuit" / "after.onnx")
    np.save(folder / "circuit" / "asked.npy", asked)
    np.save(folder / "circuit" / "answered.npy", reference.run(circuit, asked))
    taken, given = circuit.format, circuit.answer
    return CircuitModel(
        name="net",
        bits=bits,
        input=CircuitPort(
            tensor=parts.entry, shape=(SIZES[0],), bits=taken.bits, signed=taken.signed, fraction=taken.fraction
        ),
        output=CircuitPort(
            tensor=parts.exit, shape=(SIZES[-1],), bits=given.bits, signed=given.signed, fraction=given.fraction
        ),
        after="circuit/after.onnx",
        project="circuit/project",
        part="xcvu13p-flga2577-2-e",
        clock_ns=5.0,
        asked="circuit/asked.npy",
        answered="circuit/answered.npy",
        latency_cycles=3,
    )


def _evidence(folder: Path, platforms: Sequence[str], agreement: float) -> CircuitEvidence:
    (folder / SIMULATIONS).mkdir()
    return CircuitEvidence(
        agreement={"probabilities": OutputAgreement(rows=120, agreement=agreement, measures={"classes": agreement})},
        min_agreement=0.98,
        calibration_rows=60,
        tried={"8": agreement},
        compared=120,
        cycles=123,
        mutants=20,
        caught=20,
        resources=(
            Resources(by="alkaid (estimate)", luts=1234),
            Resources(by="yosys 0.64 synth_xilinx (synthesised, not placed)", luts=1300, flip_flops=400),
        ),
        simulations=tuple(_simulation(folder, name) for name in platforms),
    )


def _simulation(folder: Path, name: str) -> Simulation:
    path = f"{SIMULATIONS}/{name.replace('/', '-')}.so"
    (folder / path).write_bytes(f"no library, for {name}".encode())
    return Simulation(platform=name, path=path, sha256=file_sha256(folder / path), made_by={"verilator": "5.48.0"})
