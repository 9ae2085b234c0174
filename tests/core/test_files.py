"""Files are written whole or not at all, and the system's refusals become dray's errors."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packager.core.errors import DiskFull, NotWritable
from packager.core.files import copy_tree, new_folder, write_atomic

ROOT = Path(__file__).parents[2]
# RLIMIT_FSIZE makes the kernel refuse to write more, as a full disk does; in a process of its own, for it is for good.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from packager.core.errors import DiskFull
from packager.core.files import copy_tree, new_folder, write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path = Path(sys.argv[1])
try:
    if sys.argv[2] == "file":
        write_atomic(path, b"x" * 5000)
    else:
        with new_folder(path) as folder:
            copy_tree(Path(sys.argv[3]), folder)
except DiskFull as error:
    print(error.code, error.message, error.hint, sep="\\n")
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_written_file_holds_the_last_content_and_nothing_else_is_left(tmp_path: Path, one: bytes, two: bytes) -> None:
    path = tmp_path / "folder" / "file"

    for content in (one, two):
        write_atomic(path, content)

    assert path.read_bytes() == two
    assert names(path.parent) == ["file"]


def test_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    usual, path = tmp_path / "usual", tmp_path / "file"
    usual.touch()

    write_atomic(path, b"")

    assert path.stat().st_mode == usual.stat().st_mode


def test_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "package"

    with new_folder(path) as folder:
        (folder / "a").write_text("a")
        assert not path.exists()

    assert (path / "a").read_text() == "a"
    assert names(tmp_path) == ["package"]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt()], ids=["bug", "ctrl-c"])
def test_folder_vanishes_on_any_error(tmp_path: Path, error: BaseException) -> None:
    def interrupted() -> None:
        with new_folder(tmp_path / "package") as folder:
            (folder / "a").write_text("a")
            raise error

    with pytest.raises(type(error)):
        interrupted()

    assert names(tmp_path) == []


def test_folder_that_came_into_being_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "package"

    def outrun() -> None:
        with new_folder(path):
            path.mkdir()
            (path / "theirs").touch()

    with pytest.raises(FileExistsError):
        outrun()

    assert names(tmp_path) == ["package"]
    assert names(path) == ["theirs"]


def test_path_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotWritable) as caught:
        write_atomic(tmp_path / "file" / "record", b"")

    assert caught.value.code == "E-NOT-WRITABLE"
    assert repr(str(tmp_path / "file" / "record")) in caught.value.message
    assert "DRAY_HOME" in caught.value.hint


@pytest.mark.parametrize("what", ["file", "folder"])
def test_full_disk_is_named_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "large").write_bytes(b"x" * 5000)

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(target / "thing"), what, str(source)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    code, message, hint = done.stdout.splitlines()
    assert code == DiskFull.code
    assert repr(str(target / "thing")) in message
    assert "free some space" in hint
    assert names(target) == []


def test_copy_follows_links_and_keeps_the_tree(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "inner").mkdir(parents=True)
    target.mkdir()
    (tmp_path / "elsewhere").write_text("content")
    (source / "inner" / "link").symlink_to(tmp_path / "elsewhere")

    copy_tree(source, target)

    assert (target / "inner" / "link").read_text() == "content"
    assert not (target / "inner" / "link").is_symlink()


def test_folder_that_another_made_just_before_the_renaming_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "package"
    monkeypatch.setattr(Path, "exists", lambda self: False)
    making = new_folder(path)
    making.__enter__()
    path.mkdir()
    (path / "theirs").touch()

    with pytest.raises(FileExistsError):
        making.__exit__(None, None, None)

    assert [each.name for each in tmp_path.iterdir()] == ["package"]
