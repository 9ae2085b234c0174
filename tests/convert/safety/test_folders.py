"""What of a model's folder is loaded, and what has to be trusted first."""

import json
import pickle
import zipfile
from pathlib import Path

import pytest

from packager.convert import convert
from packager.convert.safety import cleared_folder
from packager.converters.huggingface import HuggingFaceConverter
from packager.core.conversion import ModelSource
from packager.core.errors import EnvironmentMissing, ModelInvalid, UnsafeModel


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("true",)


def checkpoint(path: Path, content: object) -> Path:
    """A file as torch.save writes it, of an object without tensors."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/version", "3\n")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "tf_model.h5").write_bytes(b"weights of another framework")
    return path


def test_a_folder_without_code_is_loaded_where_it_is(tmp_path: Path) -> None:
    source = folder(tmp_path / "m")
    safe = cleared_folder(source, tmp_path / "copy", code=(), pickles=())

    assert safe.path == source
    assert safe.trusted == ()
    assert not (tmp_path / "copy").exists()


def test_code_of_the_folders_own_needs_trust(tmp_path: Path) -> None:
    source = folder(tmp_path / "m")
    with pytest.raises(UnsafeModel, match=r"loading 'm' would run net\.Model, code of its own") as caught:
        cleared_folder(source, tmp_path / "copy", code=("net.Model",), pickles=())

    assert caught.value.code == "E-UNSAFE"
    assert "--trust" in caught.value.hint
    with pytest.raises(UnsafeModel, match="is not trusted"):
        cleared_folder(source, tmp_path / "copy", code=("net.Model",), pickles=(), trust=lambda _: False)
    assert cleared_folder(source, tmp_path / "c", code=("net.Model",), pickles=(), trust=True).trusted == ("net.Model",)


def test_pickled_weights_are_read_and_loaded_from_a_copy(tmp_path: Path) -> None:
    source = folder(tmp_path / "m")
    weights = checkpoint(source / "pytorch_model.bin", {"layer.weight": 1})
    safe = cleared_folder(source, tmp_path / "copy", code=(), pickles=(weights,))

    assert safe.path == tmp_path / "copy" / "m"
    assert sorted(path.name for path in safe.path.iterdir()) == ["config.json", "pytorch_model.bin"]


def test_weights_that_call_something_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    source = folder(tmp_path / "m")
    weights = checkpoint(source / "pytorch_model.bin", Harmful())
    with pytest.raises(UnsafeModel, match=r"would call (posix|os)\.system"):
        cleared_folder(source, tmp_path / "copy", code=(), pickles=(weights,))


def test_links_out_of_the_folder_are_followed_once(tmp_path: Path) -> None:
    """A cache of downloads holds links to files elsewhere, which the loading process may not read."""
    source = folder(tmp_path / "m")
    (tmp_path / "blob").write_bytes(b"weights")
    (source / "model.safetensors").symlink_to("../blob")
    safe = cleared_folder(source, tmp_path / "copy", code=(), pickles=())

    assert safe.path == tmp_path / "copy" / "m"
    assert (safe.path / "model.safetensors").read_bytes() == b"weights"
    assert not (safe.path / "model.safetensors").is_symlink()


def test_a_folder_of_very_many_files_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packager.convert.safety.folders._MOST_FILES", 1)
    with pytest.raises(ModelInvalid, match="more than 1 files"):
        cleared_folder(folder(tmp_path / "m"), tmp_path / "copy", code=(), pickles=())


# --- as a conversion begins


def transformer(path: Path, **config: object) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"], **config}))
    return path


def test_harmful_weights_of_a_transformer_are_refused_before_an_environment_is_made(tmp_path: Path) -> None:
    source = transformer(tmp_path / "m")
    checkpoint(source / "pytorch_model.bin", Harmful())
    with pytest.raises(UnsafeModel, match=r"'pytorch_model\.bin' would call (posix|os)\.system"):
        convert(ModelSource(source), workdir=work(tmp_path))


def test_code_of_a_transformer_is_refused_before_an_environment_is_made(tmp_path: Path) -> None:
    source = transformer(tmp_path / "m", auto_map={"AutoModel": "mine.Net"})
    with pytest.raises(UnsafeModel, match=r"would run mine\.Net"):
        convert(ModelSource(source), workdir=work(tmp_path))


def test_what_the_proof_needs_is_asked_for_before_an_environment_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HuggingFaceConverter, "needs_here", ("absent_library",))
    with pytest.raises(
        EnvironmentMissing, match="proving and serving transformers models needs absent_library"
    ) as caught:
        convert(ModelSource(transformer(tmp_path / "m")), workdir=work(tmp_path))

    assert caught.value.hint == "pip install absent_library"


def work(folder: Path) -> Path:
    path = folder / "work"
    path.mkdir()
    return path
