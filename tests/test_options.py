from pathlib import Path

import pytest

from packager.cli.model_options import MODEL_OPTIONS
from packager.core.conversion import OPTIONS
from packager.core.errors import UsageError
from packager.core.form import CircuitAsked, Form
from packager.options import PackageOptions, code_of, converter_options, default_name, in_form, source_of


def test_a_function_of_a_python_file_is_told_apart_from_a_path(tmp_path: Path) -> None:
    assert code_of(Path("/m/build.py:load")) == (Path("/m/build.py"), "load")
    assert code_of(Path("/m/a:b.onnx")) == (Path("/m/a:b.onnx"), None)
    assert code_of(Path("/m/build.py:not a name")) == (Path("/m/build.py:not a name"), None)


def test_the_command_line_has_the_options_of_the_function_under_the_same_names() -> None:
    assert set(MODEL_OPTIONS) == set(PackageOptions.__annotations__) - {"agree_to_environment"}


def test_options_that_were_not_given_are_not_passed_on() -> None:
    assert converter_options({}, Path("/m/model.pt2")) == {}


def test_what_converters_are_told_is_what_the_vocabulary_lists(tmp_path: Path) -> None:
    (tmp_path / "nets.py").touch()
    (tmp_path / "args.json").touch()
    options: PackageOptions = {
        "model_class": "nets:Net", "class_args": tmp_path / "args.json", "dynamic": ["x:1"], "signature": "s",
        "lengths": True, "plugin": "p.py",
    }  # fmt: skip

    told = converter_options(options, tmp_path / "model.pth")

    assert set(told) == set(OPTIONS) - {"function"}
    assert told["code_folders"] == [str(tmp_path)]


def test_the_module_of_a_class_is_looked_for_beside_the_model_and_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets").mkdir()
    monkeypatch.chdir(tmp_path)

    assert converter_options({"model_class": "nets.deep:Net"}, Path("/m/x.pth"))["code_folders"] == [str(tmp_path)]
    assert "code_folders" not in converter_options({"model_class": "installed:Net"}, Path("/m/x.pth"))


@pytest.mark.parametrize(("path", "name"), [("churn/model.joblib", "churn"), ("a b.pt", "a-b")])
def test_the_name_is_the_stem_or_the_folder_where_that_says_nothing(path: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    file.touch()

    assert default_name(file) == name


def test_the_source_knows_function_and_packages() -> None:
    source = source_of(Path("/m/build.py:load"), {"packages": ["timm"]})

    assert (source.path, source.function, source.packages) == (Path("/m/build.py"), "load", ("timm",))


CIRCUIT = Form(circuit=CircuitAsked(bits=8, max_luts=100, part="xc7a35t"))


def test_a_target_chooses_the_form_where_nobody_says_it() -> None:
    assert in_form({}, Form()) == {}
    assert in_form({}, Form(quantize="int8")) == {"quantize": "int8"}
    found = in_form({"bits": 8, "max_luts": None}, CIRCUIT)
    assert (found["circuit"], found["bits"], found["max_luts"], found["part"]) == (True, 8, 100, "xc7a35t")
    assert in_form({"synthesize": False}, Form(circuit=CircuitAsked(synthesize=True)))["synthesize"] is True
    with pytest.raises(UsageError, match="--bits 6 contradicts the target's setting bits=8"):
        in_form({"bits": 6}, CIRCUIT)


def test_a_form_that_is_said_wins_and_one_that_excludes_the_targets_is_refused() -> None:
    assert in_form({"quantize": "fp16"}, Form(quantize="int8")) == {"quantize": "fp16"}
    for options, form, message in (
        ({"quantize": "int8"}, CIRCUIT, "this target serves a circuit, and --quantize asks for another"),
        ({"optimize": True}, CIRCUIT, "this target serves a circuit, and --optimize asks for another"),
        (
            {"circuit": True},
            Form(quantize="int8-static"),
            r"quantised \(int8-static\), and --circuit asks for a circuit",
        ),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            in_form(options, form)  # type: ignore[arg-type]
        assert caught.value.hint
