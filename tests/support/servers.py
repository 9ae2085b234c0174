"""The real runtime as a process on a free loopback port."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

ROOT = Path(__file__).parents[2]
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL")


@dataclass
class RunningServer:
    """A ``python -m runtime`` that was started for a test.

    Attributes:
        log: Where its stderr goes.
    """

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stderr(self) -> str:
        return self.log.read_text()

    def readiness(self) -> dict[str, Any]:
        """The body of ``/readyz``."""
        body: dict[str, Any] = httpx.get(f"{self.url}/readyz", timeout=10).json()
        return body

    def wait_for_state(self, *states: str, timeout_s: float = 30) -> dict[str, Any]:
        """The first ``/readyz`` body whose state is one of these."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.stderr()}")
            try:
                body = self.readiness()
            except httpx.TransportError:
                body = {}
            if body.get("state") in states:
                return body
            time.sleep(0.02)
        raise AssertionError(f"not {states} after {timeout_s} s:\n{self.stderr()}")

    def wait_for_log(self, text: str, *, count: int = 1, timeout_s: float = 30) -> None:
        """Until the log holds the text so often."""
        deadline = time.monotonic() + timeout_s
        while self.stderr().count(text) < count:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"not {count} times {text!r} in:\n{self.stderr()}")
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def terminate(self, timeout_s: float = 40) -> int:
        """SIGTERM, and the exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(timeout=timeout_s)


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def runtime_environment(packages: Sequence[Path], settings: Mapping[str, str]) -> dict[str, str]:
    """Settings by name, without those of whoever runs the tests."""
    inherited = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    named = {"DRAY_HOST": "127.0.0.1", "DRAY_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return {**inherited, **named, "DRAY_PACKAGES": os.pathsep.join(map(str, packages)), **settings}


@contextmanager
def running_server(
    *packages: Path, log: Path, until: Sequence[str] = ("ready",), out: IO[bytes] | None = None, **settings: str
) -> Iterator[RunningServer]:
    """``python -P -m runtime`` over ``packages``, killed at the end of the block if it still runs.

    Args:
        out: Where its stdout goes; None is that of the tests.
        until: States of ``/readyz`` to wait for; empty waits for nothing.
        settings: Further environment variables, by their full names (``DRAY_MAX_QUEUE="1"``).
    """
    port = int(settings.get("DRAY_STANDBY_PORT") or settings.get("DRAY_PORT") or free_port())
    environment = runtime_environment(packages, {"DRAY_PORT": str(port), **settings})
    with log.open("ab") as stream:
        command = [sys.executable, "-P", "-m", "runtime"]
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=stream)
    server = RunningServer(process, port, log)
    try:
        if until:
            server.wait_for_state(*until)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def run_to_end(*packages: Path, timeout_s: float = 30, **settings: str) -> "subprocess.CompletedProcess[str]":
    """A ``python -P -m runtime`` that is expected to stop by itself."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "runtime"],
        env=runtime_environment(packages, settings),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def infer_body(rows: Sequence[Sequence[float]], *, name: str = "X") -> dict[str, Any]:
    """A v2 request of one FP32 tensor."""
    shape = [len(rows), len(rows[0]) if rows else 0]
    return {"inputs": [{"name": name, "shape": shape, "datatype": "FP32", "data": [v for row in rows for v in row]}]}
