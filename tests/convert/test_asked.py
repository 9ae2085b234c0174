from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from packager import plugins
from packager.convert import convert
from packager.convert.asked import check_options
from packager.core.conversion import OPTIONS, InputHint, ModelSource
from packager.core.errors import UsageError
from tests.support.converters import Obedient
from tests.support.graphs import double

SOURCE = ModelSource(Path("model.txt"))
HINT = InputHint("X", "FP32", ("n", 2))
# Options that the steps before a converter derive from what a person says, or take out of the model.
DERIVED = {"code_folders", "plugin_folder"}


class Willing(Obedient):
    options: ClassVar[tuple[str, ...]] = ("dynamic", "packages")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lengths": True}, "--lengths"),
        ({"signature": "serve"}, "--signature"),
        ({"class": "nets:Net", "code_folders": ["/models"]}, "--class"),
        ({"class_args": "/args.json"}, "--class-args"),
        ({"plugin": "own"}, "--plugin"),
    ],
)
def test_an_option_that_the_converter_does_not_know_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said} is not for obedient models") as caught:
        check_options(Willing(), SOURCE, (), options)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("obedient models take --dynamic, --with")


def test_what_stands_beside_the_options_is_refused_as_well() -> None:
    for source, inputs, said in (
        (replace(SOURCE, packages=("einops",)), (), "--with"),
        (replace(SOURCE, function="load"), (), "FILE.py:FUNCTION"),
        (SOURCE, (HINT,), "--input"),
    ):
        with pytest.raises(UsageError, match=f"^{said} is not for obedient models"):
            check_options(Obedient(), source, inputs, {})


def test_known_options_and_those_left_out_are_taken() -> None:
    source = replace(SOURCE, packages=("einops",))
    check_options(Willing(), source, (), {"dynamic": ["x:1"], "lengths": False, "signature": None})
    check_options(Obedient(), SOURCE, (), {})


def test_a_conversion_is_refused_before_it_begins(tmp_path: Path) -> None:
    model = double(tmp_path / "double.onnx")
    with pytest.raises(UsageError, match="--lengths is not for onnx models"):
        convert(ModelSource(model), workdir=tmp_path, options={"lengths": True})


def test_every_option_is_known_to_a_converter_and_every_converter_declares_known_ones() -> None:
    declared = {name for one in plugins.converters().values() for name in getattr(one, "options", ())}
    assert declared == {*OPTIONS, "inputs", "packages"} - DERIVED
