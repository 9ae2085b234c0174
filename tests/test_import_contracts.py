import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_layers_hold() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(tool), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("packager", ["numpy", "onnx", "onnxruntime", "sklearn", "fastapi"]),
        ("packager.core.protocols", ["numpy", "onnx", "onnxruntime", "fastapi", "typer", "httpx"]),
        ("packager.cli.app", ["numpy", "onnx", "onnxruntime", "sklearn", "fastapi", "httpx", "yaml"]),
        ("runtime.app", ["onnx", "typer", "rich", "httpx", "yaml", "pandas", "packager"]),
    ],
)
def test_start_up_is_light(module: str, absent: list[str]) -> None:
    code = f"import {module}, sys; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"
