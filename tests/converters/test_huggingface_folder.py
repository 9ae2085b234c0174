import json
from pathlib import Path
from typing import Any

import pytest

from packager import plugins
from packager.converters.huggingface import HuggingFaceConverter
from packager.converters.huggingface.folder import check_tokenizer, read_folder, weights_of
from packager.converters.huggingface.pooling import pooling_modes
from packager.converters.huggingface.task import task_of
from packager.core.conversion import ModelSource
from packager.core.errors import ConverterMissing, ModelInvalid, UsageError
from packager.core.protocols import FolderConverter

BERT = {"model_type": "bert", "architectures": ["BertModel"]}


def model(folder: Path, config: dict[str, Any] = BERT, *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name in files or ("model.safetensors",):
        (folder / name).write_bytes(b"weights")
    return folder


def sentences(folder: Path, *kinds: str) -> Path:
    """A folder of sentence-transformers with these modules after the transformer."""
    entries = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    entries += [
        {"type": f"sentence_transformers.models.{kind}", "path": f"{i}_{kind}"} for i, kind in enumerate(kinds, 1)
    ]
    model(folder)
    (folder / "modules.json").write_text(json.dumps(entries))
    return folder


# --- recognition


def test_folders_of_transformers_are_recognised(tmp_path: Path) -> None:
    converter = plugins.converter("transformers")

    assert isinstance(converter, FolderConverter)
    assert converter.recognises(ModelSource(model(tmp_path / "a")))
    assert converter.recognises(ModelSource(sentences(tmp_path / "b", "Pooling")))


def test_only_one_converter_recognises_a_folder(tmp_path: Path) -> None:
    source = ModelSource(model(tmp_path / "a"))

    assert [name for name, plugin in plugins.converters().items() if plugin.recognises(source)] == ["transformers"]


@pytest.mark.parametrize("content", ["{}", "[1]", "not json", '{"architectures": ["X"]}'])
def test_other_folders_are_left_to_others(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)

    assert not HuggingFaceConverter().recognises(ModelSource(tmp_path))
    assert not HuggingFaceConverter().recognises(ModelSource(tmp_path / "config.json"))


def test_a_transformer_may_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    model(tmp_path / "0_Transformer")
    entries = [{"type": "sentence_transformers.models.Transformer", "path": "0_Transformer"}]
    (tmp_path / "modules.json").write_text(json.dumps(entries))

    assert read_folder(tmp_path).encoder == tmp_path / "0_Transformer"


def test_modules_outside_the_folder_are_refused(tmp_path: Path) -> None:
    sentences(tmp_path / "m")
    (tmp_path / "m" / "modules.json").write_text(json.dumps([{"type": "x.Transformer", "path": "../elsewhere"}]))

    with pytest.raises(ModelInvalid, match="outside the model's folder"):
        read_folder(tmp_path / "m")


def test_the_default_prompt_is_read(tmp_path: Path) -> None:
    folder = sentences(tmp_path, "Pooling")
    prompts = {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))

    assert read_folder(folder).prompt == "query: "


# --- weights


def test_safetensors_come_before_pickles(tmp_path: Path) -> None:
    folder = model(tmp_path, BERT, "pytorch_model.bin", "model.safetensors")

    assert weights_of(folder).name == "model.safetensors"
    assert HuggingFaceConverter().unpickled(folder) == ()


def test_pickled_weights_are_named_with_their_shards(tmp_path: Path) -> None:
    folder = model(tmp_path / "a", BERT, "pytorch_model.bin")
    assert HuggingFaceConverter().unpickled(folder) == (folder / "pytorch_model.bin",)

    sharded = model(tmp_path / "b", BERT, "part-1.bin", "part-2.bin")
    index = {"weight_map": {"x": "part-1.bin", "y": "part-2.bin", "z": "part-1.bin"}}
    (sharded / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert HuggingFaceConverter().unpickled(sharded) == (sharded / "part-1.bin", sharded / "part-2.bin")


def test_shards_outside_the_folder_are_refused(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", BERT, "x.txt")
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"x": "../other.bin"}}))

    with pytest.raises(ModelInvalid, match=r"'\.\./other\.bin', which is no file beside it"):
        HuggingFaceConverter().unpickled(folder)


def test_weights_of_other_frameworks_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"no weights that PyTorch reads: tf_model\.h5") as caught:
        weights_of(model(tmp_path, BERT, "tf_model.h5"))

    assert "save_pretrained" in caught.value.hint


def test_a_folder_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    """Transformers would make up an empty one, and answer nonsense."""
    with pytest.raises(ModelInvalid, match="holds no tokenizer") as caught:
        check_tokenizer(model(tmp_path))

    assert "tokenizer.save_pretrained" in caught.value.hint


# --- code of its own


