"""Hours of mixed traffic in minutes: does the server hold more memory or more files the longer it runs?

Run by ``make soak``. Every dialect, right and wrong requests, connections that are kept, closed and reset; the slope of
the resident memory after a warm-up is fitted, with its standard error.
"""

import argparse
import contextlib
import gzip
import json
import math
import random
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import psutil

ROOT: Final = Path(__file__).parents[1]
_ROW: Final = [5.1, 3.5, 1.4, 0.2]
_SAMPLE_S: Final = 1.0


@dataclass(slots=True)
class Soaked:
    """What was seen.

    Attributes:
        memory: Seconds since the start, and resident MiB.
        files: Open at the beginning and at the end.
    """

    answers: Counter[int] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    files: tuple[int, int] = (0, 0)

    def slope(self, *, after_s: float) -> tuple[float, float]:
        """MiB an hour behind the warm-up, and its standard error, which takes neighbouring samples as one another's."""
        late = np.array([each for each in self.memory if each[0] >= after_s])
        if len(late) < 8:
            return math.nan, math.nan
        hours, mib = late[:, 0] / 3600, late[:, 1]
        centred = hours - hours.mean()
        slope = float(centred @ mib / (centred @ centred))
        rest = mib - mib.mean() - slope * centred
        spread = float(np.sqrt(rest @ rest / (len(late) - 2) / (centred @ centred)))
        # Memory goes in steps: samples that follow each other are worth fewer than they are.
        alike = float(rest[1:] @ rest[:-1] / (rest @ rest)) if rest @ rest > 0 else 0.0
        alike = min(max(alike, 0.0), 0.99)
        return slope, spread * math.sqrt((1 + alike) / (1 - alike))


