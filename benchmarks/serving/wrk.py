"""``wrk`` with a fixed body: how it is called, and what its answer means."""

import json
import math
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.serving.bodies import Request

_MARK: Final = "dray-bench "
# The request is put together once; ``done`` runs when the time is over.
_SCRIPT: Final = """\
wrk.method = "POST"
local file = io.open({body}, "rb")
wrk.body = file:read("*a")
file:close()
{headers}

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{mark}{{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "status": %d, "connect": %d, '
      .. '"read": %d, "write": %d, "timeout": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect, errors.read, errors.write, errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of ``wrk`` saw.

    Attributes:
        requests: Answered, with whatever status.
        errors: By kind, only those that happened: ``status`` for what is not 2xx, the rest on the socket.
    """

    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    errors: Mapping[str, int]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.duration_s


def write_script(request: Request, folder: Path) -> Path:
    """The Lua script, beside the body that it reads."""
    folder.mkdir(parents=True, exist_ok=True)
    body = folder / "body"
    body.write_bytes(request.body)
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in request.headers.items()]
    script = folder / "post.lua"
    script.write_text(_SCRIPT.format(body=json.dumps(str(body)), headers="\n".join(lines), mark=_MARK))
    return script


def run_wrk(script: Path, url: str, *, connections: int, seconds: int) -> Load:
    """The load of one thread of ``wrk`` over that many connections.

    Raises:
        RuntimeError: wrk failed, or did not end in time.
    """
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), url]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"wrk did not end within {seconds + 30} s") from error
    if done.returncode:
        raise RuntimeError(f"wrk ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    return read_load(done.stdout)


def read_load(output: str) -> Load:
    """What ``done`` wrote among the rest of the output.

    Raises:
        RuntimeError: It wrote nothing.
    """
    told = next((line.removeprefix(_MARK) for line in output.splitlines() if line.startswith(_MARK)), None)
    if told is None:
        raise RuntimeError(f"wrk told no figures: {output.strip()[-300:]}")
    figures = json.loads(told)
    errors = {kind: figures[kind] for kind in ("status", "connect", "read", "write", "timeout") if figures[kind]}
    duration_s = figures["duration_us"] / 1e6
    if not figures["requests"]:  # a percentile of nothing
        return Load(0, duration_s, math.nan, math.nan, errors)
    return Load(figures["requests"], duration_s, figures["p50_us"] / 1e3, figures["p99_us"] / 1e3, errors)
