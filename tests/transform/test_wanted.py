from pathlib import Path

import pytest

from packager.core import extras
from packager.core.errors import EnvironmentMissing, SampleError, UsageError
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
        ({"min_agreement": 0.9}, "--min-agreement judges what --optimize or --quantize made, and neither is asked for"),
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
