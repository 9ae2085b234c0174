"""What a stranger's Keras file or SavedModel could do, judged without TensorFlow, which is not installed here."""

import base64
import io
import json
import marshal
import zipfile
from pathlib import Path
from typing import Any

import pytest

from packager.convert import convert
from packager.converters.tensorflow import TensorflowConverter, keras_files
from packager.converters.tensorflow.graph_files import _saved_model_type
from packager.core.conversion import ModelSource
from packager.core.errors import ModelInvalid, UnsafeModel

FIXTURES = Path(__file__).parent.parent / "fixtures" / "tensorflow"
DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2, "activation": "relu"}}


def layer(name: str, module: str | None, config: Any = None, **more: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config if config is not None else {"name": "it"}, **more}


def model_of(*layers: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}


def keras_file(path: Path, config: Any, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def foreign(path: Path, **options: Any) -> tuple[str, ...]:
    return TensorflowConverter().code_in(path, options)


def marshalled() -> str:
    code = compile("__import__('os').system('touch /tmp/dray-was-here')", "x", "eval")
    return base64.b64encode(marshal.dumps(code)).decode()


def test_a_model_of_keras_own_layers_has_nothing_foreign(tmp_path: Path) -> None:
    assert foreign(keras_file(tmp_path / "m.keras", model_of(DENSE))) == ()


HOSTILE = {
    "lambda": (layer("Lambda", "keras.layers", {"name": "it", "function": "x"}), "the Lambda layer 'it'"),
    "legacy lambda": ({"class_name": "Lambda", "config": {"name": "it"}}, "the Lambda layer 'it'"),
    "function": (
        layer("Activation", "keras.layers", {"activation": layer("__lambda__", None, {"code": marshalled()})}),
        "a Python function in the file (__lambda__)",
    ),
    "system": (layer("system", "os", "touch x"), "os.system, which is no part of Keras"),
    "system as function": (layer("function", "os", "system"), "os.system, which is no part of Keras"),
    "subprocess": (layer("Popen", "subprocess", {"args": ["id"]}), "subprocess.Popen, which is no part of Keras"),
    "keras utility": (layer("function", "keras.utils", "get_file"), "keras.utils.get_file"),
    "keras loader": (layer("function", "keras.models", "load_model"), "keras.models.load_model"),
    "saved model layer": (layer("TFSMLayer", "keras.layers", {"filepath": "/x"}), "keras.layers.TFSMLayer"),
    "torch module": (layer("TorchModuleWrapper", "keras.layers", {"m": "eA=="}), "keras.layers.TorchModuleWrapper"),
    "typespec": (layer("__typespec__", "os", ["x"], spec_name="system"), "the type os.system"),
    "vocabulary file": (
        layer("StringLookup", "keras.layers", {"name": "it", "vocabulary": "/etc/passwd"}),
        "reading the file '/etc/passwd' for 'it'",
    ),
    "registered class": (layer("Scale", None, registered_name="fx>Scale"), "fx>Scale, which is no part of Keras"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_would_run_is_named_and_refused_before_anything_is_made(name: str, tmp_path: Path) -> None:
    hostile, expected = HOSTILE[name]
    path = keras_file(tmp_path / "m.keras", model_of(DENSE, layer("Dense", "keras.layers"), hostile))
    (work := tmp_path / "work").mkdir()

    assert expected in foreign(path)
    with pytest.raises(UnsafeModel) as caught:
        convert(ModelSource(path), workdir=work)

    assert expected in caught.value.message
    assert "--trust" in caught.value.hint
    assert not Path("/tmp/dray-was-here").exists()


def test_a_hidden_layer_is_found_wherever_it_is_nested(tmp_path: Path) -> None:
    inner = layer("TimeDistributed", "keras.layers", {"layer": model_of(HOSTILE["lambda"][0])})

    assert "the Lambda layer 'it'" in foreign(keras_file(tmp_path / "m.keras", model_of(inner)))


def test_what_compiles_the_model_is_never_loaded(tmp_path: Path) -> None:
    config = {**model_of(DENSE), "compile_config": {"loss": layer("function", "own", "loss")}}

    assert foreign(keras_file(tmp_path / "m.keras", config)) == ()


def test_the_users_own_module_vouches_for_classes_but_not_for_lambdas() -> None:
    path = FIXTURES / "custom_layer_lambda_keras3" / "model.keras"

    code = ("the Lambda layer 'lambda'", "a Python function in the file (__lambda__)")
    assert foreign(path) == ("fx>Scale, which is no part of Keras", *code)
    assert foreign(path, plugin="layers.py") == foreign(path)[1:]


@pytest.mark.parametrize("entry", ["../outside", "/etc/cron.d/x", "assets/../../x"])
def test_paths_that_lead_out_of_the_file_are_refused(entry: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeModel, match="leads out of it"):
        foreign(keras_file(tmp_path / "m.keras", model_of(DENSE), **{entry: b"x"}))


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_files, "_FREE_BYTES", 1 << 20)
    with pytest.raises(UnsafeModel, match="grows to more than"):
        foreign(keras_file(tmp_path / "m.keras", model_of(DENSE), weights=bytes(4 << 20)))


@pytest.mark.parametrize("size", [4, 40, 200])
def test_a_truncated_file_is_said_to_be_damaged(size: int, tmp_path: Path) -> None:
    whole = io.BytesIO((FIXTURES / "stringlookup_keras3" / "model.keras").read_bytes())
    path = tmp_path / "m.keras"
    path.write_bytes(whole.getvalue()[:size])

    with pytest.raises(ModelInvalid):
        foreign(path)


def hdf5(path: Path, config: Any) -> Path:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(96) + json.dumps(config).encode() + bytes(64))
    return path


def test_hdf5_files_are_judged_by_the_same_names(tmp_path: Path) -> None:
    assert foreign(hdf5(tmp_path / "m.h5", model_of(DENSE))) == ()
    assert foreign(FIXTURES / "keras2_rnn_h5" / "model.h5") == ()
    legacy = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config": {"name": "it"}}]}}
    assert foreign(hdf5(tmp_path / "l.h5", legacy)) == ("the Lambda layer 'it'",)


def test_an_hdf5_file_of_weights_alone_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="weights alone") as caught:
        foreign(hdf5(tmp_path / "m.h5", {"units": 3}))

    assert "build.py:load" in caught.value.hint


