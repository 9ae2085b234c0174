from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from benchmarks.fpga.__main__ import row_of, write
from benchmarks.fpga.measure import Row, measured
from benchmarks.fpga.pages import COLUMNS, table
from benchmarks.fpga.record import Record
from benchmarks.fpga.subjects import SUBJECTS, Subject
from packager.transform.circuit.ends import run_model
from tests.support.circuits import mlp, model_of

ROWS = np.random.default_rng(5).normal(size=(60, 4)).astype(np.float32)
ROW = Row(
    "net", 4, before=0.9, after=0.8, agreement=0.85, luts={"dray": 1200, "alkaid": 1100}, cycles=7, interval=1,
    compared=126, mutants=20, caught=19, samples_per_s=1e5, seconds={"trace": 0.5, "simulation": 12.0},
)  # fmt: skip


def small(model_rows: np.ndarray = ROWS) -> Subject:
    model = mlp((4, 4, 2))
    truth = run_model(model, {"x": model_rows})["probabilities"].argmax(axis=1)
    return Subject("net", "a network", model, model_rows, truth)


@pytest.mark.slow
def test_a_row_tells_what_the_circuit_lost_and_what_was_compared(tmp_path: Path) -> None:
    row = measured(small(), 4, tmp_path, synthesize=False)
    assert row.before == 1.0
    assert row.after == pytest.approx(row.agreement, abs=1e-4)  # the truth is the model's own answer
    assert set(row.luts) == {"dray", "alkaid"}
    assert (row.interval, row.compared, row.flip_flops) == (1, 60 + 64 + 2, None)
    assert row.caught is not None
    assert row.caught > 0
    assert row.samples_per_s is not None
    assert row.samples_per_s > 0
    assert row.seconds["simulation"] > 0


def test_a_refusal_is_a_row_with_its_reason_and_its_time(tmp_path: Path) -> None:
    model = model_of([helper.make_node("Erf", ["x"], ["y"])], {}, [4], ["y"])
    row = measured(Subject("net", "no circuit", model, ROWS, None), 4, tmp_path, synthesize=False)
    assert "Erf" in row.refused
    assert row.seconds["refused"] >= 0
    assert row.luts == {}


def test_the_large_network_is_refused_by_its_size(tmp_path: Path) -> None:
    row = measured(SUBJECTS["resnet"](), 4, tmp_path, synthesize=False)
    assert "look-up tables, and 150,000 are the most" in row.refused


def test_the_table_has_circuits_above_and_refusals_below() -> None:
    lines = table([ROW, Row("big", 4, refused="too large", seconds={"refused": 0.8})]).splitlines()
    cells = dict(zip(COLUMNS, (cell.strip() for cell in lines[2].strip("|").split("|")), strict=True))
    assert cells["alkaid's estimate"] == "1,100"
    assert (cells["yosys"], cells["yosys s"], cells["FF"]) == ("-", "-", "-")
    assert (cells["mutants caught"], cells["simulation s"]) == ("19/20", "12.0")
    assert lines[-1] == "* big, 4 bits: refused after 0.8 s: too large"


def test_a_broken_off_report_goes_on(tmp_path: Path) -> None:
    record = Record(tmp_path / "rows.jsonl", "of today")
    record.keep("net", ROW, synthesized=False)
    assert row_of("net", small(), 4, record, tmp_path, synthesize=False) == ROW
    assert record.known("net", 4, synthesized=True) is None
    assert record.known("net", 6, synthesized=False) is None
    assert Record(record.path, "of tomorrow").known("net", 4, synthesized=False) is None


def test_a_synthesised_row_stands_for_one_that_need_not_be(tmp_path: Path) -> None:
    record = Record(tmp_path / "rows.jsonl", "of today")
    record.keep("net", ROW, synthesized=True)
    assert record.known("net", 4, synthesized=False) == ROW


def test_a_report_has_a_page_a_document_and_a_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    other = Row(**{**ROW.document(), "bits": 8, "luts": {"dray": 3000, "alkaid": 3100, "yosys": 3300}})
    write(tmp_path, [ROW, other, Row("big", 4, refused="too large")], {"net": "a network"})
    assert "![Accuracy against look-up tables, by bits](fpga.svg)" in (tmp_path / "fpga.md").read_text()
    assert '"yosys": 3300' in (tmp_path / "fpga.json").read_text()
    assert "look-up tables" in (tmp_path / "fpga.svg").read_text()
