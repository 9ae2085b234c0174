import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from packager.core.errors import CompilerMissing, WheelsUnavailable
from packager.core.image import ImageRef, Platform
from packager.image.build import ImageRequest, build_layout
from packager.image.layers import LayerStore
from packager.image.transfer import Layout
from packager.image.wheels import Wanted, compile_modules, install_wheels, lock_text, prune
from tests.image.bases import PYTHON, layout_of
from tests.support.fakes import RecordedProgress
from tests.support.packages import make_package


def test_modules_that_do_not_compile_stop_the_build(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("x = 1\n")
    compile_modules(sys.executable, tmp_path, "/opt/dray")
    assert [path.suffix for path in (tmp_path / "__pycache__").iterdir()] == [".pyc"]
    (tmp_path / "bad.py").write_text("def\n")
    with pytest.raises(CompilerMissing, match="did not compile all modules"):
        compile_modules(sys.executable, tmp_path, "/opt/dray")


def test_a_platform_without_locked_wheels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WheelsUnavailable, match="no locked wheels for linux/riscv64"):
        install_wheels(Wanted(Platform("linux", "riscv64"), (3, 11), compiled=False), tmp_path, "/x")


def test_what_nobody_imports_is_pruned_and_licences_stay(tmp_path: Path) -> None:
    for name in (
        "numpy/tests/a.py", "numpy/testing/b.py", "fastapi/testing/c.py", "numpy/__init__.pyi", "numpy/core.so",
        "bin/uvicorn", "numpy-2.dist-info/RECORD", "numpy-2.dist-info/licenses/LICENSE", "numpy-2.dist-info/METADATA",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    prune(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == [
        "fastapi/testing/c.py", "numpy-2.dist-info/METADATA", "numpy-2.dist-info/licenses/LICENSE", "numpy/core.so",
    ]  # fmt: skip


@pytest.mark.parametrize("texts", [False, True])
def test_the_lock_has_a_hash_for_everything_and_no_tools_of_the_builder(texts: bool) -> None:
    entries = [block for block in lock_text(texts).split("\n") if block and not block.startswith((" ", "#"))]
    names = {entry.split("==")[0] for entry in entries}
    assert {"fastapi", "onnxruntime", "uvicorn", "pysimdjson"} <= names
    assert ("tokenizers" in names) is texts
    assert not {"typer", "rich", "onnx", "docker"} & names
    assert lock_text(texts).count("--hash=sha256:") > len(entries)
    assert "://" not in lock_text(texts)


def test_another_release_of_python_makes_another_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, packed = LayerStore(tmp_path), []
    monkeypatch.setattr("packager.image.layers.install_wheels", lambda *_: packed.append(os.getpid()))
    monkeypatch.setattr("packager.image.layers.bill_of_materials", lambda _: b"{}")
    for release in ("3.11.7", "3.11.7", "3.11.9"):
        monkeypatch.setattr("packager.image.layers.compiler_release", lambda _, release=release: release)
        store.wheels(Wanted(Platform(), (3, 11)))
    assert len(packed) == 2


@pytest.mark.parametrize("texts", [False, True])
def test_the_lock_without_onnxruntime_holds_all_else(texts: bool) -> None:
    whole, rest = lock_text(texts).splitlines(), lock_text(texts, onnxruntime=False).splitlines()
    gone = [line for line in whole if line not in rest]
    assert gone[0].startswith("onnxruntime==")
    assert all(line.lstrip().startswith("--hash=") for line in gone[1:])
    assert [line for line in whole if line not in gone] == rest


def test_a_base_with_its_own_onnxruntime_keeps_it_and_the_image_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[Wanted] = []
    monkeypatch.setattr("packager.image.layers.install_wheels", lambda wanted, *_: installed.append(wanted))
    monkeypatch.setattr("packager.image.layers.bill_of_materials", lambda _: b"{}")
    own = {"usr/lib/python3.11/site-packages/onnxruntime/__init__.py": b"", **PYTHON}
    package, progress = make_package(tmp_path / "iris"), RecordedProgress()

    def built(name: str, layers: Mapping[str, bytes]) -> tuple[bool, Any]:
        base, out = layout_of(tmp_path / f"{name}-base", (layers,)), tmp_path / name
        out.mkdir()
        request = ImageRequest(ref=ImageRef.parse(name), base=str(base), platforms=(Platform(),), compiled=False)
        made = build_layout(package, request, out, cache=tmp_path / "cache", progress=progress)
        layout = Layout(out)
        return made.plain, layout.config(layout.manifest(layout.top()))["config"]["Labels"].get("dray.onnxruntime")

    assert (built("own", own), built("plain", PYTHON)) == ((False, "base"), (True, None))
    assert [wanted.onnxruntime for wanted in installed] == [False, True]
    assert progress.details == [
        "without onnxruntime: the base has one of its own, in /usr/lib/python3.11/site-packages"
    ]
