"""Packages with a circuit, made of what the compiler gives, by hand: the smallest network, built once."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from packager.core.artifact import ModelPackage
from packager.core.conversion import CircuitForm, ConversionResult, TestCase
from packager.core.errors import DrayError
from packager.pack import write_package
from packager.transform.circuit import reference
from packager.transform.circuit.compile import Asked, Compiled, answers, compiled
from packager.transform.circuit.ends import to_circuit
from packager.transform.circuit.files import write_circuit, write_simulation
from packager.transform.circuit.project import Device
from runtime.contract.certificate import CERTIFICATE_NAME, Certificate
from runtime.contract.circuit import CircuitEvidence, Resources, Simulation
from runtime.contract.manifest import MANIFEST_NAME, ModelManifest, OutputTolerance, content_digest
from runtime.contract.package import file_sha256, hash_content, read_package
from tests.support.absent import absent
from tests.support.packages import conversion_of

FEATURES, CLASSES = 4, 3


def two_inputs_model(seed: int = 1) -> onnx.ModelProto:
    """``a`` FP64 [n, 2] and ``b`` FP32 [n, 2], joined and scaled on the host; a circuit; Softmax and ArgMax."""
    random = np.random.default_rng(seed)
    sizes = (FEATURES, 3, CLASSES)
    weights: dict[str, NDArray[Any]] = {"half": np.asarray([0.5], np.float32)}
    nodes = [
        helper.make_node("Cast", ["a"], ["a32"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["a32", "b"], ["both"], axis=1),
        helper.make_node("Mul", ["both", "half"], ["h"]),
    ]
    last = "h"
    for at, (before, after) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{at}"] = random.normal(size=(before, after)).astype(np.float32)
        weights[f"b{at}"] = random.normal(size=after).astype(np.float32)
        nodes.append(helper.make_node("Gemm", [last, f"w{at}", f"b{at}"], [f"g{at}"]))
        last = f"g{at}"
        if at == 0:
            nodes.append(helper.make_node("Relu", [last], ["r"]))
            last = "r"
    nodes += [
        helper.make_node("Softmax", [last], ["probabilities"], axis=-1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [
            helper.make_tensor_value_info("a", TensorProto.DOUBLE, ["batch", 2]),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, ["batch", 2]),
        ],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def plain_model(seed: int = 0) -> onnx.ModelProto:
    """``x`` FP32 [n, 4] → ``scores`` FP32 [n, 3]: nothing is left to the host."""
    random = np.random.default_rng(seed)
    weights = {"w": random.normal(size=(FEATURES, CLASSES)).astype("f4"), "b": random.normal(size=CLASSES).astype("f4")}
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["scores"])],
        "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def feeds_of(model: onnx.ModelProto, rows: int = 48, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Rows of normal numbers for each input."""
    random = np.random.default_rng(seed)
    kinds = {TensorProto.DOUBLE: "f8", TensorProto.FLOAT: "f4"}
    return {
        one.name: random.normal(size=(rows, one.type.tensor_type.shape.dim[1].dim_value)).astype(
            kinds[one.type.tensor_type.elem_type]
        )
        for one in model.graph.input
    }


def compiled_or_skip(model: onnx.ModelProto, cache: Path, *, bits: int = 4, name: str = "small") -> Compiled:
    """The model's circuit, built; skips where Verilator or a compiler is absent."""
    try:
        return compiled(model, feeds_of(model), name, Asked(bits=bits, min_agreement=0), cache)
    except DrayError as error:
        if "not installed here" in error.message:
            absent(error.message)
        raise


def circuit_package(
    out: Path, made: Compiled, model: onnx.ModelProto, cache: Path, *, name: str = "small", version: str = "1"
) -> ModelPackage:
    """A package of a compiled circuit for this machine's platform."""
    feeds = feeds_of(model)
    with conversion_of(model, inputs=feeds) as result:
        folder = result.onnx_path.parent / "form"
        samples = reference.quantise(to_circuit(made.cut, feeds), made.circuit.format)
        form = CircuitForm(write_circuit(made, samples, Device(), folder), _evidence(made, cache, folder), folder)
        exact = dict.fromkeys(result.signature.output_names, OutputTolerance(atol=0, rtol=0))
        cases = _cases(result, made, feeds)
        whole = replace(result, circuit=form, tolerances=exact, test_cases=cases, labels=None)
        return write_package(whole, out, name=name, version=version)


