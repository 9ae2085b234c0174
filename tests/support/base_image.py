"""The Python base image of ``make base``, made once and kept in ``.cache``."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.absent import absent

ROOT = Path(__file__).parents[2]
LAYOUT = ROOT / ".cache" / "base" / "layout"


@pytest.fixture(scope="session")
def base_layout() -> Path:
    """An OCI layout for amd64 and arm64."""
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]:
        absent(f"{' and '.join(missing)} to make a base image from Debian packages is not installed here")
    LAYOUT.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LAYOUT.parent / "lock"):
        if not (LAYOUT / "index.json").exists():
            argv = [sys.executable, str(ROOT / "tools" / "make_base.py")]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=280)
            if done.returncode:
                absent(f"the base image cannot be made: {done.stderr[-500:]}")
    return LAYOUT
