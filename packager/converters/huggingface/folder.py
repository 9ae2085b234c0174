"""What a folder of a transformers model says of itself; nothing of it is loaded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.core.errors import ModelInvalid

CONFIG = "config.json"
MODULES = "modules.json"
_CROSS = "CrossEncoder"
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_CONFIGS = (CONFIG, "tokenizer_config.json", "processor_config.json")
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
_MOST_CONFIG_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder as ``save_pretrained`` writes it, or with what sentence-transformers puts around it.

    Attributes:
        encoder: Where the transformer itself is: the folder, or one in it.
        config: Of the transformer.
        modules: Those of sentence-transformers in order, as (type, folder); empty where the folder is not theirs.
        sentences: What sentence-transformers says of the transformer: task, length, case; empty where nothing.
        about: What it says of the whole model: kind, prompts, the activation of a cross-encoder.
    """

    path: Path
    encoder: Path
    config: Mapping[str, Any]
    modules: tuple[tuple[str, Path], ...]
    sentences: Mapping[str, Any]
    about: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """What sentence-transformers puts before every text where nobody names another prompt."""
        prompts, name = self.about.get("prompts"), self.about.get("default_prompt_name")
        return str(prompts.get(name) or "") if isinstance(prompts, dict) and name is not None else ""

    @property
    def activation(self) -> str | None:
        """The class of PyTorch that a cross-encoder of sentence-transformers ends in; None for other models."""
        own = self.config.get("sentence_transformers")
        places = [own if isinstance(own, dict) else {}, self.about if self.about.get("model_type") == _CROSS else {}]
        named = [place.get(key) for place in places for key in ("activation_fn", "activation_function")]
        found = next((name for name in (*named, self.config.get("sbert_ce_default_activation_function")) if name), None)
        return None if found is None else str(found).rpartition(".")[2]

    @property
    def compares(self) -> bool:
        """Whether it is a cross-encoder, which takes two texts."""
        return self.activation is not None or self.about.get("model_type") == _CROSS

    @property
    def architecture(self) -> str | None:
        """The class that the model was saved from."""
        named = self.config.get("architectures") or ()
        return str(named[0]) if isinstance(named, list) and named else None


def looks_like_transformers(path: Path) -> bool:
    """Whether a folder has a ``config.json`` of transformers, or a ``modules.json`` that begins with one."""
    try:
        if not path.is_dir():
            return False
        if (path / MODULES).is_file() and "sentence_transformers" in (path / MODULES).read_text(encoding="utf-8"):
            return True
        config = read_config(path / CONFIG) if (path / CONFIG).is_file() else {}
    except (ModelInvalid, OSError, UnicodeDecodeError):
        return False
    return "model_type" in config or ("architectures" in config and "transformers_version" in config)


def read_folder(path: Path) -> ModelFolder:
    """The folder's own description.

    Raises:
        ModelInvalid: A description is absent, damaged, or leads out of the folder.
    """
    modules = _modules(path)
    encoder = modules[0][1] if modules else path
    if not (encoder / CONFIG).is_file():
        raise ModelInvalid(
            f"{path.name!r} holds no {(encoder / CONFIG).relative_to(path)}",
            hint="save the model with model.save_pretrained(folder), and its tokenizer beside it",
        )
    sentences = _optional(encoder / "sentence_bert_config.json")
    about = _optional(path / "config_sentence_transformers.json")
    return ModelFolder(path, encoder, read_config(encoder / CONFIG), modules, sentences, about)


def weights_of(folder: Path) -> Path:
    """The file with the weights, or with their index; safetensors first.

    Raises:
        ModelInvalid: There is none that PyTorch reads.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    other = sorted(
        item.name for item in folder.glob("*") if item.suffix in {".h5", ".msgpack", ".ot", ".gguf", ".onnx"}
    )
    raise ModelInvalid(
        f"{folder.name!r} holds no weights that PyTorch reads: {', '.join(other) or 'no weights at all'}",
        hint="save the model with model.save_pretrained(folder); an .onnx file can be packaged by its own path",
    )


def check_tokenizer(folder: Path) -> None:
    """Refuse a folder without a vocabulary: transformers would make up an empty one.

    Raises:
        ModelInvalid: It holds no file that a tokenizer is made of.
    """
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise ModelInvalid(
            f"{folder.name!r} holds no tokenizer: none of {', '.join(_VOCABULARIES)}",
            hint="save it beside the model with tokenizer.save_pretrained(folder)",
        )


def brings_code(path: Path) -> tuple[str, ...]:
    """What loading the folder would run beside transformers itself: its own Python modules.

    Raises:
        ModelInvalid: A configuration cannot be read.
    """
    found: list[str] = []
    for config in sorted(
        {item for name in _CONFIGS for item in (path / name, *path.glob(f"*/{name}")) if item.is_file()}
    ):
        found += _named_code(read_config(config).get("auto_map"))
    return tuple(dict.fromkeys(found))


def pickled_weights(path: Path) -> tuple[Path, ...]:
    """Weights in pickles that will be loaded, because there are no safetensors beside them.

    Raises:
        ModelInvalid: A description cannot be read, or names a file outside its folder.
    """
    folder = read_folder(path)
    found: list[Path] = []
    for place in (folder.encoder, *(place for kind, place in folder.modules if kind.endswith("Dense"))):
        first = next((place / name for name in WEIGHTS if (place / name).is_file()), None)
        if first is not None and first.suffix == ".bin":
            found.append(first)
        elif first is not None and first.name == "pytorch_model.bin.index.json":
            found += _shards(first)
    return tuple(dict.fromkeys(found))


def _shards(index: Path) -> list[Path]:
    named = read_config(index).get("weight_map")
    names = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise ModelInvalid(
                f"{index.name!r} names {name!r}, which is no file beside it", hint="save the model again"
            )
    return [index.parent / name for name in names]


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ModelInvalid: Not one, or larger than any configuration is.
    """
    if path.stat().st_size > _MOST_CONFIG_BYTES:
        raise ModelInvalid(f"{path.name!r} has {path.stat().st_size} bytes, which no configuration has")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelInvalid(f"{path.name!r} is not JSON: {error}", hint="save or download the model again") from error
    if not isinstance(content, dict):
        raise ModelInvalid(f"{path.name!r} holds {type(content).__name__}, expected an object")
    return content


def _modules(path: Path) -> tuple[tuple[str, Path], ...]:
    if not (path / MODULES).is_file():
        return ()
    try:
        entries = json.loads((path / MODULES).read_bytes())
        found = tuple((str(entry["type"]), path / str(entry["path"])) for entry in entries)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelInvalid(f"{MODULES!r} is not a list of modules: {error!r}", hint="save the model again") from error
    for _, folder in found:
        if not folder.resolve().is_relative_to(path.resolve()):
            raise ModelInvalid(f"{MODULES!r} names {str(folder)!r}, outside the model's folder")
    if not found:
        raise ModelInvalid(f"{MODULES!r} names no module", hint="save the model again")
    return found


def _optional(path: Path) -> dict[str, Any]:
    return read_config(path) if path.is_file() else {}


def _named_code(auto_map: object) -> list[str]:
    if not isinstance(auto_map, dict):
        return []
    values = [item for value in auto_map.values() for item in (value if isinstance(value, list) else [value])]
    return [str(value) for value in values if value is not None]