def test_modules_that_a_folder_would_run_are_named(tmp_path: Path) -> None:
    folder = model(tmp_path, {**BERT, "auto_map": {"AutoModel": "modeling_x.Net", "AutoConfig": "o/r--conf.C"}})
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["tok.Slow", None]}}))

    assert HuggingFaceConverter().runs(folder) == ("modeling_x.Net", "o/r--conf.C", "tok.Slow")
    assert HuggingFaceConverter().runs(model(tmp_path / "plain")) == ()


# --- tasks


def test_the_class_decides_the_task(tmp_path: Path) -> None:
    for name, kind in (("DistilBertForSequenceClassification", "classification"), ("MPNetModel", "embedding")):
        folder = read_folder(model(tmp_path / name, {"model_type": "x", "architectures": [name]}))
        task = task_of(folder, None)
        assert (task.kind, task.loader) == (kind, name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("GPT2LMHeadModel", "writes text, token by token"),
        ("LlamaForCausalLM", "writes text, token by token"),
        ("T5ForConditionalGeneration", "writes text, token by token"),
        ("BertForTokenClassification", "a class for every token"),
        ("BertForQuestionAnswering", "marks answers in a text"),
        ("BertForMaskedLM", "fills masked words"),
        ("ViTForImageClassification", "neither an encoder of texts nor a sequence classifier"),
    ],
)
def test_what_is_not_served_is_refused_by_name(tmp_path: Path, name: str, reason: str) -> None:
    folder = read_folder(model(tmp_path, {"model_type": "x", "architectures": [name]}))
    with pytest.raises(ConverterMissing, match=f"{name} .*{reason}") as caught:
        task_of(folder, None)

    assert caught.value.hint


def test_the_encoder_of_another_head_is_chosen_by_class(tmp_path: Path) -> None:
    folder = read_folder(model(tmp_path, {"model_type": "bert", "architectures": ["BertForMaskedLM"]}))

    assert task_of(folder, "transformers:AutoModel").kind == "embedding"
    with pytest.raises(UsageError, match="'nets:Net', and this folder is of transformers"):
        task_of(folder, "nets:Net")


def test_a_class_of_the_folders_own_is_what_its_map_says(tmp_path: Path) -> None:
    for key, kind in (("AutoModel", "embedding"), ("AutoModelForSequenceClassification", "classification")):
        config = {"model_type": "x", "architectures": ["Mine"], "auto_map": {key: "mine.Mine"}}
        assert task_of(read_folder(model(tmp_path / key, config)), None).kind == kind


def cross_encoder(folder: Path, version: str) -> Path:
    """A cross-encoder as three generations of sentence-transformers wrote it."""
    named = "torch.nn.modules.linear.Identity"
    if version == "6":
        sentences(folder)
        (folder / "sentence_bert_config.json").write_text('{"transformer_task": "sequence-classification"}')
        about = {"model_type": "CrossEncoder", "activation_fn": named}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(about))
        return folder
    own = {"sentence_transformers": {"activation_fn": named}} if version == "4" else {}
    older = {"sbert_ce_default_activation_function": named} if version == "2" else {}
    return model(folder, {"model_type": "bert", "architectures": ["BertForSequenceClassification"], **own, **older})


@pytest.mark.parametrize("version", ["2", "4", "6"])
def test_cross_encoders_take_pairs_and_end_in_their_own_activation(tmp_path: Path, version: str) -> None:
    folder = read_folder(cross_encoder(tmp_path, version))

    assert task_of(folder, None).kind == "classification"
    assert folder.compares
    assert folder.activation == "Identity"


def test_other_models_take_one_text(tmp_path: Path) -> None:
    config = {**BERT, "sentence_transformers": {"version": "5"}}

    assert not read_folder(model(tmp_path, config)).compares


def test_other_models_of_sentence_transformers_are_refused_by_name(tmp_path: Path) -> None:
    folder = sentences(tmp_path, "Pooling")
    (folder / "config_sentence_transformers.json").write_text('{"model_type": "SparseEncoder"}')
    with pytest.raises(ConverterMissing, match="is a SparseEncoder of sentence-transformers"):
        task_of(read_folder(folder), None)


@pytest.mark.parametrize(
    ("config", "modes"),
    [
        ({}, ("mean",)),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, ("cls",)),
        ({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}, ("max", "mean")),
        ({"pooling_mode": "lasttoken"}, ("lasttoken",)),
        ({"pooling_mode": ["cls", "max"]}, ("cls", "max")),
    ],
)
def test_ways_of_pooling_are_read_in_both_forms(config: dict[str, Any], modes: tuple[str, ...]) -> None:
    assert pooling_modes(config) == modes


def test_a_way_of_pooling_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConverterMissing, match="pooling by 'median' is not known"):
        pooling_modes({"pooling_mode": "median"})
