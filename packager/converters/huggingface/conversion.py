"""A transformers folder → the graph from tokens to answers, its tokenizer, texts, and the original's answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.huggingface.folder import ModelFolder, read_folder
from packager.converters.huggingface.heads import (
    INDEX,
    LABEL,
    PROBABILITIES,
    class_names,
    classification_of,
    embedding_of,
    function_of,
)
from packager.converters.huggingface.labels import name_labels
from packager.converters.huggingface.loading import Loaded, load, offline
from packager.converters.huggingface.pooling import pooling_steps
from packager.converters.huggingface.task import Task, task_of
from packager.converters.huggingface.texts import PAIR, TEXT, Texts, texts_for, wants_pairs
from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.errors import ConversionError, SampleError
from packager.core.extras import versions_of
from packager.core.progress import Progress
from runtime.contract.manifest import Tokenization

Array = NDArray[Any]
_TOKENIZER = "tokenizer.json"
_BATCH, _SEQUENCE = "batch", "sequence"


def convert(request: ConversionRequest, progress: Progress) -> RawConversion:
    """Everything that the proof needs; see ``HuggingFaceConverter.convert``."""
    offline()
    folder = read_folder(request.source)
    task = task_of(folder, request.options.get("class"))
    progress.step("loading the model with transformers")
    loaded = load(folder, task)
    module, said, classes = _module(folder, task, loaded)
    pairs = wants_pairs(request, by_default=folder.compares)
    texts = texts_for(request, loaded.tokenizer, pairs=pairs, longest=loaded.max_length)
    progress.step("exporting the model with PyTorch")
    onnx, inputs = _exported(module, loaded, request)
    if classes:
        name_labels(onnx, classes)
    step = _tokenization(folder, loaded, inputs, pairs=PAIR in texts.columns)
    loaded.tokenizer.backend_tokenizer.save(str(onnx.parent / _TOKENIZER))
    progress.step("asking the model")
    answers = _save(request.workdir / "reference.npz", _answers(module, loaded, texts, step, classes, progress))
    return RawConversion(
        onnx=onnx,
        samples=_save(request.workdir / "samples.npz", texts.columns),
        reference="source",
        # A text has one form: there is no cast that could lose something.
        reference_original=answers,
        reference_cast=answers,
        framework="transformers",
        framework_version=versions_of("transformers").get("transformers", "unknown"),
        synthetic=texts.synthetic,
        seed=request.seed if texts.synthetic else None,
        coverage=texts.coverage,
        labels={PROBABILITIES: classes} if classes else {},
        versions=versions_of("transformers", "torch", "onnxscript", "safetensors"),
        notes=(said, *loaded.notes, *texts.notes),
        preprocessing=step,
    )


def _module(folder: ModelFolder, task: Task, loaded: Loaded) -> tuple[Any, str, tuple[str, ...]]:
    """What is exported, a sentence on it, and the names of its classes where it answers with one."""
    if task.kind == "embedding":
        steps, said = pooling_steps(folder)
        where = "" if folder.modules else ", as sentence-transformers does where nothing is said of pooling"
        return embedding_of(loaded.model, steps), f"the embedding is the tokens' {said}{where}", ()
    function = function_of(folder, loaded.model)
    classes = class_names(loaded.model)
    single = len(classes) == 1 or loaded.model.config.problem_type == "regression"
    said = "the scores are the model's own numbers" if function == "identity" else f"the scores went through {function}"
    return classification_of(loaded.model, function), said, () if single else classes


def _exported(module: Any, loaded: Loaded, request: ConversionRequest) -> tuple[Path, tuple[str, ...]]:
    """The ONNX file with free rows and tokens, and which of the tokenizer's answers it takes."""
    import torch

    from packager.converters.torch_export import export

    length = max(2, min(7, loaded.max_length - 2))
    ids = torch.randint(0, max(2, min(100, loaded.model.config.vocab_size)), (3, length))
    ids[ids == (loaded.model.config.pad_token_id or 0)] = 1
    mask = torch.ones_like(ids)
    mask[1, length // 2 :] = 0  # a row that is filled up
    example = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    example = {name: example[name] for name in loaded.inputs}
    axes = {name: {0: _BATCH, 1: _SEQUENCE} for name in example}
    path = request.workdir / "model.onnx"
    for attention in (None, "eager"):
        if attention is not None:
            loaded.model.set_attn_implementation(attention)
        try:
            made = export(
                module,
                example,
                path=path,
                free_axes=axes,
                longest={_SEQUENCE: loaded.max_length},
                opset=request.opset,
            )
        except ConversionError:
            if attention == "eager":
                raise
        else:
            return made.path, made.inputs
    raise AssertionError("the last attempt returns or raises")


def _tokenization(folder: ModelFolder, loaded: Loaded, inputs: tuple[str, ...], *, pairs: bool) -> Tokenization:
    """The step that the runtime carries out. It fills rows up on the right, where no position changes for it."""
    tokenizer = loaded.tokenizer
    taken = {name: name if name in inputs else None for name in ("attention_mask", "token_type_ids")}
    return Tokenization(
        path=_TOKENIZER,
        text=TEXT,
        text_pair=PAIR if pairs else None,
        input_ids="input_ids",
        **taken,
        max_length=loaded.max_length,
        truncation_side=tokenizer.truncation_side,
        pad_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else loaded.model.config.pad_token_id or 0,
        pad_type_id=tokenizer.pad_token_type_id,
        prefix=folder.prompt,
    )


def _answers(
    module: Any, loaded: Loaded, texts: Texts, step: Tokenization, classes: tuple[str, ...], progress: Progress
) -> dict[str, Array]:
    """The original's answers, one text at a time, so that none is filled up."""
    import torch

    rows = list(zip(*(texts.columns[name].tolist() for name in step.text_names), strict=True))
    calls: list[Mapping[str, Any]] = []
    for index, row in enumerate(rows):
        calls.append(_answer(module, loaded, step, row))
        progress.advance(index + 1, len(rows))
    answers = {name: torch.cat([call[name] for call in calls]).numpy() for name in calls[0]}
    if not classes:
        return answers
    named = np.array(classes)[answers.pop(INDEX)]
    return {LABEL: named, **answers}


def _answer(module: Any, loaded: Loaded, step: Tokenization, row: tuple[str, ...]) -> Mapping[str, Any]:
    import torch

    text, *pair = row
    try:
        tokens = loaded.tokenizer(
            step.prefix + text, *pair, truncation=True, max_length=step.max_length, return_tensors="pt"
        )
        with torch.no_grad():
            answer: Mapping[str, Any] = module(**{name: tokens[name] for name in loaded.inputs})
    except (IndexError, RuntimeError, ValueError) as error:
        raise SampleError(
            f"the model stops at the text {text!r:.60}: {' '.join(str(error).split())[:200]}",
            hint="its tokenizer gives what the model does not take: they may not belong together",
        ) from error
    return answer


def _save(path: Path, arrays: Mapping[str, Array]) -> Path:
    np.savez(path, allow_pickle=False, **arrays)
    return path
