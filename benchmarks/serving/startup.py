"""Start to ready of a small model, what the process imports for it, and its memory: ``make bench-start``.

Runs take turns with a bare ``python -c pass``, so that a machine that is busy shows in both. The imports are those of
the process that really serves, under ``-X importtime``, which itself slows them by about a third.
"""

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.serving.client import check
from benchmarks.serving.contenders import free_ports
from benchmarks.serving.machine import this_machine
from benchmarks.serving.peers.base import Launch, Place
from benchmarks.serving.peers.dray import Dray
from benchmarks.serving.processes import Tree, environment
from benchmarks.serving.subjects import Subject, make_subject

_READY_S: Final = 30.0
_SETTLE_S: Final = 0.5
_TOP: Final = 10
_IMPORT: Final = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|\s*(\S+)")
_COLUMNS: Final = (("package, all modules", 26), ("module, all it imports", 34), ("module alone", 34))
AIM_S: Final = 0.5
AIM_MIB: Final = 100


@dataclass(frozen=True, slots=True)
class Start:
    """One start.

    Attributes:
        listening_s, ready_s, answered_s: Until ``/readyz`` is answered at all, says 200, and an answer is right.
        cpu_s: User and system time until then.
    """

    listening_s: float
    ready_s: float
    answered_s: float
    cpu_s: float
    pss_mib: float
    rss_mib: float


@dataclass(frozen=True, slots=True)
class Import:
    """A module, with and without what it imports itself."""

    module: str
    self_ms: float
    cumulative_ms: float


def main() -> None:
    """Measure, print the tables."""
    given = _parsed()
    machine = this_machine()
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as folder:
        os.environ["DRAY_HOME"] = str(Path(folder) / "state")
        subject = make_subject("logreg", Path(folder))
        pairs = [(_bare_s(), start(subject, Path(folder) / f"run-{at}")) for at in range(given.runs + 1)][1:]
        imports = imported(subject, Path(folder) / "imports")
    bare, starts = [each for each, _ in pairs], [each for _, each in pairs]
    loads = " ".join(f"{load:.2f}" for load in machine.load_average)
    print(f"{machine.cpu}, {machine.cores} cores, Python {machine.python}, load average {loads}")
    print("\n".join([*start_table(bare, starts), "", *import_table(imports)]))
    if given.json:
        kept = {"machine": asdict(machine), "bare_s": bare, "starts": [asdict(each) for each in starts]}
        given.json.write_text(json.dumps({**kept, "imports": [asdict(each) for each in imports]}, indent=2) + "\n")


def start(subject: Subject, folder: Path) -> Start:
    """Start the server, ask until it answers right, look at its memory, stop it."""
    began = time.monotonic()
    with _running(subject, folder) as (tree, port):
        listening_s = _until(lambda: _status(port) is not None, began, tree)
        ready_s = _until(lambda: _status(port) == 200, began, tree)
        check(Dray(), port, subject, "json")
        answered_s, cpu_s = time.monotonic() - began, tree.cpu_s()
        time.sleep(_SETTLE_S)
        pss, rss = tree.memory_bytes()
    return Start(listening_s, ready_s, answered_s, cpu_s, pss / 2**20, rss / 2**20)


def imported(subject: Subject, folder: Path) -> list[Import]:
    """What the server had imported when it had answered once, in the order in which imports ended."""
    with _running(subject, folder, "-X", "importtime") as (tree, port):
        _until(lambda: _status(port) == 200, time.monotonic(), tree)
        check(Dray(), port, subject, "json")
    return read_imports(tree.log.read_text(errors="replace"))


def read_imports(log: str) -> list[Import]:
    """The lines of ``-X importtime`` in a log that holds others too."""
    found = [_IMPORT.search(line) for line in log.splitlines()]
    return [Import(line[3], int(line[1]) / 1000, int(line[2]) / 1000) for line in found if line]


def start_table(bare: Sequence[float], starts: Sequence[Start]) -> list[str]:
    """Medians, with the least and the most."""
    rows = {
        "python -c pass": [f"{_spread(bare)} s"],
        "answering at all": [f"{_spread([each.listening_s for each in starts])} s"],
        "ready": [f"{_spread([each.ready_s for each in starts])} s", f"aim: under {AIM_S} s"],
        "first right answer": [f"{_spread([each.answered_s for each in starts])} s"],
        "CPU time until then": [f"{_spread([each.cpu_s for each in starts])} s"],
        "RSS": [f"{_spread([each.rss_mib for each in starts], 0)} MiB", f"aim: under {AIM_MIB} MiB"],
        "PSS": [f"{_spread([each.pss_mib for each in starts], 0)} MiB"],
    }
    head = f"medians of {len(starts)} starts (least to most)"
    return [head, *(f"  {name:<22} {'   '.join(told)}" for name, told in rows.items())]


def import_table(imports: Sequence[Import]) -> list[str]:
    """The packages that take most, and the modules that do."""
    whole = sum(each.self_ms for each in imports)
    by_package: dict[str, float] = {}
    for each in imports:
        package = each.module.partition(".")[0]
        by_package[package] = by_package.get(package, 0.0) + each.self_ms
    packages = sorted(by_package.items(), key=lambda pair: -pair[1])[:_TOP]
    cumulative = sorted(imports, key=lambda each: -each.cumulative_ms)[:_TOP]
    alone = sorted(imports, key=lambda each: -each.self_ms)[:_TOP]
    head = (
        f"{'package, all modules':<26} {'ms':>6}",
        f"{'module, all it imports':<34} {'ms':>6}",
        f"{'module alone':<34} {'ms':>6}",
    )
    rows = [
        (f"{name:<26} {ms:>6.1f}", _import(deep.module, deep.cumulative_ms), _import(own.module, own.self_ms))
        for (name, ms), deep, own in zip(packages, cumulative, alone, strict=False)
    ]
    title = f"{len(imports)} modules in {whole:.0f} ms under -X importtime; the {_TOP} largest"
    return [title, *(f"  {'   '.join(row)}" for row in [head, *rows])]


def _import(module: str, ms: float) -> str:
    return f"{module[-34:]:<34} {ms:>6.1f}"


@contextmanager
def _running(subject: Subject, folder: Path, *options: str) -> Iterator[tuple[Tree, int]]:
    folder.mkdir()
    (port,) = free_ports(1)
    launch = _with_options(Dray().prepare(Place(subject, Path(sys.executable), folder, (port,))), options)
    tree = Tree(launch.argv, env=environment(launch.env, home=folder), cwd=folder, log=folder / "server.log")
    try:
        yield tree, port
    finally:
        tree.stop()


def _with_options(launch: Launch, options: Sequence[str]) -> Launch:
    python, *rest = launch.argv
    return Launch((python, *options, *rest), launch.env)


def _until(true: Callable[[], bool], began: float, tree: Tree) -> float:
    """Seconds from ``began`` until it is so."""
    while not true():
        if tree.ended is not None or time.monotonic() - began > _READY_S:
            sys.exit(f"the server did not get ready: {tree.last_words()}")
        time.sleep(0.002)
    return time.monotonic() - began


def _status(port: int) -> int | None:
    """Of ``/readyz``; None where nobody answers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_S)) as connection:
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        except OSError:
            return None


def _bare_s() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True, env=environment({}, home=Path("/")))
    return time.monotonic() - began


def _spread(values: Sequence[float], digits: int = 3) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-start", description="start to ready, imports and memory")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
