"""A circuit as people read it, after packaging and after a deployment."""

from typing import Any

import pytest

from packager.cli import render
from packager.cli.circuit import circuit
from packager.core.circuit import CircuitSummary
from packager.documents import DeployDocument, SmokeDocument
from runtime.contract.circuit import Accuracy, Resources


def summary(**changed: Any) -> CircuitSummary:
    return CircuitSummary(
        **{
            "name": "dray_small", "bits": 6, "agreement": {"label": 0.9912}, "judged_by": {"label": "labels"},
            "min_agreement": 0.98,
            "tried": {"5": 0.9, "6": 0.9912}, "accuracy": None,
            "resources": (Resources(by="alkaid 0.8.2 (estimate)", luts=12_345, flip_flops=678),),
            "latency_cycles": 11, "initiation_interval": 1, "compared": 606, "netlist_compared": None,
            "mutants": 20, "caught": 19,
            "broken_rtl": None, "project": "/p/circuit/project", "simulations": ("linux/amd64",), **changed,
        }
    )  # fmt: skip


def told(found: CircuitSummary) -> str:
    return "\n".join(f"{label}: {text}" for label, text in circuit(found))


def test_what_was_not_measured_or_not_run_is_said() -> None:
    text = told(summary())
    assert "not synthesised, not run on a device" in text
    assert "accuracy: not measured: --truth FILE gives the right labels" in text
    assert "resources: 12,345 LUT, 678 FF, says alkaid 0.8.2 (estimate)" in text
    assert "tried: 5 bits 0.9000, 6 bits 0.9912" in text
    assert "19 of 20 broken circuits noticed\n" in text


def test_what_was_synthesised_is_said_with_who_says_so() -> None:
    counted = Resources(by="yosys 0.70 synth_xilinx (synthesised, not placed)", luts=16_000, flip_flops=700, dsps=0)
    text = told(summary(netlist_compared=606, resources=(counted,)))
    assert "synthesised and not placed, not run on a device" in text
    assert "16,000 LUT, 700 FF, 0 DSP, says yosys 0.70 synth_xilinx (synthesised, not placed)" in text
    assert "606 of them asked of the netlist too" in text


@pytest.mark.parametrize(("broken", "ending"), [(True, "was noticed"), (False, "was NOT noticed")])
def test_what_was_measured_is_said_with_its_rows(broken: bool, ending: str) -> None:
    accuracy = Accuracy(rows=540, output="label", before=0.9685, after=0.9667)
    text = told(summary(accuracy=accuracy, broken_rtl=broken, initiation_interval=2, tried={"6": 0.9912}))
    assert "accuracy: 0.9685 -> 0.9667 on 540 rows (label, by --truth)" in text
    assert f"Verilog of a broken one {ending}" in text
    assert "latency: 11 cycles, a row every 2 cycles (simulated)" in text
    assert "tried" not in text


def test_an_agreement_says_what_it_is_a_share_of_and_numbers_have_no_accuracy() -> None:
    scores = told(summary(agreement={"p": 0.99}, judged_by={"p": "classes"}))
    assert "agreement: p: 0.9900 with the source (same highest score); gate" in scores
    assert "accuracy: not measured" in scores
    numbers = told(summary(agreement={"y": 0.99}, judged_by={"y": "variance"}))
    assert "agreement: y: 0.9900 with the source (variance explained); gate" in numbers
    assert "accuracy: none: the model answers with numbers" in numbers
    assert "--truth" not in numbers


def test_a_deployment_shows_its_circuit_and_keeps_it_in_json() -> None:
    document = DeployDocument(
        name="small", target="fpga", state="running", endpoint="http://127.0.0.1:1", model="small", version="1",
        digest="sha256:0", package="/p", image=None, created_at="now", detail={},
        smoke=SmokeDocument(passed=True, checks=()), circuit=summary(),
    )  # fmt: skip
    assert "\nproject   /p/circuit/project\n" in render.deployed(document)
    assert '"latency_cycles": 11' in document.to_json()
    assert "agreement" not in render.deployed(document.model_copy(update={"circuit": None}))