def saved_model(folder: Path, *operations: str, saver: str = "NoOp", in_function: bool = False) -> Path:
    """A SavedModel whose graph calls these operations, and whose saver calls ``saver``."""
    message = _saved_model_type()()
    graph = message.meta_graphs.add()
    graph.saver.save, graph.saver.restore = "save", "restore"
    graph.graph.node.add(name="save", op="StatefulPartitionedCall").attr.add(key="f").value.func.name = "saving"
    graph.graph.node.add(name="restore", op="NoOp")
    saving = graph.graph.library.function.add()
    saving.signature.name = "saving"
    saving.node.add(name="s", op=saver)
    nodes = graph.graph.node
    if in_function:
        graph.graph.node.add(name="call", op="PartitionedCall").attr.add(key="f").value.func.name = "inner"
        inner = graph.graph.library.function.add()
        inner.signature.name = "inner"
        nodes = inner.node
    for index, operation in enumerate(operations):
        nodes.add(name=f"n{index}", op=operation)
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())
    return folder


@pytest.mark.parametrize("in_function", [False, True])
@pytest.mark.parametrize("operation", ["ReadFile", "WriteFile", "EagerPyFunc", "PyFunc", "SaveV2", "PrintV2", "OwnOp"])
def test_operations_that_touch_more_than_the_graph_are_named(operation: str, in_function: bool, tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "m", "MatMul", operation, "Softmax", in_function=in_function)

    assert foreign(folder) == (f"the operation {operation}",)


def test_variables_may_be_saved_where_savers_do_that_and_nothing_else(tmp_path: Path) -> None:
    assert foreign(saved_model(tmp_path / "a", "MatMul", saver="SaveV2")) == ()
    assert foreign(saved_model(tmp_path / "b", "MatMul", saver="WriteFile")) == ("the operation WriteFile",)
    for name in ("stringlookup_keras3", "lstm_multi_io_savedmodel"):
        assert foreign(FIXTURES / name / "saved_model") == ()


def test_a_damaged_saved_model_is_said_to_be(tmp_path: Path) -> None:
    (folder := tmp_path / "m").mkdir()
    whole = (FIXTURES / "lstm_multi_io_savedmodel" / "saved_model" / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ModelInvalid, match="cut off"):
        foreign(folder)


def test_a_link_to_a_file_elsewhere_is_not_followed(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "m", "MatMul")
    (folder / "assets").mkdir()
    (folder / "assets" / "words.txt").symlink_to("/etc/passwd")
    (work := tmp_path / "work").mkdir()

    with pytest.raises(ModelInvalid, match="link to a file elsewhere"):
        convert(ModelSource(folder), workdir=work)
