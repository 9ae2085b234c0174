"""Tiny transformers with random weights and a tokenizer of their own; run by a Python that has transformers."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SENTENCES = (
    "the quick brown fox jumps over the lazy dog",
    "a good film, and a bad one",
    "Naïve façade über 123 the end!",
    "быстрая лиса",
)
QUESTIONS = ("a good film", "THE Quick brown fox and the dog über 123", "быстрая", "x", "lazy " * 60)
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}


def word_pieces() -> Any:
    """BERT's kind of tokenizer, trained on a few sentences."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import PreTrainedTokenizerFast

    trained = BertWordPieceTokenizer()
    trained.train_from_iterator(SENTENCES, vocab_size=200, show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        model_max_length=24,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{name}_token": token for name, token in zip(("pad", "unk", "cls", "sep", "mask"), _SPECIAL, strict=True)},
    )


def byte_pairs(*, framed: bool = True) -> Any:
    """RoBERTa's kind of tokenizer, or GPT-2's, which puts nothing around a text."""
    from tokenizers import ByteLevelBPETokenizer, processors
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(SENTENCES, vocab_size=300, show_progress=False, special_tokens=special)
    if framed:
        trained._tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        model_max_length=24,
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )


def save(folder: Path, kind: str, tokenizer: Any, head: str = "Model", **config: Any) -> Path:
    """A model of this kind with random weights; ``config`` goes to its configuration."""
    import torch
    import transformers

    torch.manual_seed(0)
    settings = transformers.AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **{**_SIZES, **config}
    )
    loader = {"Model": "AutoModel", "Classes": "AutoModelForSequenceClassification", "Masked": "AutoModelForMaskedLM"}
    model = getattr(transformers, loader[head]).from_config(settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # far enough from zero to tell texts apart
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def around(folder: Path, *modules: tuple[str, Mapping[str, Any]], **sentences: Any) -> Path:
    """Put modules of sentence-transformers around a saved model."""
    entries = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for index, (kind, config) in enumerate(modules, start=1):
        place = folder / f"{index}_{kind}"
        place.mkdir()
        (place / "config.json").write_text(json.dumps(config))
        entries.append(
            {"idx": index, "name": str(index), "path": place.name, "type": f"sentence_transformers.models.{kind}"}
        )
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "sentence_bert_config.json").write_text(json.dumps(sentences))
    return folder


def dense(folder: Path, columns: int, width: int) -> Path:
    """Weights for a Dense module in the folder."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1)
    save_file(
        {"linear.weight": torch.randn(width, columns), "linear.bias": torch.randn(width)}, folder / "model.safetensors"
    )
    return folder


def _projected(folder: Path) -> Path:
    save(folder, "bert", word_pieces())
    around(
        folder,
        ("Pooling", {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}),
        ("Dense", {"in_features": 64, "out_features": 8, "activation_function": "torch.nn.modules.activation.Tanh"}),
        ("Normalize", {}),
        max_seq_length=12,
        do_lower_case=True,
    )
    dense(folder / "2_Dense", 64, 8)
    prompts = {"prompts": {"query": "the quick: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


def _names(*names: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


MODELS: Mapping[str, Callable[[Path], Path]] = {
    "bert-mean": lambda folder: save(folder, "bert", word_pieces(), max_position_embeddings=40),
    "sentences": _projected,
    "distilbert-classes": lambda folder: save(
        folder,
        "distilbert",
        word_pieces(),
        "Classes",
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=37,
        **_names("bad", "good", "bad too"),
    ),
    "roberta-several": lambda folder: save(
        folder,
        "roberta",
        byte_pairs(),
        "Classes",
        max_position_embeddings=20,
        problem_type="multi_label_classification",
        **_names("x", "y", "z"),
    ),
    "mpnet": lambda folder: save(folder, "mpnet", byte_pairs()),
    "cross-encoder": lambda folder: save(folder, "bert", word_pieces(), "Classes", num_labels=1),
}


def asked(name: str, folder: Path) -> dict[str, Any]:
    """What transformers itself says of ``QUESTIONS``, one by one, without any of dray's code."""
    import numpy as np
    import torch
    import transformers

    cut = {"truncation": True, "max_length": 18 if name == "roberta-several" else 24}
    if name == "sentences":
        return {"embedding": np.stack([_sentence(folder, text) for text in QUESTIONS])}
    if name == "cross-encoder":
        ask = transformers.pipeline("text-classification", folder)
        pairs = [{"text": text, "text_pair": QUESTIONS[0]} for text in QUESTIONS]
        return {"score": np.array([ask(pair, **cut)["score"] for pair in pairs], np.float32)}
    if name in ("distilbert-classes", "roberta-several"):
        ask = transformers.pipeline("text-classification", folder)
        best = [ask(text, **cut)[0] for text in QUESTIONS]
        scores = np.array([answer["score"] for answer in best], np.float32)
        return {"label": np.array([answer["label"] for answer in best]), "score": scores}
    ask = transformers.pipeline("feature-extraction", folder, return_tensors=True, tokenize_kwargs=cut)
    with torch.no_grad():
        return {"embedding": np.stack([ask(text)[0].numpy().mean(axis=0) for text in QUESTIONS])}


def _sentence(folder: Path, text: str) -> Any:
    """The steps of sentence-transformers by hand: prompt, lower case, 12 tokens, CLS and mean, a layer, length 1."""
    import numpy as np
    import torch
    import transformers
    from safetensors.numpy import load_file

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokens = tokenizer(f"the quick: {text}".lower(), truncation=True, max_length=12, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**tokens).last_hidden_state[0].numpy()
    layer = load_file(folder / "2_Dense" / "model.safetensors")
    pooled = np.concatenate([hidden[0], hidden.mean(axis=0)])
    vector = np.tanh(layer["linear.weight"] @ pooled + layer["linear.bias"])
    return vector / np.linalg.norm(vector)


def pooled() -> dict[str, Any]:
    """Each way of pooling three texts of different lengths in one padded batch, and what went into it."""
    import torch

    from packager.converters.huggingface.pooling import _POOLS

    torch.manual_seed(2)
    tokens = torch.randn(3, 5, 4)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
    ways = {mode: pool(tokens, mask).numpy() for mode, pool in _POOLS.items()}
    return {"tokens": tokens.numpy(), "lengths": mask.sum(dim=1).numpy(), **ways}


def main(root: Path) -> None:
    """Save, convert and ask every model; leave what came of it in a folder each."""
    import numpy as np
    from pydantic import TypeAdapter

    from packager.converters.huggingface import HuggingFaceConverter
    from packager.core.conversion import ConversionRequest, InputHint, RawConversion
    from packager.core.progress import SilentProgress
    from tests.support.torch_operators import remember_operators

    remember_operators()
    root.mkdir()
    np.savez(root / "pooled.npz", **pooled())
    for name, make in MODELS.items():
        folder = root / name
        work = folder / "work"
        work.mkdir(parents=True)
        model = make(folder / "model")
        inputs = (InputHint("text_pair", "BYTES", ("N",)),) if name == "cross-encoder" else ()
        request = ConversionRequest(source=model, workdir=work, inputs=inputs)
        raw = HuggingFaceConverter().convert(request, SilentProgress())
        np.savez(folder / "asked.npz", **asked(name, model))
        (folder / "raw.json").write_bytes(TypeAdapter(RawConversion).dump_json(raw))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
