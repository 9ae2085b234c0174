import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.packages import make_package

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_a_wheel_installed_elsewhere_works(tmp_path: Path) -> None:
    """Built, installed with its runtime extra in a new environment, and used from a folder that has no dray in it."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT], check=True, timeout=240)
    (wheel,) = tmp_path.glob("dray-*.whl")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env"], check=True, timeout=120)
    python = tmp_path / "env" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, "--constraint", constraints, f"{wheel}[runtime]"],
        check=True,
        timeout=240,
    )
    package = make_package(tmp_path / "p")
    dray = tmp_path / "env" / "bin" / "dray"

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [str(dray), *map(str, arguments)], cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert package.digest in run("inspect", package.root)
    try:
        assert "smoke tests passed" in run("deploy", package.root, "-t", "local", "-n", "wheel")
        assert '"data"' in run("invoke", "wheel", "-i", "X=[[1, 2, 3, 4]]", "-o", "json")
    finally:
        run("delete", "wheel", "--yes")
