"""A small network all the way: from ONNX to a simulated circuit that answers as the reference, bit for bit."""

import re
from pathlib import Path

import numpy as np
import pytest

from packager.core.errors import CircuitTimeout, CircuitTooLarge, GateFailed
from packager.transform.circuit.compile import Asked, answers, compiled
from packager.transform.circuit.ends import run_model
from packager.transform.circuit.project import Device, project_files, write_project
from tests.support.circuits import mlp

FEEDS = {"x": np.random.default_rng(5).normal(size=(120, 6)).astype(np.float32)}


@pytest.mark.slow
def test_a_small_network_becomes_a_verified_circuit(tmp_path: Path) -> None:
    steps: list[str] = []
    found = compiled(mlp(), FEEDS, "small", Asked(break_rtl=True), tmp_path / "cache", on_step=steps.append)
    assert found.agreement >= 0.98
    assert found.verified.rows == 120 + 64 + 2
    # A row in each cycle: all of them take as long as the first, and a cycle each.
    assert found.verified.cycles == found.verified.first + found.verified.rows
    assert found.verified.broken_rtl is True
    assert found.verified.caught >= 0.9 * found.verified.mutants
    expected = run_model(mlp(), FEEDS)["probabilities"].argmax(axis=1)
    agreed = answers(found.cut, found.circuit, FEEDS)["probabilities"].argmax(axis=1) == expected
    assert agreed.mean() == pytest.approx(found.agreement, abs=1e-5)
    assert any(re.search(r"tracing the circuit at \d+ bits", step) for step in steps)


@pytest.mark.slow
def test_a_project_folder_holds_all_that_the_vendors_tool_reads(tmp_path: Path) -> None:
    found = compiled(mlp(), FEEDS, "small", Asked(bits=4, min_agreement=0), tmp_path / "cache")
    write_project(tmp_path / "project", project_files(found.rtl, Device(), {"bits": "4"}))
    script = (tmp_path / "project/vivado.tcl").read_text()
    assert "set_property top dray_small_stream" in script
    assert {path.name for path in (tmp_path / "project/src").glob("*.v")} >= {"dray_small_stream.v", "dray_small.v"}
    read_me = (tmp_path / "project/README.md").read_text()
    assert "has not run on a device" in read_me
    assert "`vivado -mode batch -source vivado.tcl`" in read_me
    again = compiled(mlp(), FEEDS, "small", Asked(bits=4, min_agreement=0), tmp_path / "cache")
    assert again.rtl.sources == found.rtl.sources


def test_a_circuit_that_would_be_too_large_is_refused_before_it_is_traced(tmp_path: Path) -> None:
    steps: list[str] = []
    with pytest.raises(CircuitTooLarge, match="100 are the most"):
        compiled(mlp(), FEEDS, "small", Asked(max_luts=100), tmp_path, on_step=steps.append)
    assert steps == []


@pytest.mark.needs("g++")
def test_a_build_that_takes_too_long_is_no_unfaithful_circuit(tmp_path: Path) -> None:
    with pytest.raises(CircuitTimeout, match=r"was not built within 0\.01 s") as caught:
        compiled(mlp(), FEEDS, "small", Asked(bits=3, min_agreement=0), tmp_path, timeout_s=0.01)
    assert "--timeout" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_too_few_bits_are_refused_with_the_agreement_they_gave(tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match=r"at 2 bits .* agrees .* on \d") as caught:
        compiled(mlp(), FEEDS, "small", Asked(bits=2, min_agreement=1.0), tmp_path)
    assert set(caught.value.detail["tried"]) == {"2"}
    assert "more bits" in (caught.value.hint or "")


def test_where_no_width_agrees_the_samples_are_pointed_at_and_not_the_bits(tmp_path: Path) -> None:
    strange = {name: rows.copy() for name, rows in FEEDS.items()}
    next(iter(strange.values()))[0, 0] = 1e30
    with pytest.raises(GateFailed, match=r"at \d+ bits, the best of 4 to 12, .* agrees") as caught:
        compiled(mlp(), strange, "small", Asked(), tmp_path)
    assert "values far from all others" in (caught.value.hint or "")
    assert "--bits" not in (caught.value.hint or "")
