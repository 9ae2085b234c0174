"""What a file would call is named, whatever it hides behind, and nothing of it runs."""

import copyreg
import io
import pickle
import struct
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.convert.safety import cleared
from packager.core.errors import DrayError, ModelInvalid, UnsafeModel
from tests.support.pickles import COMPRESSIONS, Touch, joblib_bytes, touching


def refusal(content: bytes, folder: Path) -> DrayError:
    """How a file of this content is refused."""
    model, work = folder / "model.pkl", folder / "work"
    model.write_bytes(content)
    work.mkdir(exist_ok=True)
    with pytest.raises(DrayError) as caught:
        cleared(model, work)
    return caught.value


def named(error: DrayError) -> list[str]:
    return [call["name"] for call in error.detail["calls"]]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_malicious_pickle_is_named_and_does_not_run(compression: str, protocol: int, tmp_path: Path) -> None:
    content = COMPRESSIONS[compression](touching(tmp_path / "ran", protocol=protocol))

    error = refusal(content, tmp_path)

    assert isinstance(error, UnsafeModel)
    assert error.code == "E-UNSAFE"
    assert error.message.startswith("loading 'model.pkl' would call posix.system (byte ")
    assert "--trust" in error.hint
    assert named(error) == ["posix.system"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("method", ["zlib", "gzip", "bz2", "lzma", "xz"])
def test_what_joblib_itself_compresses_is_read_too(method: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    joblib.dump({"weights": np.ones(100), "evil": Touch(tmp_path / "ran")}, stream, compress=(method, 3))

    assert named(refusal(stream.getvalue(), tmp_path)) == ["posix.system"]
    assert not (tmp_path / "ran").exists()


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


CALL = text("print()") + b"\x85R."
EVASIONS: dict[str, tuple[bytes, str]] = {
    "a name put together in the memo": (
        b"\x80\x04" + text("builtins") + b"\x940" + text("eval") + b"\x940h\x00h\x01\x93" + CALL, "builtins.eval"
    ),
    "names that PUT and GET give twice": (b"Vos\np0\n0Vsystem\np1\n0g0\ng1\n\x93" + CALL, "os.system"),
    "a duplicated name": (b"\x80\x04" + stack_global("os", "system") + b"20" + CALL, "os.system"),
    "INST": (b"(Vtouch x\nios\nsystem\n.", "os.system"),
    "OBJ": (b"(cos\nsystem\nVtouch x\no.", "os.system"),
    "NEWOBJ": (b"\x80\x02csubprocess\nPopen\n)\x81.", "subprocess.Popen"),
    "NEWOBJ_EX": (b"\x80\x04" + stack_global("subprocess", "Popen") + b")}\x92.", "subprocess.Popen"),
    "getattr": (
        b"\x80\x04" + stack_global("builtins", "getattr") + stack_global("numpy", "ndarray") + text("tofile") + b"\x86R.",
        "builtins.getattr(numpy.ndarray, 'tofile')",
    ),
    "getattr that is kept for later": (
        b"\x80\x04" + stack_global("functools", "partial") + stack_global("builtins", "getattr") + b"\x85R.", "builtins.getattr"
    ),
    "a name of Python 2": (b"c__builtin__\nexecfile\n(Vx\ntR.", "builtins.execfile"),
    "a dotted name": (b"\x80\x04" + stack_global("sklearn", "base.os.system") + CALL, "sklearn.base.os.system"),
    "numpy.testing": (b"cnumpy.testing._private.utils\nrunstring\n(Vx\n}tR.", "numpy.testing._private.utils.runstring"),
    "joblib.load": (b"cjoblib.numpy_pickle\nload\n(Vx\ntR.", "joblib.numpy_pickle.load"),
    "numpy.load": (b"cnumpy\nload\n(Vx\ntR.", "numpy.load"),
    "a pickle in a pickle": (b"\x80\x04" + stack_global("_pickle", "loads") + b"C\x02N.\x85R.", "_pickle.loads"),
    "memmap, which opens files": (b"cnumpy\nmemmap\n(Vx\ntR.", "numpy.memmap('x')"),
    "memmap as an argument": (b"cpandas.core.indexes.base\n_new_Index\n(cnumpy\nmemmap\n}tR.", "numpy.memmap"),
    "an encoding that is not latin1": (b"c_codecs\nencode\n(Vx\nVidna\ntR.", "_codecs.encode('x', 'idna')"),
    "text that scipy executes": (
        b"\x80\x02cscipy.stats._continuous_distns\nnorm_gen\n)\x81}X\x13\x00\x00\x00_parse_arg_templateX\x04\x00\x00\x00evilsb.",
        "scipy.stats._continuous_distns.norm_gen.__setstate__ (which executes text)",
    ),
    "that text behind another constructor": (
        b"\x80\x02cnumpy.random._pickle\n__bit_generator_ctor\ncscipy.stats._continuous_distns\nnorm_gen\n\x85R.",
        "numpy.random._pickle.__bit_generator_ctor(scipy.stats._continuous_distns.norm_gen)",
    ),
    "a class that is changed": (b"\x80\x02csklearn.pipeline\nPipeline\n}X\x01\x00\x00\x00aK\x01sb.", "sklearn.pipeline.Pipeline.__setstate__"),
    "a class that is exchanged": (
        b"\x80\x02csklearn.utils._bunch\nBunch\n)\x81}}X\x09\x00\x00\x00__class__csklearn.pipeline\nPipeline\ns\x86b.",
        "sklearn.utils._bunch.Bunch.__setattr__ (with names that are computed)",
    ),
    "a call of what a call returned": (b"cbuiltins\nset\n)RVx\n\x85R.", "a call of something that is computed"),
    "a name that a call returned": (
        b"\x80\x04" + stack_global("builtins", "str") + b")R" + text("system") + b"\x93" + CALL, "an import by a name that is computed"
    ),
    "a second pickle": (pickle.dumps(1) + b"cos\nsystem\n" + CALL, "os.system"),
    "bytes after the end": (pickle.dumps([1]) + b"\0", "1 bytes after the end of the pickle"),
}  # fmt: skip


@pytest.mark.parametrize("how", EVASIONS)
def test_an_evasion_is_named(how: str, tmp_path: Path) -> None:
    content, call = EVASIONS[how]

    error = refusal(content, tmp_path)

    assert error.code == "E-UNSAFE", error.message
    assert call in named(error)


@pytest.mark.parametrize(
    "content", [b"\x82\x01.", b"\x83\x01\x00.", b"\x84\x01\0\0\0.", b"Pabc\n.", b"K\x01Q.", b"\x80\x05\x97."]
)
def test_what_stands_outside_the_file_is_refused(content: bytes, tmp_path: Path) -> None:
    copyreg.add_extension("os", "system", 1)
    try:
        error = refusal(content, tmp_path)
    finally:
        copyreg.remove_extension("os", "system", 1)

    assert error.code == "E-UNSAFE"
    assert "outside the file" in error.message


def test_objects_inside_an_array_of_joblib_are_read(tmp_path: Path) -> None:
    array = np.array([1, Touch(tmp_path / "ran"), "x"], dtype=object)

    assert named(refusal(joblib_bytes([np.ones(3), array, np.ones(4)]), tmp_path)) == ["posix.system"]


def test_bytes_of_an_array_are_no_opcodes(tmp_path: Path) -> None:
    array = np.frombuffer(touching(tmp_path / "ran") * 3, dtype=np.uint8)
    (tmp_path / "model.pkl").write_bytes(joblib_bytes([array, "after"]))
    (tmp_path / "work").mkdir()

    assert cleared(tmp_path / "model.pkl", tmp_path / "work").trusted == ()


def test_an_array_inside_a_frame_is_refused_because_joblib_reads_it_elsewhere(tmp_path: Path) -> None:
    honest = joblib_bytes(np.zeros(64, dtype=np.uint8))
    end = honest.rindex(b"ub") + 2  # the first stands in the word "subclass"
    frame = honest[11:end] + b"0" + stack_global("os", "system") + CALL
    content = b"\x80\x04\x95" + struct.pack("<Q", len(frame)) + frame + honest[end:]

    error = refusal(content, tmp_path)

    assert error.code == "E-UNSAFE"
    assert "an array inside a frame" in error.message


def test_an_array_whose_type_lies_about_its_objects_is_refused(tmp_path: Path) -> None:
    honest = joblib_bytes(np.zeros(4), protocol=2)
    lying = honest.replace(b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t", b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ft")
    assert lying != honest

    assert "joblib would not write" in refusal(lying, tmp_path).message


@pytest.mark.parametrize("compression", [name for name in COMPRESSIONS if name != "plain"])
def test_a_bomb_is_refused_before_it_fills_the_disk(
    compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packager.convert.safety.decompression._FREE_BYTES", 1 << 20)
    bomb = COMPRESSIONS[compression](b"\x80\x04B" + struct.pack("<I", 64 << 20) + bytes(64 << 20) + b".")

    error = refusal(bomb, tmp_path)

    assert isinstance(error, UnsafeModel)
    assert "grows to more than" in error.message
    assert sum(file.stat().st_size for file in (tmp_path / "work").iterdir()) < 32 << 20


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_file_that_is_cut_off_is_no_model(compression: str, tmp_path: Path) -> None:
    content = COMPRESSIONS[compression](joblib_bytes({"weights": np.random.default_rng(0).random(1000)}))

    error = refusal(content[: len(content) * 2 // 3], tmp_path)

    assert isinstance(error, ModelInvalid)
    assert "joblib.dump" in error.hint


def test_a_file_that_is_compressed_twice_is_refused(tmp_path: Path) -> None:
    error = refusal(COMPRESSIONS["xz"](COMPRESSIONS["gzip"](pickle.dumps(1))), tmp_path)

    assert error.code == "E-UNSAFE"
    assert "twice, with xz and gzip" in error.message


def test_bytes_after_a_compression_are_refused(tmp_path: Path) -> None:
    assert refusal(COMPRESSIONS["gzip"](pickle.dumps(1)) + b"more", tmp_path).code == "E-UNSAFE"


def test_a_cut_off_file_that_would_have_called_something_is_unsafe(tmp_path: Path) -> None:
    error = refusal(touching(tmp_path / "ran")[:-1] + b"(((", tmp_path)

    assert error.code == "E-UNSAFE"
    assert "cannot be read to its end" in error.message


def scanned(content: bytes, folder: Path) -> Any:
    model, work = folder / "model.pkl", folder / "work"
    model.write_bytes(content)
    work.mkdir(exist_ok=True)
    for file in work.iterdir():
        file.unlink()
    try:
        return cleared(model, work)
    except DrayError as error:
        return error


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x80\x04", b"\x80\x02", b"x\x9c", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"]),
)
def test_no_bytes_make_the_reader_fail_in_another_way(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, head: bytes
) -> None:
    scanned(head + body, tmp_path_factory.getbasetemp())


@given(st.data())
def test_no_damage_to_a_real_file_makes_the_reader_fail_in_another_way(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(joblib_bytes({"a": np.arange(5), "b": np.array(["x", None], dtype=object), "c": {1, 2}}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    scanned(bytes(content), tmp_path_factory.getbasetemp())
