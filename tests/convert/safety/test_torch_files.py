"""PyTorch's files are judged before anything loads them: pickles, graphs, scripts and weights."""

import gzip
import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from packager.convert.safety import Cleared, cleared
from packager.convert.safety.torch_files import is_safetensors
from packager.core.errors import DrayError, ModelInvalid, UnsafeModel
from packager.core.torch_archives import LEGACY_MAGIC
from tests.support.pickles import touching
from tests.support.torch_files import FIXTURES, Change, inner_archive, rewritten, with_graph, with_pickle


def judged(path: Path, **options: Any) -> Cleared:
    folder = path.parent / "judged"
    folder.mkdir()
    return cleared(path, folder, frameworks=("torch",), **options)


def copied(tmp_path: Path, name: str) -> Path:
    path = tmp_path / Path(name).name
    path.write_bytes((FIXTURES / name).read_bytes())
    return path


@pytest.mark.parametrize(
    "name",
    ["layers.pt", "weights_old.pth", "program.pt2", "script.pt", "branch.ts", "lstm_multi_io/model.pth"],
)
def test_what_pytorch_saves_is_harmless(tmp_path: Path, name: str) -> None:
    result = judged(copied(tmp_path, name))

    assert result.trusted == ()
    assert result.limits.frameworks == ("torch",)


def test_a_class_of_ones_own_needs_its_name_or_trust(tmp_path: Path) -> None:
    path = copied(tmp_path, "branch.pt")

    with pytest.raises(UnsafeModel, match=r"pt_defs\.DataDep") as caught:
        judged(path)
    assert "--class pt_defs:DataDep" in caught.value.hint
    (tmp_path / "again").mkdir()
    named = cleared(path, tmp_path / "again", frameworks=("torch",), classes=("pt_defs:DataDep",))
    assert (named.trusted, named.limits.classes) == ((), ("pt_defs:DataDep",))
    (tmp_path / "other").mkdir()
    with pytest.raises(UnsafeModel):
        cleared(path, tmp_path / "other", frameworks=("torch",), classes=("pt_defs:Other",))


def test_no_function_of_python_can_be_named_as_the_class(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "m.pt", touching(tmp_path / "touched", protocol=2))

    with pytest.raises(UnsafeModel, match="system") as caught:
        judged(path, classes=("posix:system",))
    assert "--class" not in caught.value.hint


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_checkpoint_that_runs_a_program_is_refused_and_does_not_run_it(tmp_path: Path, compression: int) -> None:
    path = with_pickle(tmp_path / "m.pt", touching(tmp_path / "touched", protocol=2), compression=compression)

    with pytest.raises(UnsafeModel, match=r"system"):
        judged(path)
    assert not (tmp_path / "touched").exists()


def test_a_checkpoint_inside_gzip_is_read_too(tmp_path: Path) -> None:
    inner = with_pickle(tmp_path / "inner.pt", touching(tmp_path / "touched", protocol=2))
    path = tmp_path / "m.pt"
    path.write_bytes(gzip.compress(inner.read_bytes()))

    with pytest.raises(UnsafeModel, match=r"system"):
        judged(path)


@pytest.mark.parametrize("place", range(2))
def test_every_pickle_of_the_old_format_is_read(tmp_path: Path, place: int) -> None:
    harmless = [pickle.dumps(value, protocol=2) for value in (1001, {}, OrderedDict(), [])]
    harmless.insert(2 + place, touching(tmp_path / "touched", protocol=2))
    path = tmp_path / "m.pth"
    path.write_bytes(LEGACY_MAGIC + b"".join(harmless))

    with pytest.raises(UnsafeModel, match=r"system"):
        judged(path)


def test_a_storage_must_have_a_type_that_is_known(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "m.pt", b"\x80\x02(X\x07\x00\x00\x00storagecos\nsystem\nX\x01\x00\x00\x000tQ.")

    with pytest.raises(UnsafeModel, match=r"os\.system"):
        judged(path)


def test_an_identity_that_is_no_storage_is_refused(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "m.pt", b"\x80\x02X\x05\x00\x00\x00otherQ.")

    with pytest.raises(UnsafeModel, match="persistent ids"):
        judged(path)


@pytest.mark.parametrize(
    "call", ["torch.storage\n_load_from_bytes", "torch.hub\nload", "torch.fx.graph_module\nreduce_graph_module"]
)
def test_functions_of_pytorch_that_load_or_run_more_are_refused(tmp_path: Path, call: str) -> None:
    path = with_pickle(tmp_path / "m.pt", f"c{call}\n(X\x01\x00\x00\x00xtR.".encode())

    with pytest.raises(UnsafeModel, match=call.rpartition("\n")[2]):
        judged(path)


def set_target(graph: dict[str, Any], target: str) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["target"] = target


def set_expression(graph: dict[str, Any], text: str) -> None:
    sizes = graph["graph_module"]["graph"]["tensor_values"]["input"]["sizes"]
    sizes[0] = {"as_expr": {"expr_str": text, "hint": {"as_int": 3}}}


