"""A package with a circuit: simulated from verified bytes, bit for bit as the integer reference, by many threads."""

import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from packager.transform.circuit import reference
from packager.transform.circuit.compile import Compiled
from packager.transform.circuit.ir import Format
from packager.transform.circuit.simulator import built
from runtime.contract.circuit import CircuitPort
from runtime.contract.errors import PackageDamaged, PackageInvalid
from runtime.contract.manifest import ModelManifest
from runtime.contract.package import read_package
from runtime.engine.bring_up import bring_up
from runtime.engine.circuit import dequantise, load_circuit, quantise
from runtime.engine.circuit_library import CircuitLibrary, LibraryRefused
from runtime.engine.platforms import this_platform
from runtime.engine.session import Cancellation, OnnxModel, SessionSettings
from runtime.errors import (
    CircuitPlatformMissing,
    InvalidInput,
    ModelLoadFailed,
    ProviderMissing,
    RefusedByModel,
    SelfTestFailed,
)
from tests.support.circuit_packages import (
    circuit_package,
    compiled_or_skip,
    expected_of,
    feeds_of,
    plain_model,
    remake,
    rename_platform,
    replace_simulation,
    two_inputs_model,
)

ONE = SessionSettings(threads=1)
Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def model(small_package: Path) -> OnnxModel:
    return bring_up(read_package(small_package), ONE)[0]


@pytest.fixture(scope="module")
def plain_circuit(circuit_cache: Path) -> Compiled:
    return compiled_or_skip(plain_model(), circuit_cache, name="plain")


@pytest.fixture(scope="module")
def plain(plain_circuit: Compiled, circuit_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    out = tmp_path_factory.mktemp("plain") / "plain"
    package = circuit_package(out, plain_circuit, plain_model(), circuit_cache, name="plain")
    return bring_up(package, ONE)[0]


@pytest.fixture(scope="module")
def other_library(plain_circuit: Compiled, circuit_cache: Path) -> bytes:
    """A simulation of another circuit, whose rows are of the same size."""
    return built(plain_circuit.rtl, circuit_cache).read_bytes()


@pytest.fixture
def own(small_package: Path, tmp_path: Path) -> Path:
    """A copy of the package that the test may change."""
    return Path(shutil.copytree(small_package, tmp_path / "own"))


def rows_of(count: int, seed: int = 7) -> Arrays:
    return feeds_of(two_inputs_model(), count, seed)


def assert_equal(found: Mapping[str, NDArray[Any]], wanted: Mapping[str, NDArray[Any]]) -> None:
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


# --- answers


@pytest.mark.parametrize("count", [0, 1, 5, 256, 257, 700])
def test_any_number_of_rows_is_answered_as_the_reference_does(
    model: OnnxModel, small_circuit: Compiled, count: int
) -> None:
    asked = rows_of(count)
    assert_equal(model.run(asked), expected_of(small_circuit, asked))


def test_outputs_come_by_name_in_the_order_that_was_asked_for(model: OnnxModel, small_circuit: Compiled) -> None:
    asked = rows_of(3)
    found = model.run(asked, ["probabilities"])
    assert_equal(found, {"probabilities": expected_of(small_circuit, asked)["probabilities"]})
    assert list(model.run(asked, ["probabilities", "label"])) == ["probabilities", "label"]


def test_nan_counts_as_zero_and_what_is_too_large_saturates(model: OnnxModel, small_circuit: Compiled) -> None:
    asked = rows_of(6)
    asked["a"][0, 0], asked["a"][1], asked["b"][2, 1] = np.nan, np.inf, -np.inf
    asked["a"][3], asked["b"][4] = 1e300, -3e38
    zero = {name: np.where(np.isnan(value), 0, value) for name, value in asked.items()}
    assert_equal(model.run(asked), expected_of(small_circuit, asked))
    assert_equal(model.run(asked), model.run(zero))


def test_model_that_takes_no_nan_refuses_it_still(own: Path) -> None:
    def strict(manifest: ModelManifest) -> ModelManifest:
        inputs = tuple(one.model_copy(update={"non_finite": "none"}) for one in manifest.signature.inputs)
        return manifest.model_copy(update={"signature": manifest.signature.model_copy(update={"inputs": inputs})})

    remake(own, strict)
    model = bring_up(read_package(own), ONE)[0]
    asked = rows_of(2)
    asked["b"][1, 0] = np.nan
    with pytest.raises(InvalidInput, match="'b' needs finite numbers"):
        model.run(asked)


def test_circuit_without_parts_on_the_host_is_served(plain: OnnxModel, plain_circuit: Compiled) -> None:
    circuit = plain.manifest.circuit
    assert circuit is not None
    assert (circuit.before, circuit.after) == (None, None)
    asked = feeds_of(plain_model(), 9, 3)
    assert_equal(plain.run(asked), expected_of(plain_circuit, asked))


def test_rows_of_another_size_are_refused(plain: OnnxModel) -> None:
    with pytest.raises(RefusedByModel, match=r"\[3\] reach the circuit of 'plain', which takes \[4\]"):
        plain.run({"x": np.zeros((2, 3), "f4")})


@given(
    arrays(np.float64, 20, elements=st.floats(allow_nan=True, allow_infinity=True)),
    st.integers(1, 30),
    st.booleans(),
    st.integers(-1100, 1100),
)
def test_numbers_are_quantised_as_the_reference_does(
    values: NDArray[np.float64], bits: int, signed: bool, fraction: int
) -> None:
    port = CircuitPort(tensor="x", shape=(20,), bits=bits, signed=signed, fraction=fraction)
    held = Format(signed, bits, fraction)
    with np.errstate(over="ignore"):
        wanted = reference.quantise(values, held)
        back = reference.dequantise(wanted, held)
        assert np.array_equal(dequantise(wanted, port), back)
    assert np.array_equal(quantise(values, port), wanted)


def test_many_threads_get_the_references_answers(model: OnnxModel, small_circuit: Compiled) -> None:
    requests = [rows_of(1 + seed % 40, seed) for seed in range(48)]
    wanted = [expected_of(small_circuit, asked) for asked in requests]
    together = threading.Barrier(8)

    def ask(worker: int) -> None:
        together.wait()
        for at in range(worker, len(requests) * 4, 8):
            assert_equal(model.run(requests[at % len(requests)]), wanted[at % len(requests)])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))


