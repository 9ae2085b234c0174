"""Rounds: in each, every contender has its turn in every cell, one after the other, all others idle."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving.cells import Cell
from benchmarks.serving.client import WrongAnswer
from benchmarks.serving.contenders import Contender, Loop, Started, Turn, start_all
from benchmarks.serving.figures import Table, middle
from benchmarks.serving.log import TurnLog
from benchmarks.serving.peers.base import Peer, PeerUnavailable
from benchmarks.serving.subjects import Subject, make_subject


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured.

    Attributes:
        loop: Whether ONNX Runtime without a server is measured too.
    """

    cells: Sequence[Cell]
    peers: Sequence[Peer]
    loop: bool
    rounds: int
    seconds: int


@dataclass(slots=True)
class Found:
    """What came of it so far.

    Attributes:
        turns: By peer and cell, one a round.
        starts: By peer and model.
        absent: Reasons by what could not be measured.
    """

    turns: dict[tuple[str, Cell], list[Turn]] = field(default_factory=dict)
    starts: dict[tuple[str, str], Started] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def measure(plan: Plan, log: TurnLog, tell: Callable[[str], None]) -> Found:
    """All rounds of all cells; the servers of one model at a time. Nothing runs on afterwards."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as folder:
        for model, cells in by_model(plan.cells).items():
            tell(f"{model}: training and packaging")
            subject = make_subject(model, Path(folder) / "models")
            with ExitStack() as stack:
                contenders = _contenders(plan, subject, cells, Path(folder) / "run" / model, stack, found)
                tell(f"{model}: {', '.join(one.name for one in contenders)}")
                for number, cell, contender in turns(plan.rounds, cells, contenders):
                    _take(contender, cell, number, plan.seconds, log, found, tell)
    return found


def by_model(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Cells by their model, in their order."""
    grouped: dict[str, list[Cell]] = {}
    for cell in cells:
        grouped.setdefault(cell.model, []).append(cell)
    return grouped


def turns(rounds: int, cells: Sequence[Cell], contenders: Sequence[Contender]) -> Iterator[tuple[int, Cell, Contender]]:
    """A, B, C in each cell of the first round, B, C, A in the second: nobody is always the first or the last."""
    for number in range(rounds):
        for cell in cells:
            taking = [one for one in contenders if one.takes(cell)]
            at = number % len(taking) if taking else 0
            for contender in taking[at:] + taking[:at]:
                yield number, cell, contender


def _contenders(
    plan: Plan, subject: Subject, cells: Sequence[Cell], folder: Path, stack: ExitStack, found: Found
) -> list[Contender]:
    peers = [peer for peer in plan.peers if any(peer.takes(cell) for cell in cells)]
    servers = start_all(peers, subject, folder, stack, found.absent)
    found.starts.update({(one.name, subject.name): one.started for one in servers})
    loop = [Loop(subject, folder / Loop.name)] if plan.loop else []
    return [*servers, *loop]


def _take(
    contender: Contender,
    cell: Cell,
    number: int,
    seconds: int,
    log: TurnLog,
    found: Found,
    tell: Callable[[str], None],
) -> None:
    name = contender.name
    if f"{name} in {cell.name}" in found.absent:
        return
    try:
        turn = log.known(name, cell, number) or log.keep(name, cell, number, contender.turn(cell, seconds))
    except (WrongAnswer, PeerUnavailable, RuntimeError) as reason:
        found.absent[f"{name} in {cell.name}"] = str(reason)
        found.turns.pop((name, cell), None)
        tell(f"  {number + 1} {cell.name:<22} {name:<18} left out: {reason}")
        return
    found.turns.setdefault((name, cell), []).append(turn)
    tell(f"  {number + 1} {cell.name:<22} {name:<18} {turn.load.rate:>9.0f}/s  p99 {turn.load.p99_ms:.2f} ms")


def medians(found: Found) -> Table:
    """The middle of the rounds, for each contender and cell."""
    return {key: middle(each) for key, each in found.turns.items()}
