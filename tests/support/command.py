"""The dray command as a user runs it: another process, its own streams."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from packager.cli.run import run

DRAY = Path(sys.executable).with_name("dray")


@dataclass(frozen=True)
class Run:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document it must be."""
        return json.loads(self.out)


def dray(*arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Run:
    """Run dray; the state folder is the test's own."""
    done = subprocess.run(
        [str(DRAY), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def in_process(capture: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Runs dray in this process; much quicker than ``dray`` where a test runs many commands."""

    def runs(*arguments: object) -> Run:
        capture.readouterr()
        status = run([str(argument) for argument in arguments])
        return Run(status, *capture.readouterr())

    return runs