def expected_of(made: Compiled, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What the integer reference makes of a request, host parts included."""
    return answers(made.cut, made.circuit, feeds)


def _unchanged(manifest: ModelManifest) -> ModelManifest:
    return manifest


def remake(root: Path, change: Callable[[ModelManifest], ModelManifest] = _unchanged) -> None:
    """Manifest and certificate as if the package had been made with the files that are there now."""
    manifest = ModelManifest.model_validate_json((root / MANIFEST_NAME).read_bytes())
    certificate = Certificate.model_validate_json((root / CERTIFICATE_NAME).read_bytes())
    files = {name: digest for name, digest in hash_content(root).items() if name != MANIFEST_NAME}
    (root / MANIFEST_NAME).write_bytes(change(manifest).model_copy(update={"files": files}).to_bytes())
    changed = certificate.model_copy(update={"digest": content_digest(hash_content(root))})
    (root / CERTIFICATE_NAME).write_bytes(changed.sealed().to_bytes())


def replace_simulation(root: Path, content: bytes) -> None:
    """Another library, which the certificate vouches for."""
    package = read_package(root)
    assert package.certificate.circuit is not None
    (simulation,) = package.certificate.circuit.simulations
    path = root / simulation.path
    path.write_bytes(content)
    changed = simulation.model_copy(update={"sha256": file_sha256(path)})
    _write_evidence(root, package, changed)


def rename_platform(root: Path, platform: str) -> None:
    """The only simulation is now one for another platform."""
    package = read_package(root)
    assert package.certificate.circuit is not None
    (simulation,) = package.certificate.circuit.simulations
    _write_evidence(root, package, simulation.model_copy(update={"platform": platform}))


def _write_evidence(root: Path, package: ModelPackage, simulation: Simulation) -> None:
    assert package.certificate.circuit is not None
    evidence = package.certificate.circuit.model_copy(update={"simulations": (simulation,)})
    renewed = package.certificate.model_copy(update={"circuit": evidence}).sealed()
    (root / CERTIFICATE_NAME).write_bytes(renewed.to_bytes())


@pytest.fixture(scope="session")
def circuit_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where simulations are kept, for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if base.name.startswith("popen-") else base) / "circuits"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture(scope="session")
def small_circuit(circuit_cache: Path) -> Compiled:
    """Of ``two_inputs_model``."""
    return compiled_or_skip(two_inputs_model(), circuit_cache)


@pytest.fixture(scope="session")
def small_package(small_circuit: Compiled, circuit_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its package, which nobody may change."""
    out = tmp_path_factory.mktemp("circuit") / "small"
    return circuit_package(out, small_circuit, two_inputs_model(), circuit_cache).root


def _evidence(made: Compiled, cache: Path, folder: Path) -> CircuitEvidence:
    return CircuitEvidence(
        agreement={},
        min_agreement=0.0,
        calibration_rows=24,
        tried={str(made.bits): 1.0},
        compared=made.verified.rows,
        cycles=made.verified.cycles,
        mutants=made.verified.mutants,
        caught=made.verified.caught,
        resources=(Resources(by="alkaid (estimate)", luts=made.luts),),
        simulations=(write_simulation(made, cache, folder),),
    )


def _cases(result: ConversionResult, made: Compiled, feeds: Mapping[str, NDArray[Any]]) -> tuple[TestCase, ...]:
    signature = result.signature
    found = []
    for rows in (1, 5):
        head = {name: value[:rows] for name, value in feeds.items()}
        told = expected_of(made, head)
        sides = [
            [(spec.name, values[spec.name]) for spec in specs]
            for specs, values in ((signature.inputs, head), (signature.outputs, told))
        ]
        taken, given = (
            tuple(
                numpy_helper.from_array(np.ascontiguousarray(value), name).SerializeToString() for name, value in side
            )
            for side in sides
        )
        found.append(TestCase(taken, given))
    return tuple(found)
