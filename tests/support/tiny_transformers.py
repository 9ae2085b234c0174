"""Tiny transformers with random weights and a tokenizer of their own; run by a Python that has transformers."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SENTENCES = (
    "the quick brown fox jumps over the lazy dog",
    "a good film, and a bad one",
    "Naïve façade über 123 the end!",
    "быстрая лиса",
)
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
MORE: Mapping[str, Callable[[Path], Path]] = {
    "regression": lambda folder: save(
        folder, "bert", word_pieces(), "Classes", num_labels=2, problem_type="regression"
    ),
    "albert": lambda folder: save(folder, "albert", word_pieces(), embedding_size=16),
    "electra": lambda folder: save(folder, "electra", word_pieces(), "Classes", embedding_size=16, num_labels=4),
    "xlm-roberta": lambda folder: save(folder, "xlm-roberta", byte_pairs(), max_position_embeddings=20),
    "camembert": lambda folder: save(folder, "camembert", byte_pairs()),
    "deberta-v2": lambda folder: save(
        folder,
        "deberta-v2",
        word_pieces(),
        "Classes",
        num_labels=3,
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["p2c", "c2p"],
    ),
    "deberta": lambda folder: save(folder, "deberta", word_pieces(), "Classes", num_labels=3),
    "modernbert": lambda folder: save(
        folder,
        "modernbert",
        word_pieces(),
        global_attn_every_n_layers=2,
        local_attention=8,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
    ),
    "nomic": lambda folder: save(folder, "nomic_bert", word_pieces()),
    "gpt2-classes": lambda folder: save(
        folder, "gpt2", byte_pairs(framed=False), "Classes", n_embd=32, n_layer=2, n_head=4, num_labels=3
    ),
    "gpt2-mean": lambda folder: save(folder, "gpt2", byte_pairs(framed=False), n_embd=32, n_layer=2, n_head=4),
    "qwen2": lambda folder: save(folder, "qwen2", byte_pairs(framed=False), num_key_value_heads=2),
    "t5": lambda folder: save(folder, "t5", byte_pairs()),
    "funnel": lambda folder: save(
        folder, "funnel", word_pieces(), block_sizes=[1, 1], d_model=32, n_head=4, d_head=8, d_inner=37
    ),
    "longformer": lambda folder: save(
        folder, "longformer", byte_pairs(), attention_window=[8, 8], max_position_embeddings=40
    ),
    "xlnet": lambda folder: save(folder, "xlnet", byte_pairs(), d_model=32, n_layer=2, n_head=4, d_inner=37),
    "layoutlm": lambda folder: save(folder, "layoutlm", word_pieces()),
    "convbert": lambda folder: save(folder, "convbert", word_pieces(), embedding_size=16),
    "squeezebert": lambda folder: save(
        folder,
        "squeezebert",
        word_pieces(),
        embedding_size=32,
        q_groups=1,
        k_groups=1,
        v_groups=1,
        post_attention_groups=1,
        intermediate_groups=1,
        output_groups=1,
    ),
    "masked": lambda folder: save(folder, "bert", word_pieces(), "Masked"),
}
