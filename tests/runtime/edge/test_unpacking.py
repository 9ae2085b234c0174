"""Archives that hold what no package holds."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.contract.package import read_package
from runtime.edge.unpacking import copy, unpack
from runtime.errors import ArchiveUnsafe, NoRoom
from tests.support.archive_server import digest_of, packed


def room(_size: int) -> None:
    """Always."""


def written(folder: Path, *members: tarfile.TarInfo, body: bytes = b"", mode: str = "w") -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for member in members:
            member.size = len(body) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(body))
    (folder / "archive").write_bytes(buffer.getvalue())
    return folder / "archive"


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode = kind, link, 0o6777
    return found


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("folder", [".", "iris-2"])
def test_a_package_comes_out_as_it_went_in(package: Path, tmp_path: Path, mode: str, folder: str) -> None:
    (tmp_path / "archive").write_bytes(packed(package, mode, folder))
    unpack(tmp_path / "archive", tmp_path / "out", room)
    assert read_package(tmp_path / "out").digest == digest_of(package)


@pytest.mark.parametrize(
    "bad",
    [
        member("../out-of-it"),
        member("/etc/passwd"),
        member("a/../../b"),
        member("a\\b"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.LNKTYPE, "model.onnx"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
        member("."),
        member("x" * 2000),
    ],
    ids=lambda bad: f"{bad.name[:12]}-{bad.type.decode()}",
)
def test_what_no_package_holds_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    with pytest.raises(ArchiveUnsafe) as caught:
        unpack(written(tmp_path, member("model.onnx"), bad), tmp_path / "out", room)
    assert caught.value.hint.startswith("make it of a package's folder: tar -cf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "out"]


def test_modes_and_owners_are_not_taken_over(tmp_path: Path) -> None:
    unpack(written(tmp_path, member("a"), member("manifest.json")), tmp_path / "out", room)
    assert (tmp_path / "out/a").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_a_name_stands_once(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(ArchiveUnsafe, match="twice"):
        unpack(written(tmp_path, *map(member, names)), tmp_path / "out", room)


def test_a_bomb_stops_at_the_room_that_there_is(tmp_path: Path) -> None:
    bomb = written(tmp_path, member("a"), member("b"), body=bytes(1 << 20), mode="w:gz")
    left = [1_500_000]

    def need(size: int) -> None:
        left[0] -= size
        if left[0] < 0:
            raise NoRoom("no room")

    with pytest.raises(NoRoom):
        unpack(bomb, tmp_path / "out", need)
    assert not (tmp_path / "out/b").exists()


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    huge = member("a")
    huge.pax_headers = {"comment": "x" * (5 << 20)}
    archive = written(tmp_path, huge, mode="w:gz")
    with pytest.raises(ArchiveUnsafe, match="a header is too large"):
        unpack(archive, tmp_path / "out", room)


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b[:-20], lambda b: b"", lambda b: b[:600] + b"\xff" * 600]
)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_spoilt_archive_is_no_package(
    package: Path, tmp_path: Path, mode: str, spoil: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "archive").write_bytes(spoil(packed(package, mode)))
    try:
        unpack(tmp_path / "archive", tmp_path / "out", room)
    except ArchiveUnsafe:
        return
    if (tmp_path / "out/manifest.json").exists():  # the last bytes are padding
        assert read_package(tmp_path / "out").digest == digest_of(package)


def test_a_folder_is_copied_without_links(package: Path, tmp_path: Path) -> None:
    assert copy(package, tmp_path / "out", room) == sum(p.stat().st_size for p in package.rglob("*") if p.is_file())
    assert read_package(tmp_path / "out").digest == digest_of(package)
    (tmp_path / "out/link").symlink_to("/etc/passwd")
    with pytest.raises(ArchiveUnsafe, match="'link', which is no plain file"):
        copy(tmp_path / "out", tmp_path / "again", room)
