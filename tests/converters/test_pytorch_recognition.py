"""PyTorch's files are told by what is in them, without PyTorch."""

from pathlib import Path

import pytest

from packager import plugins
from packager.converters.pytorch import TorchConverter
from packager.converters.pytorch.recognition import FileKind, is_traced, kind_of
from packager.core.conversion import ModelSource
from packager.core.torch_archives import LEGACY_MAGIC
from tests.support.torch_files import FIXTURES

KINDS = {
    "layers.pt": FileKind.CHECKPOINT,
    "weights_old.pth": FileKind.CHECKPOINT,
    "lstm_multi_io/model.pth": FileKind.CHECKPOINT,
    "script.pt": FileKind.SCRIPT,
    "branch.ts": FileKind.SCRIPT,
    "program.pt2": FileKind.PROGRAM,
}


def first_that_recognises(path: Path) -> str:
    return next(name for name, one in plugins.converters().items() if one.recognises(ModelSource(path)))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("suffix", [".pt", ".bin", ".model", ".pkl"])
def test_the_content_counts_and_not_the_name(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes((FIXTURES / name).read_bytes())

    assert kind_of(path) is KINDS[name]
    assert first_that_recognises(path) == "torch"


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    for name, content in {
        "a.pt": b"",
        "b.bin": b"tree\n",
        "c.pth": b"\x80\x04N.",
        "d.safetensors": b"\x08" + bytes(9),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert kind_of(tmp_path / name) is None
    assert kind_of(tmp_path) is None


def test_a_file_that_is_cut_off_is_still_known_by_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes((FIXTURES / "program.pt2").read_bytes()[:500])

    assert kind_of(path) is FileKind.PROGRAM


def test_the_old_format_is_not_taken_for_an_estimator(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(LEGACY_MAGIC + b"\x80\x02M\xe9\x03.")

    assert first_that_recognises(path) == "torch"


@pytest.mark.parametrize(
    ("imports", "recognised"),
    [
        ("import torch", True),
        ("import timm", True),
        ("import tensorflow as tf", False),
        ("from keras import layers", False),
        ("def load(:", True),  # its error is shown when it is run
    ],
)
def test_a_function_belongs_to_pytorch_unless_its_file_imports_tensorflow(
    tmp_path: Path, imports: str, recognised: bool
) -> None:
    path = tmp_path / "build.py"
    path.write_text(imports)

    assert TorchConverter().recognises(ModelSource(path, function="load")) is recognised
    assert not TorchConverter().recognises(ModelSource(path))


def test_a_script_says_whether_it_was_traced() -> None:
    assert not is_traced(FIXTURES / "script.pt")


def test_the_environment_is_offered_with_cpu_builds(tmp_path: Path) -> None:
    spec = TorchConverter().environment_for(ModelSource(tmp_path / "m.pt2", packages=("timm>=1.0",)), None)

    assert spec is not None
    assert spec.name == "torch-timm.1.0"
    assert spec.cpu_builds == ("torch",)
    assert {"torch>=2.9", "onnxscript>=0.5", "timm>=1.0"} <= set(spec.requirements)
    assert "not installed here" in spec.reason
