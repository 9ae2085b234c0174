"""Four times the load that the server can take: what clients get meanwhile, and afterwards.

Run by ``make bench-overload``. Two models: one whose runs take 20 ms, in threads, and one of half a millisecond, on the
event loop.
"""

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import psutil
import uvloop
from open_loop import OpenLoop, percentile, post

ROOT: Final = Path(__file__).parents[1]
TIMES: Final = 4
# How long a client waits before it has no use for the answer: httpx's default.
PATIENCE_S: Final = 5.0
_HEAD: Final = (
    "cell | peak/s | offered/s | goodput/s | kept | kept per core | worst second | p99 200 ms | refused"
    " | p99 503 ms | no Retry-After | failed | unsent | RSS MiB before, most, after | recovered ms"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A model under overload.

    Attributes:
        turns: What a request costs, in turns of 0.13 ms.
        clients: That find the peak.
        connections: That the overload may open.
    """

    name: str
    turns: int
    clients: int
    connections: int
    fast: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was seen; rates a second, times in milliseconds, memory in MiB.

    Attributes:
        peak_cores, cores: That the server got at the peak, and under overload.
    """

    cell: str
    peak: float
    offered: float
    goodput: float
    worst_second: float
    peak_cores: float
    cores: float
    good_p99_ms: float
    refused: int
    refused_p99_ms: float
    without_retry_after: int
    failed: int
    unsent: int
    rss_before: float
    rss_most: float
    rss_after: float
    recovered_ms: float

    @property
    def kept(self) -> float:
        """Goodput as a share of the peak."""
        return self.goodput / self.peak

    @property
    def kept_per_core(self) -> float:
        """As ``kept``, by the processor time that the server got: clients and neighbours take from it as well."""
        return self.kept * self.peak_cores / self.cores


CELLS: Final = (
    Cell(name="threads", turns=150, clients=8, connections=1024),
    Cell(name="inline", turns=4, clients=32, connections=512),
    Cell(name="inline, more clients", turns=4, clients=32, connections=4000),
    Cell(name="threads, FastAPI", turns=150, clients=8, connections=1024, fast=False),
)


def main() -> int:
    """Measure the cells that are named, and print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", default="", help="names of cells that hold this text")
    given = parser.parse_args()
    print(_HEAD)
    for cell in CELLS:
        if given.only in cell.name:
            print(_line(measure(cell, seconds=given.seconds)), flush=True)
    return 0


def _line(m: Measured) -> str:
    cells = (
        m.cell, f"{m.peak:.0f}", f"{m.offered:.0f}", f"{m.goodput:.0f}", f"{m.kept:.0%}", f"{m.kept_per_core:.0%}",
        f"{m.worst_second:.0f}", f"{m.good_p99_ms:.0f}", str(m.refused), f"{m.refused_p99_ms:.1f}",
        str(m.without_retry_after), str(m.failed), str(m.unsent),
        f"{m.rss_before:.0f}, {m.rss_most:.0f}, {m.rss_after:.0f}", f"{m.recovered_ms:.0f}",
    )  # fmt: skip
    return " | ".join(cells)


def measure(cell: Cell, *, seconds: float, peak_s: float = 5.0) -> Measured:
    """One cell against a server of its own."""
    from tests.support.packages import make_package
    from tests.support.servers import running_server
    from tests.support.slow_model import slow_model

    with tempfile.TemporaryDirectory() as scratch:
        row = np.array([[cell.turns, 0]], "f4")
        package = make_package(Path(scratch) / "m", slow_model(), name="m", inputs={"x": row}, batched=False).root
        settings = {"DRAY_FAST_PATH": str(int(cell.fast)), "DRAY_LOG_LEVEL": "warning"}
        with running_server(package, log=Path(scratch) / "log", **settings) as server:
            measured = uvloop.run(_measure(cell, server.port, server.process.pid, seconds=seconds, peak_s=peak_s))
            if server.process.poll() is not None:
                raise SystemExit(f"the server ended with {server.process.returncode}:\n{server.stderr()}")
            return measured


async def _measure(cell: Cell, port: int, pid: int, *, seconds: float, peak_s: float) -> Measured:
    entry = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [cell.turns, 0]}
    request = post("/v2/models/m/infer", json.dumps({"inputs": [entry]}).encode())
    before = OpenLoop(port, request, connections=cell.clients)
    await before.saturate(cell.clients, 1.0)
    server = psutil.Process(pid)
    peak_cpu_s = -_cpu_s(server)
    peak = await before.saturate(cell.clients, peak_s)
    peak_cpu_s += _cpu_s(server)
    await before.close()
    memory, cpu_s = [server.memory_info().rss], -_cpu_s(server)
    load, began = OpenLoop(port, request, connections=cell.connections), time.perf_counter()
    with _watched(pid, memory):
        await load.run(peak * TIMES, seconds)
    cpu_s += _cpu_s(server)
    recovered_ms = await _recovered(port, request)
    ended = began + seconds
    settled = began + min(5.0, seconds / 4)  # the first seconds fill the queue
    by_second = [
        load.outcomes.good(patience_s=PATIENCE_S, from_s=at, until_s=at + 1)
        for at in np.arange(settled, ended - 0.99, 1.0)
    ]
    await load.close()
    good, refused = load.outcomes.latencies_s(200), load.outcomes.latencies_s(503)
    return Measured(
        cell=cell.name,
        peak=peak,
        offered=peak * TIMES,
        goodput=load.outcomes.good(patience_s=PATIENCE_S, from_s=settled, until_s=ended) / (ended - settled),
        worst_second=min(by_second, default=math.nan),
        peak_cores=peak_cpu_s / peak_s,
        cores=cpu_s / seconds,
        good_p99_ms=percentile(good, 0.99) * 1000,
        refused=len(refused),
        refused_p99_ms=percentile(refused, 0.99) * 1000,
        without_retry_after=sum(each.status == 503 and not each.retry_after for each in load.outcomes.sent),
        failed=sum(each.status not in (200, 503) for each in load.outcomes.sent),
        unsent=load.outcomes.unsent,
        rss_before=memory[0] / 2**20,
        rss_most=max(memory) / 2**20,
        rss_after=server.memory_info().rss / 2**20,
        recovered_ms=recovered_ms,
    )


def _cpu_s(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


async def _recovered(port: int, request: bytes) -> float:
    """Milliseconds from the end of the load to the first of five answers in a row to one client."""
    began, row = time.perf_counter(), list[float]()
    client = OpenLoop(port, request, connections=1)
    while len(row) < 5 and time.perf_counter() - began < 60:
        answer = await client.ask()
        row = [*row, answer.due_s + answer.seconds] if answer.status == 200 else []
    await client.close()
    return (row[0] - began) * 1000 if row else math.inf


@contextmanager
def _watched(pid: int, memory: list[int]) -> Iterator[None]:
    """Add what the process holds, several times a second."""
    process = psutil.Process(pid)

    async def watch() -> None:
        while True:
            memory.append(process.memory_info().rss)
            await asyncio.sleep(0.1)

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
