"""dray's server side by side with its peers: ``make bench [BENCH_ARGS="--cells 'logreg-*' --peers dray,triton"]``."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.serving.cells import DEFAULT, Cell, matrix, select
from benchmarks.serving.contenders import Loop
from benchmarks.serving.environments import HOME, interpreter_for
from benchmarks.serving.log import TurnLog
from benchmarks.serving.machine import this_machine
from benchmarks.serving.peers import PEERS
from benchmarks.serving.peers.base import Peer, PeerUnavailable
from benchmarks.serving.report import document, tables
from benchmarks.serving.rotation import Plan, measure
from benchmarks.serving.subjects import MODELS


def main() -> int:
    """Measure, print the tables."""
    given = _parsed()
    if given.install:
        return _install()
    if shutil.which("wrk") is None:
        return _refused("wrk is not installed (Debian: wrk)")
    try:
        plan = Plan(_cells(given), *_peers(given.peers), given.rounds, given.seconds)
        log = TurnLog(given.log, seconds=given.seconds, resume=given.resume)
    except ValueError as error:
        return _refused(str(error))
    machine, began = this_machine(), time.monotonic()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="dray-bench-") as state:
            os.environ["DRAY_HOME"] = state
            found = measure(plan, log, tell)
    except KeyboardInterrupt:
        tell("interrupted: every server has been stopped; --resume goes on where this ended")
        return 130
    for line in tables(plan, found, machine):
        print(line)
    tell(f"took {(time.monotonic() - began) / 60:.1f} minutes")
    if given.json:
        given.json.write_text(json.dumps(document(plan, found, machine), indent=2) + "\n")
    return 0


def _interrupt(*_: object) -> None:
    """Unwind once: another signal must not keep the servers from being stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def tell(line: str) -> None:
    """Progress, beside the tables."""
    print(line, file=sys.stderr, flush=True)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--cells", help="names or patterns, separated by commas: logreg-json-32,mobilenet-*")
    parser.add_argument("--all", action="store_true", help="every model, encoding and number of connections")
    parser.add_argument("--peers", help="names or patterns, separated by commas: dray,triton*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    parser.add_argument("--log", type=Path, default=HOME / "turns.jsonl", help="where turns are kept (%(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on with the run that was broken off")
    parser.add_argument("--install", action="store_true", help="make the peers' environments only")
    given = parser.parse_args()
    if given.rounds < 1 or given.seconds < 1:
        parser.error("--rounds and --seconds are 1 or more")
    return given


def _cells(given: argparse.Namespace) -> Sequence[Cell]:
    if given.cells:
        return select(given.cells.split(","), list(MODELS))
    return matrix(list(MODELS)) if given.all else DEFAULT


def _peers(patterns: str | None) -> tuple[Sequence[Peer], bool]:
    """The peers of these names, and whether the loop without a server is among them."""
    wanted = patterns.split(",") if patterns else ["*"]
    names = [*(peer.name for peer in PEERS), Loop.name]
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"no peer is called {pattern!r}; there are {', '.join(names)}")
    chosen = [peer for peer in PEERS if any(fnmatchcase(peer.name, pattern) for pattern in wanted)]
    return chosen, any(fnmatchcase(Loop.name, pattern) for pattern in wanted)


def _install() -> int:
    """Make every environment; 1 where one could not be made."""
    failed = 0
    for peer in PEERS:
        try:
            tell(f"{peer.name}: {interpreter_for(peer.environment, peer.requirements)}")
        except PeerUnavailable as reason:
            tell(f"{peer.name}: {reason}")
            failed += 1
    return min(failed, 1)


def _refused(reason: str) -> int:
    tell(reason)
    return 2


if __name__ == "__main__":
    sys.exit(main())
