"""The base image of ``make base``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from packager.image.transfer import Layout
from tests.support.base_image import ROOT

pytestmark = pytest.mark.slow

MAKE = ROOT / "tools" / "make_base.py"


def test_same_packages_make_the_same_base(base_layout: Path, tmp_path: Path) -> None:
    digests = []
    for number, (zone, umask) in enumerate((("UTC", 0o022), ("Asia/Tokyo", 0o077))):
        out = tmp_path / str(number)
        subprocess.run(
            [sys.executable, str(MAKE), "--out", str(out), "--platform", "linux/arm64"],
            check=True, cwd=tmp_path, umask=umask, env={**os.environ, "TZ": zone, "LC_ALL": "C.UTF-8"}, timeout=200,
            capture_output=True,
        )  # fmt: skip
        digests.append(Layout(out).top().digest)

    assert digests[0] == digests[1]
