"""An environment for each peer's requirements, made with uv on first use."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.serving.peers.base import ROOT, PeerUnavailable

HOME: Final = ROOT / ".cache" / "bench"
_INSTALL_S: Final = 600


def interpreter_for(name: str, requirements: Sequence[str]) -> Path:
    """The Python of the environment with exactly these requirements; this very one where there are none.

    Raises:
        PeerUnavailable: It cannot be made here, or not in time.
    """
    if not requirements:
        return Path(sys.executable)
    folder = HOME / name
    stamp, wanted = folder / "dray-bench.txt", "\n".join([sys.version, *requirements])
    python = folder / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == wanted and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise PeerUnavailable("uv is not installed beside this Python")
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    _run([uv, "pip", "install", "--quiet", "--python", str(python), *requirements])
    stamp.write_text(wanted)
    return python


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise PeerUnavailable(f"not installed within {_INSTALL_S} s") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise PeerUnavailable(f"not installed: {' '.join(lines)[-300:]}")
