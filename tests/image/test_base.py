from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from packager.core.credentials import Anonymous
from packager.core.errors import ArchitectureMissing, BaseUnusable, CompilerMissing, ImageInvalid, ImageMissing
from packager.core.image import Platform
from packager.core.progress import SilentProgress
from packager.image.base import Base, fetch_base, read_base
from packager.image.python import compiler
from tests.image.bases import PYTHON, docker_archive, layout_of

AMD64 = Platform.parse("linux/amd64")


def base(name: Path | str, cache: Path, platform: Platform = AMD64) -> Base:
    layout = fetch_base(str(name), (platform,), cache, Anonymous(), SilentProgress())
    return read_base(layout, str(name), platform)


def test_a_layout_and_an_archive_of_it_are_the_same_base(tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "base")
    found = base(layout, tmp_path / "cache")
    saved = base(docker_archive(layout, tmp_path / "base.tar"), tmp_path / "cache")

    assert (found.python.version, found.python.path) == ((3, 11), "/usr/bin/python3.11")
    assert [layer.diff_id for layer in saved.layers] == [layer.diff_id for layer in found.layers]
    assert saved.python == found.python


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        (({"usr/bin/python3.11": b""}, {"usr/local/bin/python3.13": b""}), "/usr/local/bin/python3.13"),
        (
            ({"usr/bin/python3.11": b""}, {"opt/bin/python3.13": b""}, {"opt/bin/.wh.python3.13": b""}),
            "/usr/bin/python3.11",
        ),
        (({"usr/local/bin/python3.12": b""}, {"usr/local/bin/.wh..wh..opq": b"", **PYTHON}), "/usr/bin/python3.11"),
        (
            ({"usr/bin/python3.11": b"", "usr/bin/python3.9": b"", "usr/bin/python3.12-config": b""},),
            "/usr/bin/python3.11",
        ),
    ],
)
def test_the_python_is_read_from_what_the_layers_leave(
    tmp_path: Path, layers: tuple[dict[str, bytes], ...], path: str
) -> None:
    assert base(layout_of(tmp_path / "base", layers), tmp_path / "cache").python.path == path


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (({"usr/bin/sh": b""},), "holds no Python"),
        (({"usr/bin/python3.9": b""},), "holds Python 3.9, and wheels are locked for 3.11, 3.12, 3.13"),
        ((PYTHON, {"usr/bin/.wh.python3.11": b""}), "holds no Python"),
    ],
)
def test_a_base_without_a_usable_python_is_refused(
    tmp_path: Path, layers: tuple[dict[str, bytes], ...], message: str
) -> None:
    with pytest.raises(BaseUnusable, match=message):
        base(layout_of(tmp_path / "base", layers), tmp_path / "cache")


def test_another_processor_is_refused_with_what_there_is(tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "base", platforms=["linux/arm64"])
    with pytest.raises(ArchitectureMissing, match="it is for linux/arm64"):
        base(layout, tmp_path / "cache")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "base.tar").write_bytes(content)
    with pytest.raises(ImageInvalid, match="no image archive"):
        base(tmp_path / "base.tar", tmp_path / "cache")


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageMissing, match="no base image at"):
        base(tmp_path / "base.tar", tmp_path / "cache")


def test_a_damaged_layer_is_refused(tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "base")
    layer = next(path for path in (layout / "blobs" / "sha256").iterdir() if path.read_bytes()[:2] == b"\x1f\x8b")
    layer.write_bytes(layer.read_bytes()[:40])
    with pytest.raises(ImageInvalid, match="or it has other bytes"):
        base(layout, tmp_path / "cache")


def test_compiling_for_another_python_takes_that_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr("packager.image.python._of_uv", lambda _version: None)
    with pytest.raises(CompilerMissing, match=r"Python 3\.10") as caught:
        compiler((3, 10))
    assert "uv python install 3.10" in caught.value.hint


ORT = "site-packages/onnxruntime/__init__.py"


@pytest.mark.parametrize(
    ("layers", "folder"),
    [
        (
            ({"usr/local/bin/python3.12": b"", f"usr/local/lib/python3.12/{ORT}": b""},),
            "/usr/local/lib/python3.12/site-packages",
        ),
        (
            ({**PYTHON, "usr/lib/python3/dist-packages/onnxruntime/__init__.py": b""},),
            "/usr/lib/python3/dist-packages",
        ),
        (
            ({"opt/conda/bin/python3.11": b"", f"opt/conda/lib/python3.11/{ORT}": b""},),
            "/opt/conda/lib/python3.11/site-packages",
        ),
        # Of another Python, of an environment that this one does not look into, and removed by a later layer.
        (({**PYTHON, f"usr/lib/python3.9/{ORT}": b""},), ""),
        (({**PYTHON, f"opt/venv/lib/python3.11/{ORT}": b""},), ""),
        (({**PYTHON, f"usr/lib/python3.11/{ORT}": b""}, {"usr/lib/python3.11/site-packages/.wh.onnxruntime": b""}), ""),
        (({**PYTHON, "usr/lib/python3.11/site-packages/onnxruntime_extensions/__init__.py": b""},), ""),
    ],
)
def test_an_onnxruntime_of_the_base_is_found_where_its_python_would(
    tmp_path: Path, layers: Sequence[Mapping[str, bytes]], folder: str
) -> None:
    assert base(layout_of(tmp_path / "base", layers), tmp_path / "cache").python.onnxruntime == folder
