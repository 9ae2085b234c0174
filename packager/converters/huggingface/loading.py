"""The tokenizer and the model, loaded as transformers does, in the process that converts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.converters.huggingface.folder import ModelFolder, brings_code, check_tokenizer, weights_of
from packager.converters.huggingface.task import Task
from packager.core.errors import ConversionError, ConverterMissing, ModelInvalid

# What a tokenizer says that knows no longest text. Source: transformers.tokenization_utils_base.VERY_LARGE_INTEGER.
_ENDLESS = 1 << 30
_DEFAULT_LENGTH = 512
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_SHOWN = 3
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that answers.

    Attributes:
        inputs: Of the model, in order, that the tokenizer gives.
        max_length: Tokens of the longest text.
        notes: What a person should know, one sentence each.
    """

    tokenizer: Any
    model: Any
    inputs: tuple[str, ...]
    max_length: int
    notes: tuple[str, ...]


def load(folder: ModelFolder, task: Task) -> Loaded:
    """Tokenizer and model.

    Raises:
        ModelInvalid: A file is absent, damaged, or lacks weights.
        ConverterMissing: This transformers does not know the model, or there is no fast tokenizer for it.
    """
    trusted = bool(brings_code(folder.path))
    tokenizer = _tokenizer(folder, trusted)
    model = _model(folder, task, trusted)
    inputs = _inputs(tokenizer, model)
    notes: tuple[str, ...] = ()
    if model.dtype.itemsize < _FLOAT_BYTES:
        notes = (f"the weights are {_short(model.dtype)}, computed in float32",)
        model = model.float()
    model.eval()
    length, said = _longest(folder, tokenizer, model, inputs)
    return Loaded(tokenizer, model, inputs, length, (*notes, *said))


def _tokenizer(folder: ModelFolder, trusted: bool) -> Any:
    import transformers

    check_tokenizer(folder.encoder)
    with _refusing(folder.path, "tokenizer"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder.encoder, use_fast=True, local_files_only=True, trust_remote_code=trusted
        )
    if not tokenizer.is_fast:
        raise ConverterMissing(
            f"{type(tokenizer).__name__} has no form that the library tokenizers knows, which serves it",
            hint="add --with sentencepiece or --with tiktoken where it is made of such a file; others are not served",
        )
    if folder.sentences.get("do_lower_case"):
        from tokenizers import normalizers

        backend = tokenizer.backend_tokenizer
        before = [backend.normalizer] if backend.normalizer is not None else []
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
    return tokenizer


def _model(folder: ModelFolder, task: Task, trusted: bool) -> Any:
    import transformers

    weights = weights_of(folder.encoder)
    # The folder's own class is known to the general one alone.
    general = "AutoModel" if task.kind == "embedding" else "AutoModelForSequenceClassification"
    loader = getattr(transformers, general if trusted else task.loader, None)
    if loader is None:
        raise ConverterMissing(
            f"transformers {transformers.__version__} has no {task.loader}",
            hint="its class was removed or is newer; name the transformers that has it: --with transformers==VERSION",
        )
    with _refusing(folder.path, "model"):
        more = {"trust_remote_code": True} if trusted else {}
        model, told = loader.from_pretrained(
            folder.encoder,
            local_files_only=True,
            use_safetensors=weights.suffix == ".safetensors" or "safetensors" in weights.name,
            output_loading_info=True,
            **more,
        )
    _check_complete(folder, told, task)
    if model.config.is_encoder_decoder and not task.loader.endswith("EncoderModel"):
        raise ConverterMissing(
            f"{type(model).__name__} is an encoder with a decoder, which writes text", hint="generation is not served"
        )
    return model


def _check_complete(folder: ModelFolder, told: Any, task: Task) -> None:
    """Weights that are not in the file would be random numbers."""
    missing = sorted(str(key) for key in told.get("missing_keys", ()))
    # Of these no embedding is made: it comes from the last hidden states.
    needed = [key for key in missing if not (task.kind == "embedding" and "pooler." in key)]
    if needed:
        shown = ", ".join(needed[:_SHOWN]) + (f" and {len(needed) - _SHOWN} more" if len(needed) > _SHOWN else "")
        raise ModelInvalid(
            f"{folder.path.name!r} lacks weights that {task.loader} needs: {shown}",
            hint="they would be random numbers; save the whole model again, or choose the class with --class",
            detail={"missing": needed[:100]},
        )


def _inputs(tokenizer: Any, model: Any) -> tuple[str, ...]:
    import inspect

    taken = inspect.signature(model.forward).parameters
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    if "input_ids" not in taken and not (anything and model.main_input_name == "input_ids"):
        raise ConverterMissing(
            f"{type(model).__name__} takes {model.main_input_name}, not texts", hint="models of texts alone are served"
        )
    given = {*tokenizer.model_input_names, "attention_mask"}
    # What a class of the folder's own hands on without naming it is what its tokenizer gives.
    known = taken if "input_ids" in taken else given
    return tuple(name for name in _INPUTS if name in known and name in given)


def _longest(folder: ModelFolder, tokenizer: Any, model: Any, inputs: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """The longest text in tokens: the least of what tokenizer, sentence-transformers and positions allow."""
    positions = getattr(model.config, "max_position_embeddings", None)
    positions = positions if isinstance(positions, int) and positions > 0 else None
    own = folder.sentences.get("max_seq_length")
    named = [own if isinstance(own, int) and own > 0 else None, positions]
    known = [int(value) for value in (tokenizer.model_max_length, *named) if value and value < _ENDLESS]
    if not known:
        return _DEFAULT_LENGTH, (f"the model names no longest text; texts are cut at {_DEFAULT_LENGTH} tokens",)
    length = min(known)
    if positions is None or length < positions:
        return length, ()
    # Some count positions from behind the padding token's number, and so have fewer than they say.
    offset = (model.config.pad_token_id or 0) + 1
    for candidate in (length, length - offset):
        if _answers(model, inputs, candidate):
            return candidate, ()
    raise ConversionError(f"{type(model).__name__} does not take the {length} tokens that its configuration promises")


def _answers(model: Any, inputs: tuple[str, ...], length: int) -> bool:
    import torch

    padding = model.config.pad_token_id
    ids = torch.full((1, length), 1 if padding == 0 else 0, dtype=torch.int64)
    feeds = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    try:
        with torch.no_grad():
            model(**{name: feeds[name] for name in inputs})
    except (IndexError, RuntimeError):
        return False
    return True


@contextmanager
def _refusing(path: Path, what: str) -> Iterator[None]:
    """What transformers raises, which has no common root, as a word about the folder."""
    try:
        yield
    except Exception as error:
        import transformers

        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelInvalid(
            f"transformers {transformers.__version__} cannot load the {what} in {path.name!r}: {reason}",
            hint="the folder is damaged, lacks a file, or needs another transformers: --with transformers==VERSION",
        ) from error


def offline() -> None:
    """Keep transformers from asking its hub, which cannot be reached from here, and from drawing progress bars."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ[name] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _short(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")