def test_cancelled_run_ends_between_two_pieces(model: OnnxModel) -> None:
    cancellation, asked = Cancellation(), rows_of(400_000)
    timer = threading.Timer(0.05, cancellation.cancel)
    timer.start()
    with pytest.raises(RefusedByModel, match="terminate"):
        model.run(asked, cancellation=cancellation)
    timer.join()


# --- what is said of it


def test_what_computes_is_called_a_simulation(model: OnnxModel) -> None:
    assert model.providers == ("rtl-simulation",)
    assert model.placement is not None
    told = model.placement.report()
    assert (told["active"], told["fell_back"]) == ("rtl-simulation", False)
    assert told["summary"] == "the circuit's Verilog, simulated by Verilator on the CPU; no FPGA"


@pytest.mark.parametrize(
    "settings",
    [
        SessionSettings(threads=1, require=("VitisAIExecutionProvider",)),
        SessionSettings(threads=1, providers=("VitisAIExecutionProvider",), fallback="forbid"),
    ],
)
def test_provider_that_has_to_be_used_is_refused(small_package: Path, settings: SessionSettings) -> None:
    with pytest.raises(ProviderMissing, match=r"VitisAI.* cannot be: the package of 'small' holds a circuit") as caught:
        bring_up(read_package(small_package), settings)
    assert caught.value.code == "E-PROVIDER"