def main() -> int:
    """Soak, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--no-fast-path", action="store_true")
    given = parser.parse_args()
    warm_s = min(120.0, given.seconds / 3)
    soaked = soak(seconds=given.seconds, rate=given.rate, fast=not given.no_fast_path)
    slope, error = soaked.slope(after_s=warm_s)
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(soaked.answers.items()))
    print(
        f"{sum(soaked.answers.values())} requests in {given.seconds:.0f} s ({statuses}; 0 is one that was broken off)"
    )
    print(f"memory: {soaked.memory[0][1]:.1f} MiB at first, {soaked.memory[-1][1]:.1f} at the end")
    print(f"slope behind {warm_s:.0f} s of warm-up: {slope:+.2f} MiB/h, standard error {error:.2f}")
    print(
        f"in a day that would be {slope * 24:+.0f} MiB; it {'is' if abs(slope) > 2 * error else 'is not'} told from 0"
    )
    print(f"open files: {soaked.files[0]} at first, {soaked.files[1]} at the end")
    return 0


def soak(*, seconds: float, rate: float, fast: bool = True, seed: int = 0) -> Soaked:
    """Traffic against a server of its own."""
    from tests.support.packages import make_package
    from tests.support.servers import running_server

    with tempfile.TemporaryDirectory() as scratch:
        settings = {
            "DRAY_FAST_PATH": str(int(fast)), "DRAY_SAMPLE_RATE": "0.1",
            "DRAY_SAMPLE_FILE": str(Path(scratch) / "samples"), "DRAY_REQUEST_TIMEOUT_S": "2",
        }  # fmt: skip
        package = make_package(Path(scratch) / "iris").root
        with running_server(package, log=Path(scratch) / "log", **settings) as server:
            return _soak(server.port, server.process.pid, seconds=seconds, rate=rate, seed=seed)


def _soak(port: int, pid: int, *, seconds: float, rate: float, seed: int) -> Soaked:
    soaked, process, draw = Soaked(), psutil.Process(pid), random.Random(seed)
    began, sent, halves = time.monotonic(), 0, list[socket.socket]()
    files = 0
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        kinds = list(_kinds(client, port, halves))
        while (now := time.monotonic() - began) < seconds:
            if len(soaked.memory) <= now / _SAMPLE_S:
                soaked.memory.append((now, process.memory_info().rss / 2**20))
                files = files or process.num_fds()
            if sent < now * rate:
                soaked.answers[draw.choice(kinds)()] += 1
                sent += 1
            else:
                time.sleep(0.002)
    for half in halves:
        half.close()
    deadline = time.monotonic() + 5
    while process.num_fds() > files and time.monotonic() < deadline:
        time.sleep(0.1)
    soaked.memory.append((time.monotonic() - began, process.memory_info().rss / 2**20))
    soaked.files = (files, process.num_fds())
    return soaked


def _kinds(client: httpx.Client, port: int, halves: list[socket.socket]) -> Iterator[Callable[[], int]]:
    """Requests of every kind, each of which sends one and says what it came to."""
    tensor = {"name": "X", "shape": [1, 4], "datatype": "FP32", "data": _ROW}
    right = json.dumps({"inputs": [tensor]}).encode()
    infer = "/v2/models/iris/infer"
    documents = {
        infer: [{"inputs": [tensor]}, {"inputs": [tensor | {"shape": [64, 4], "data": _ROW * 64}]}, {"inputs": []},
                {"inputs": [tensor | {"data": ["x"]}]}],
        "/v1/models/iris:predict": [{"instances": [_ROW]}, {"inputs": {"X": [_ROW]}}, {"instances": 1}],
        "/score": [{"data": [_ROW]}, {"input_data": [_ROW]}, {}],
        "/invocations": [{"inputs": [_ROW]}, {"dataframe_split": {"data": [_ROW] * 20}}, []],
        "/v2/models/none/infer": [{"inputs": [tensor]}],
    }  # fmt: skip
    for path, bodies in documents.items():
        for body in bodies:
            yield lambda path=path, body=body: client.post(path, json=body).status_code  # type: ignore[misc]
    for path in ("/livez", "/readyz", "/metrics", "/v2/models/iris", "/v2/models/iris/stats", "/", "/nothing"):
        yield lambda path=path: client.get(path).status_code  # type: ignore[misc]
    raw = np.array([_ROW], "<f4").tobytes()
    head = json.dumps({"inputs": [{k: v for k, v in tensor.items() if k != "data"} | _BINARY]}).encode()
    framed = {"inference-header-content-length": str(len(head))}
    yield lambda: client.post(infer, content=head + raw, headers=framed).status_code
    yield lambda: client.post(infer, content=head + raw[:9], headers=framed).status_code
    yield lambda: client.post(infer, content=gzip.compress(right), headers={"content-encoding": "gzip"}).status_code
    yield lambda: client.post(infer, content=b"[" * 50_000).status_code
    yield lambda: client.post("/score", content=b" " * 200_000 + b"{").status_code
    yield lambda: client.post("/invocations", content="1,2,3,4\n" * 50, headers=_CSV).status_code
    yield lambda: client.post(infer, content=right, headers={"connection": "close"}).status_code
    request = f"POST {infer} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(right)}\r\n\r\n".encode() + right
    for reset in (False, True):
        yield lambda reset=reset: _broken_off(port, request[:-7], reset=reset)  # type: ignore[misc]
    yield lambda: _left_open(port, request[:40], halves)
    yield lambda: _left_open(port, request * 20, halves)


_BINARY: Final = {"parameters": {"binary_data_size": 16}}
_CSV: Final = {"content-type": "text/csv; header=absent"}


def _broken_off(port: int, part: bytes, *, reset: bool) -> int:
    """A connection that ends within a request."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(part)
    return 0


def _left_open(port: int, part: bytes, halves: list[socket.socket]) -> int:
    """A connection on which nobody reads; the oldest of a few goes."""
    connection = socket.create_connection(("127.0.0.1", port))
    with contextlib.suppress(OSError):
        connection.sendall(part)
    halves.append(connection)
    if len(halves) > 20:
        halves.pop(0).close()
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
