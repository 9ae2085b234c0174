import gzip
import os
import tarfile
import time
from pathlib import Path

import pytest

from packager.image.archive import files_below, write_layer


def folder(root: Path, mode: int = 0o644) -> Path:
    (root / "a" / "b").mkdir(parents=True)
    for name, content in {"a/b/one": b"1" * 3000, "a/two": b"", "three": b"3"}.items():
        (root / name).write_bytes(content)
        (root / name).chmod(mode)
    return root


def test_the_same_files_make_the_same_layer_whoever_packs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_layer("model", files_below(folder(tmp_path / "x"), "model"), tmp_path / "one")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    before = os.umask(0o077)
    try:
        other = folder(tmp_path / "elsewhere" / "y", mode=0o600)
        os.utime(other / "three", (1, 1))
        second = write_layer("model", files_below(other, "model"), tmp_path / "two")
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()
    assert first == second


def test_a_layer_is_what_its_descriptor_says(tmp_path: Path) -> None:
    content = {"model/x": b"hello", **files_below(folder(tmp_path / "x"), "opt/y")}
    layer = write_layer("model", content, tmp_path / "blobs", epoch=1_700_000_000)
    packed = (tmp_path / "blobs" / layer.descriptor.digest[7:]).read_bytes()

    assert len(packed) == layer.descriptor.size
    assert len(gzip.decompress(packed)) == layer.unpacked_bytes
    with tarfile.open(tmp_path / "blobs" / layer.descriptor.digest[7:]) as tar:
        members = tar.getmembers()
    assert [member.name for member in members][:5] == ["model", "opt", "opt/y", "opt/y/a", "opt/y/a/b"]
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members} == {(0, 0, "", 1_700_000_000)}
    assert {member.mode for member in members if member.isreg()} == {0o644}


def test_a_folder_may_belong_to_whoever_runs_the_image(tmp_path: Path) -> None:
    layer = write_layer("model", {"var/x": b"1"}, tmp_path / "blobs", owned={"var/lib/kept": 65532})
    with tarfile.open(tmp_path / "blobs" / layer.descriptor.digest[7:]) as tar:
        owners = {member.name: (member.isdir(), member.uid, member.gid) for member in tar}
    root = (True, 0, 0)
    assert owners == {
        "var": root, "var/lib": root, "var/lib/kept": (True, 65532, 65532), "var/x": (False, 0, 0)
    }  # fmt: skip


def test_nothing_is_left_of_a_layer_that_cannot_be_packed(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="gone"):
        write_layer("model", {"x": b"1", "y": tmp_path / "gone"}, tmp_path / "blobs")
    assert list((tmp_path / "blobs").iterdir()) == []
