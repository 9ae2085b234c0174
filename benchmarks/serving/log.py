"""Turns on disk, so that a run that was broken off can be gone on with."""

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.serving.cells import Cell
from benchmarks.serving.contenders import Turn
from benchmarks.serving.wrk import Load


class TurnLog:
    """One JSON object a line; the first says what was to be measured."""

    def __init__(self, path: Path, *, seconds: int, resume: bool) -> None:
        self._path = path
        self._known: dict[tuple[str, str, int], Turn] = {}
        head = {"seconds": seconds}
        if resume and path.is_file():
            first, *lines = path.read_text().splitlines()
            if json.loads(first) != head:
                raise ValueError(f"{path} is of a run with {first}, this one has {json.dumps(head)}")
            self._known = dict(map(_read, lines))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(head) + "\n")

    def known(self, peer: str, cell: Cell, number: int) -> Turn | None:
        """A turn that was taken before."""
        return self._known.get((peer, cell.name, number))

    def keep(self, peer: str, cell: Cell, number: int, turn: Turn) -> Turn:
        """Write a turn down, and hand it back."""
        line = {"peer": peer, "cell": cell.name, "round": number, "turn": asdict(turn)}
        with self._path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        return turn


def _read(line: str) -> tuple[tuple[str, str, int], Turn]:
    told = json.loads(line)
    turn = Turn(**{**told["turn"], "load": Load(**told["turn"]["load"])})
    return (told["peer"], told["cell"], told["round"]), turn