def set_structure(graph: dict[str, Any], text: str) -> None:
    graph["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = text


HARM: dict[str, Change] = {
    "an expression is evaluated": lambda graph: set_expression(graph, "__import__('os').system('true')"),
    "an expression reaches attributes": lambda graph: set_expression(graph, "().__class__.__base__.__subclasses__()"),
    "an expression calls a builtin": lambda graph: set_expression(graph, "exec('import os')"),
    "a node calls torch.hub": lambda graph: set_target(graph, "torch.hub.load"),
    "a node reads a file": lambda graph: set_target(graph, "torch.ops.aten.from_file.default"),
    "a node makes a caller": lambda graph: set_target(graph, "_operator.methodcaller"),
    "a node calls another library": lambda graph: set_target(graph, "torch.ops.mylib.run.default"),
    "a guard is compiled": lambda graph: graph.update(guards_code=["__import__('os').system('true') == 0"]),
    "a range is evaluated": lambda graph: graph["range_constraints"].update({"open('x')": {"min_val": 0}}),
    "a container imports": lambda graph: set_structure(
        graph, json.dumps([1, {"type": "collections.defaultdict", "context": '{"default_factory_module": "os"}'}])
    ),
    "a context imports": lambda graph: set_structure(
        graph, json.dumps([1, {"type": "builtins.dict", "context": '[{"__enum__": true, "fqn": "os:x", "name": "y"}]'}])
    ),
}


@pytest.mark.parametrize("name", HARM)
def test_an_exported_program_that_would_run_text_is_refused(tmp_path: Path, name: str) -> None:
    path = with_graph(tmp_path / "m.pt2", HARM[name])

    with pytest.raises(UnsafeModel):
        judged(path)


@pytest.mark.parametrize(
    "text", ["Symbol('s77', positive=True, integer=True)", "2*s0 + Max(1, s1)//3", "FloorDiv(s0, 2)"]
)
def test_arithmetic_of_sizes_passes(tmp_path: Path, text: str) -> None:
    assert judged(with_graph(tmp_path / "m.pt2", lambda graph: set_expression(graph, text))).trusted == ()


@pytest.mark.parametrize("entry", ["data/sample_inputs/model.pt", "data/constants/tensor_0", "data/weights/weight_0"])
def test_pickles_inside_an_exported_program_are_read(tmp_path: Path, entry: str) -> None:
    harm = inner_archive(touching(tmp_path / "touched", protocol=2))
    path = rewritten(FIXTURES / "program.pt2", tmp_path / "m.pt2", {entry: harm})

    with pytest.raises(UnsafeModel, match=r"system"):
        judged(path)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "entry", ["data/constants/opaque_obj_0", "data/aotinductor/model/a.so", "data/weights/model.pt"]
)
def test_what_has_no_place_in_an_exported_program_is_refused(tmp_path: Path, entry: str) -> None:
    path = rewritten(FIXTURES / "program.pt2", tmp_path / "m.pt2", {entry: touching(tmp_path / "touched")})

    with pytest.raises(UnsafeModel, match=r"the entry"):
        judged(path)


def test_a_tensor_that_is_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    config = {"config": {"0.weight": {"path_name": "weight_0", "use_pickle": True}}}
    changed = {
        "data/weights/model_weights_config.json": json.dumps(config).encode(),
        "data/weights/weight_0": touching(tmp_path / "touched"),
    }

    with pytest.raises(UnsafeModel, match="bare pickle"):
        judged(rewritten(FIXTURES / "program.pt2", tmp_path / "m.pt2", changed))


@pytest.mark.parametrize(
    "line", ["torch.save(x, 'f')", "torch.from_file('f', True, 3)", "ops.mylib.run(x)", "ops.aten._save(x)"]
)
def test_torchscript_that_touches_files_or_other_libraries_is_refused(tmp_path: Path, line: str) -> None:
    path = rewritten(
        FIXTURES / "branch.ts", tmp_path / "m.ts", {"code/__torch__/pt_defs.py": f"  _0 = {line}\n".encode()}
    )

    with pytest.raises(UnsafeModel, match="TorchScript operator"):
        judged(path)


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    path = rewritten(FIXTURES / "layers.pt", tmp_path / "m.pt", {"DATA.PKL": touching(tmp_path / "touched")})

    with pytest.raises(UnsafeModel, match="two entries of one name"):
        judged(path)


def test_what_is_loaded_is_what_was_read(tmp_path: Path) -> None:
    path = copied(tmp_path, "layers.pt")
    path.write_bytes(b"PK\x05\x06 before the zip" + path.read_bytes())

    result = judged(path)

    assert result.path.read_bytes()[:4] == b"PK\x03\x04", "it is written anew, without what stood before it"


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"N.")
        with archive.open("m/data/0", "w", force_zip64=True) as stream:
            for _ in range(300):
                stream.write(bytes(1 << 20))

    with pytest.raises(UnsafeModel, match="grows to more than"):
        judged(path)


@pytest.mark.parametrize("cut", [100, 1000, 2000])
def test_a_file_that_is_cut_off_is_refused_without_a_traceback(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes((FIXTURES / "layers.pt").read_bytes()[:cut])

    with pytest.raises(DrayError) as caught:
        judged(path)
    assert isinstance(caught.value, ModelInvalid | UnsafeModel)


def test_safetensors_hold_no_code_and_are_told_by_their_header(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode().ljust(0x78)
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))  # begins as zlib does

    assert is_safetensors(path)
    assert judged(path).path.read_bytes() == path.read_bytes()
