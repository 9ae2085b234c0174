"""Whether the package index can be reached, through uv's ordinary configuration."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

UV = Path(sys.executable).with_name("uv")


def require_index() -> None:
    """Skip where the index cannot be reached, with the reason; under DRAY_REQUIRE_ALL=1 that is a failure."""
    if reason := _unreachable():
        if os.environ.get("DRAY_REQUIRE_ALL") == "1":
            pytest.fail(f"{reason}, and DRAY_REQUIRE_ALL is set", pytrace=False)
        pytest.skip(reason)


@cache
def _unreachable() -> str:
    if not UV.exists():
        return "uv is not installed beside this Python"
    argv = [str(UV), "pip", "compile", "--quiet", "--refresh-package", "idna", "-"]
    done = subprocess.run(argv, input="idna", capture_output=True, text=True, timeout=120)
    return "" if done.returncode == 0 else f"the package index cannot be reached: {done.stderr.strip()[-200:]}"
