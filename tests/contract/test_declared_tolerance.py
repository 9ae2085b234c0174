import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.contract.certificate import Certificate
from runtime.contract.closeness import compare_answer
from runtime.contract.manifest import ModelManifest, OutputTolerance
from runtime.contract.package import read_package
from runtime.contract.tensors import TensorFile
from runtime.contract.transformation import Transformation, Variant
from tests.support.packages import make_package

TENTH = OutputTolerance(atol=0.1, rtol=0, rms=0.05)


def test_a_package_that_declares_nothing_keeps_its_bytes_and_parity_decides(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris")
    assert "tolerances" not in json.loads((package.root / "manifest.json").read_bytes())
    assert "transform" not in json.loads((package.root / "certificate.json").read_bytes())
    assert package.tolerance("probabilities") == OutputTolerance(atol=1e-5, rtol=1e-4)


def test_a_declared_tolerance_is_content_and_decides(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris")
    manifest = package.manifest.model_copy(update={"tolerances": {"probabilities": TENTH}})
    assert replace(package, manifest=manifest).tolerance("probabilities") == TENTH
    assert ModelManifest.model_validate_json(manifest.to_bytes()) == manifest


def test_without_parity_the_default_of_package_decides(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris")
    bare = replace(package, certificate=package.certificate.model_copy(update={"parity": None}))
    assert bare.tolerance("label") == OutputTolerance(atol=1e-5, rtol=1e-4)


def test_a_tolerance_of_no_output_is_refused(tmp_path: Path) -> None:
    manifest = make_package(tmp_path / "iris").manifest
    with pytest.raises(ValidationError, match="tolerances of outputs that there are not"):
        ModelManifest.model_validate({**manifest.model_dump(), "tolerances": {"other": TENTH}})


def test_a_certificate_with_a_transformation_is_sealed_over_it(tmp_path: Path) -> None:
    variant = Variant(name="original", accepted=True)
    record = Transformation(
        steps=(), before=variant, after=variant, tried=(), rule="", lossless=True, min_agreement=0.99, measured=""
    )
    certificate = read_package(make_package(tmp_path / "iris").root).certificate
    sealed = certificate.model_copy(update={"transform": record}).sealed()
    assert Certificate.model_validate_json(sealed.to_bytes()).intact
    assert not sealed.model_copy(update={"transform": None}).intact


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([1.0, 1.0, 1.05, 1.0], None),
        ([1.0, 1.0, 1.2, 1.0], "output 'y' at [2] is 1.2, expected 1.0 (off by 0.2)"),
        ([1.09, 0.91, 1.09, 0.91], "output 'y' is off by 0.09 on the whole, at most 0.05"),
    ],
)
def test_many_entries_that_are_all_a_little_off_are_another_model(values: list[float], problem: str | None) -> None:
    expected = TensorFile("y", "FP64", (4,), bytes(bytearray.fromhex("000000000000f03f")) * 4)
    found = compare_answer(expected, values, (4,), atol=TENTH.atol, rtol=TENTH.rtol, rms=TENTH.rms)
    assert found.problem == problem
