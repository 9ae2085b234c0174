"""Tables for people, and a document for programs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.serving.aims import Reached, aims, judge
from benchmarks.serving.cells import Cell
from benchmarks.serving.contenders import Loop
from benchmarks.serving.figures import Figures, Table
from benchmarks.serving.machine import Machine
from benchmarks.serving.peers.base import Peer
from benchmarks.serving.rotation import Found, Plan, medians
from benchmarks.serving.subjects import TITLES

OWN = ("dray", "dray-workers")


def tables(plan: Plan, found: Found, machine: Machine) -> Iterator[str]:
    """Lines: the machine, each cell, the starts, what is missing, and the aims."""
    table = medians(found)
    yield _machine(plan, machine)
    marks = {peer.name: peer.mark for peer in plan.peers}
    for cell in plan.cells:
        yield from _cell(cell, table, marks)
    yield from _starts(found)
    yield from _notes(plan, found)
    yield from _aims(plan, table)


def document(plan: Plan, found: Found, machine: Machine) -> dict[str, Any]:
    """The same and every turn, as JSON can hold it."""
    table = medians(found)
    return {
        "machine": {**asdict(machine), "quiet": machine.quiet},
        "plan": {"rounds": plan.rounds, "seconds": plan.seconds, "cells": [cell.name for cell in plan.cells]},
        "peers": {peer.name: {"requirements": peer.requirements, "note": peer.note} for peer in plan.peers},
        "cells": [{"cell": cell.name, "peer": name, **_jsonable(asdict(own))} for (name, cell), own in table.items()],
        "turns": [
            {"cell": cell.name, "peer": name, "round": number, **_jsonable(asdict(turn))}
            for (name, cell), turns in found.turns.items()
            for number, turn in enumerate(turns)
        ],
        "starts": [{"peer": peer, "model": model, **asdict(each)} for (peer, model), each in found.starts.items()],
        "absent": found.absent,
        "aims": [
            {"aim": each.aim.text, "least": each.aim.least, "contender": name, "ratio": each.ratio, "rival": each.rival}
            for name in OWN
            for each in _reached(plan, table, name)
            if each.ratio is not None
        ],
    }


def _machine(plan: Plan, machine: Machine) -> str:
    loads = " ".join(f"{load:.2f}" for load in machine.load_average)
    warning = (
        "" if machine.quiet else "\nWARNING: the machine is not quiet; trust the CPU column only, and measure again"
    )
    return (
        f"{machine.cpu}, {machine.cores} cores shared with wrk, Python {machine.python}, load average {loads}\n"
        f"medians of {plan.rounds} interleaved rounds of {plan.seconds} s; every answer checked before and after"
        f"{warning}"
    )


def _cell(cell: Cell, table: Table, marks: Mapping[str, str]) -> Iterator[str]:
    measured = {name: figures for (name, at), figures in table.items() if at == cell}
    yield f"\n{cell.name}: {TITLES[cell.model]}; {cell.encoding}, {cell.connections} connections"
    yield (
        f"  {'':<18} {'requests/s':>10} {'dray is':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU us':>8} {'PSS MiB':>8}  errors"
    )
    own = measured.get(OWN[0])
    for name, figures in sorted(measured.items(), key=lambda each: -each[1].rate):
        times = f"{own.rate / figures.rate:.2f}x" if own and figures.rate and name != OWN[0] else ""
        yield f"  {name:<18} {figures.rate:>10.0f} {times:>8} {_line(figures)}  {marks.get(name, '')}".rstrip()


def _line(figures: Figures) -> str:
    errors = ", ".join(f"{kind} {count}" for kind, count in figures.errors.items()) or "0"
    memory = "-" if math.isnan(figures.pss_mib) else f"{figures.pss_mib:.0f}"
    return f"{figures.p50_ms:>8.2f} {figures.p99_ms:>8.2f} {figures.cpu_us:>8.1f} {memory:>8}  {errors}"


def _starts(found: Found) -> Iterator[str]:
    yield "\nstart to the first right answer, PSS and CPU of a core while idle (PAUSED: stopped between its turns)"
    for (peer, model), started in found.starts.items():
        paused = "  PAUSED" if started.paused else ""
        yield (
            f"  {peer:<18} {model:<10} {started.seconds:>6.2f} s {started.pss_mib:>6.0f} MiB"
            f" {started.idle_cpu * 100:>4.0f} %{paused}"
        )


def _notes(plan: Plan, found: Found) -> Iterator[str]:
    noted = {peer.name: peer.note for peer in plan.peers if peer.note} | ({Loop.name: Loop.note} if plan.loop else {})
    if noted:
        yield "\nnotes"
    yield from _by_text(noted)
    if found.absent:
        yield "\nnot measured"
    yield from _by_text(found.absent)


def _by_text(told: Mapping[str, str]) -> Iterator[str]:
    """What is said of several of them is said once."""
    for text in dict.fromkeys(told.values()):
        yield f"  {', '.join(name for name, own in told.items() if own == text)}: {text}"


def _aims(plan: Plan, table: Table) -> Iterator[str]:
    yield f"\n{'aim':<60} {'least':>6} {'got':>7}  against"
    for name in OWN:
        reached = [each for each in _reached(plan, table, name) if each.ratio is not None]
        if reached:
            yield f"{name}"
        for each in reached:
            verdict = "met" if each.met else "NOT MET"
            yield f"  {each.aim.text:<58} {each.aim.least:>5.2f}x {each.ratio:>6.2f}x  {each.rival:<18} {verdict}"


def _reached(plan: Plan, table: Table, contender: str) -> Sequence[Reached]:
    return [judge(aim, contender, table) for aim in aims(plan.cells, kinds(plan.peers))]


def kinds(peers: Sequence[Peer]) -> Mapping[str, str]:
    """The kind of each contender, by name."""
    return {peer.name: peer.kind for peer in peers} | {Loop.name: Loop.kind}


def _jsonable(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _jsonable(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