def test_provider_that_is_preferred_is_passed_over_aloud(small_package: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = SessionSettings(threads=1, providers=("CUDAExecutionProvider",), require=("CPUExecutionProvider",))
    assert bring_up(read_package(small_package), asked)[0].providers == ("rtl-simulation",)
    assert "CUDAExecutionProvider is not used: the package holds a circuit" in caplog.text


# --- what is refused


def test_platform_without_a_simulation_is_named_with_those_that_have_one(own: Path) -> None:
    rename_platform(own, "linux/s390x")
    with pytest.raises(
        CircuitPlatformMissing, match=f"no simulation for {this_platform()}; it has linux/s390x"
    ) as told:
        bring_up(read_package(own), ONE)
    assert told.value.code == "E-CIRCUIT-PLATFORM"
    assert "dray package MODEL --circuit" in told.value.hint


@pytest.mark.parametrize(("content", "reason"), [(b"no library", "too short|invalid ELF"), (b"", "too short|empty")])
def test_what_is_no_library_is_refused_with_the_reason(own: Path, content: bytes, reason: str) -> None:
    replace_simulation(own, content)
    with pytest.raises(ModelLoadFailed, match=f"simulation/.*cannot be used here: .*({reason})"):
        bring_up(read_package(own), ONE)


def test_library_that_is_no_simulation_is_refused() -> None:
    import _ctypes

    with pytest.raises(LibraryRefused, match=r"simulates no circuit: .*circuit_interface"):
        CircuitLibrary(Path(_ctypes.__file__).read_bytes())


def test_simulation_of_another_circuit_is_refused(own: Path, other_library: bytes) -> None:
    replace_simulation(own, other_library)
    with pytest.raises(SelfTestFailed, match=r"on rtl-simulation failed: circuit/answered.npy: row \d+, output \d+: "):
        bring_up(read_package(own), ONE)


def test_simulation_of_other_ports_is_refused_before_it_is_asked(own: Path) -> None:
    def wider(manifest: ModelManifest) -> ModelManifest:
        assert manifest.circuit is not None
        port = manifest.circuit.input.model_copy(update={"bits": 5})
        return manifest.model_copy(update={"circuit": manifest.circuit.model_copy(update={"input": port})})

    remake(own, wider)
    with pytest.raises(ModelLoadFailed, match="takes 4 integers of 4 bits and gives 3, the manifest has 4 of 5, 3"):
        bring_up(read_package(own), ONE)


def test_library_that_was_changed_is_not_loaded(own: Path) -> None:
    package = read_package(own)
    (library,) = (own / "simulation").iterdir()
    library.write_bytes(library.read_bytes() + b"\0")
    with pytest.raises(PackageDamaged, match="simulation/"):
        read_package(own)
    with pytest.raises(PackageDamaged, match=r"simulation/.* was changed after the package was read"):
        load_circuit(package, ONE)


@pytest.mark.parametrize("answered", ["circuit/answered.npy", "circuit/asked.npy"])
def test_rows_for_the_self_test_are_read_without_running_anything(own: Path, answered: str) -> None:
    with (own / answered).open("wb") as file:
        np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    remake(own)
    with pytest.raises(PackageInvalid, match=f"{answered} of .* cannot be read: .*allow_pickle=False"):
        bring_up(read_package(own), ONE)


def test_wrong_vector_fails_the_self_test_with_row_and_output(own: Path) -> None:
    rows = np.load(own / "circuit/answered.npy")
    rows[17, 2] += 1
    np.save(own / "circuit/answered.npy", rows)
    remake(own)
    with pytest.raises(SelfTestFailed, match=f"row 17, output 2: {rows[17, 2] - 1}, the reference has {rows[17, 2]}"):
        bring_up(read_package(own), ONE)


# --- loaded and let go of


def test_library_is_loaded_anew_each_time_and_leaves_no_file_open(small_package: Path, other_library: bytes) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    (simulation,) = (small_package / "simulation").iterdir()
    small, rows = simulation.read_bytes(), np.arange(8).reshape(2, 4)
    answers = [CircuitLibrary(content).run(rows) for content in (small, other_library)]
    assert not np.array_equal(*answers)
    before = count()
    for _ in range(20):
        libraries = [CircuitLibrary(content) for content in (small, other_library)]
        for library, wanted in zip(libraries, answers, strict=True):
            assert np.array_equal(library.run(rows), wanted)
    assert count() == before


def test_library_that_nobody_uses_is_unloaded(small_package: Path) -> None:
    (simulation,) = (small_package / "simulation").iterdir()
    mapped = Path("/proc/self/maps")
    before = mapped.read_text().count("memfd:circuit")
    library = CircuitLibrary(simulation.read_bytes())
    library.run(np.zeros((1, 4), np.int64))
    assert mapped.read_text().count("memfd:circuit") > before
    del library
    assert mapped.read_text().count("memfd:circuit") == before


def test_where_there_are_no_files_in_memory_a_private_file_does(
    small_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_name: str, _flags: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.memfd_create", refused)
    assert bring_up(read_package(small_package), ONE)[2] == 2
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with pytest.raises(ModelLoadFailed, match=r"Operation not permitted.*; .*No such file"):
        bring_up(read_package(small_package), ONE)
