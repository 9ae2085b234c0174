"""What takes turns: servers that run, and a loop around ONNX Runtime without one."""

import http.client
import json
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from benchmarks.serving.cells import Cell
from benchmarks.serving.client import WrongAnswer, check
from benchmarks.serving.environments import interpreter_for
from benchmarks.serving.peers.base import SERVERS, Peer, PeerUnavailable, Place
from benchmarks.serving.processes import Tree, environment
from benchmarks.serving.subjects import Subject
from benchmarks.serving.wrk import Load, run_wrk, write_script

_START_S: Final = 60.0
_SETTLE_S: Final = 0.2
_IDLE_S: Final = 0.4
# Of one core; above it a server that waits would take from the one that is measured.
_BUSY_WHILE_IDLE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Turn:
    """One measurement of one contender in one cell."""

    load: Load
    cpu_us: float
    pss_mib: float


@dataclass(frozen=True, slots=True)
class Started:
    """What the start of a server cost."""

    seconds: float
    pss_mib: float
    idle_cpu: float
    paused: bool


class Contender(Protocol):
    """Something that can be measured in a cell."""

    name: str

    def takes(self, cell: Cell) -> bool:
        """Whether it is measured there."""

    def turn(self, cell: Cell, seconds: int) -> Turn:
        """Measure it, and see that it answers right before and after.

        Raises:
            WrongAnswer: It does not.
            PeerUnavailable: It ended.
        """


class Server:
    """A peer that serves one model."""

    def __init__(self, peer: Peer, subject: Subject, folder: Path) -> None:
        self.name, self.peer, self.subject = peer.name, peer, subject
        folder.mkdir(parents=True)
        self._folder = folder
        place = Place(subject, interpreter_for(peer.environment, peer.requirements), folder, free_ports(3))
        launch = peer.prepare(place)
        self._port = place.port
        began = time.monotonic()
        self._tree = Tree(launch.argv, env=environment(launch.env, home=folder), cwd=folder, log=folder / "server.log")
        try:
            self._wait_until_right()
            self.started = self._settled(time.monotonic() - began)
        except BaseException:
            self._tree.stop()
            raise

    def takes(self, cell: Cell) -> bool:
        """As the peer says, for this model."""
        return cell.model == self.subject.name and self.peer.takes(cell)

    def turn(self, cell: Cell, seconds: int) -> Turn:
        """A load of wrk between two requests whose answers are compared."""
        if self.started.paused:
            self._tree.resume()
        try:
            self._check(cell)
            request = self.peer.request(self.subject, cell.encoding)
            script = write_script(request, self._folder / cell.name)
            before = self._tree.cpu_s()
            load = run_wrk(
                script, f"http://127.0.0.1:{self._port}{request.path}", connections=cell.connections, seconds=seconds
            )
            used = self._tree.cpu_s() - before
            memory = self._tree.memory_bytes()[0] / 2**20
            self._check(cell)
        finally:
            if self.started.paused:
                self._tree.pause()
        return Turn(load, used / load.requests * 1e6 if load.requests else math.nan, memory)

    def stop(self) -> None:
        """End its processes."""
        self._tree.stop()

    def _check(self, cell: Cell) -> None:
        try:
            check(self.peer, self._port, self.subject, cell.encoding)
        except (OSError, http.client.HTTPException) as error:
            raise PeerUnavailable(f"no answer: {error!r}; its log ends: {self._tree.last_words()}") from error

    def _wait_until_right(self) -> None:
        deadline, reason = time.monotonic() + _START_S, "nothing listens"
        while time.monotonic() < deadline:
            if self._tree.ended is not None:
                raise PeerUnavailable(f"ended with {self._tree.ended}: {self._tree.last_words()}")
            try:
                check(self.peer, self._port, self.subject, self.peer.encodings[0])
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.005)
            except WrongAnswer as wrong:  # not ready yet, perhaps
                reason = str(wrong)
                time.sleep(0.02)
        raise PeerUnavailable(f"no right answer within {_START_S:g} s: {reason}; its log: {self._tree.last_words()}")

    def _settled(self, seconds: float) -> Started:
        """Memory and idle CPU once it has been left alone."""
        time.sleep(_SETTLE_S)
        before = self._tree.cpu_s()
        time.sleep(_IDLE_S)
        idle = (self._tree.cpu_s() - before) / _IDLE_S
        paused = idle > _BUSY_WHILE_IDLE
        memory = self._tree.memory_bytes()[0] / 2**20
        if paused:
            self._tree.pause()
        return Started(seconds, memory, idle, paused)


class Loop:
    """ONNX Runtime asked by as many threads as there are connections, or cores if those are fewer."""

    name = "onnxruntime-loop"
    kind = "limit"
    note = "no server, no wrk: as many threads as connections or cores, one session, one thread a run"

    def __init__(self, subject: Subject, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._subject, self._folder, self._row = subject, folder, folder / "row.npy"
        np.save(self._row, subject.row)

    def takes(self, cell: Cell) -> bool:
        """Where the encoding costs least; it has none of its own."""
        return cell.model == self._subject.name and cell.encoding == "binary"

    def turn(self, cell: Cell, seconds: int) -> Turn:
        """A process of its own for each turn."""
        threads = str(min(cell.connections, len(os.sched_getaffinity(0))))
        argv = [
            sys.executable,
            str(SERVERS / "ort_loop.py"),
            str(self._subject.model),
            str(self._row),
            threads,
            str(seconds),
        ]
        env = environment({}, home=self._folder)
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=seconds + 60, check=False)
        if done.returncode:
            raise PeerUnavailable(f"the loop ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        told = json.loads(done.stdout)
        if difference := self._subject.wrong(np.array(told["answer"])):
            raise WrongAnswer(difference)
        load = Load(told["requests"], told["duration_s"], told["p50_ms"], told["p99_ms"], {})
        return Turn(load, told["cpu_s"] / told["requests"] * 1e6, math.nan)


def start_all(
    peers: Sequence[Peer], subject: Subject, folder: Path, stack: ExitStack, failed: dict[str, str]
) -> list[Server]:
    """Servers of one model, one after the other; what cannot be started is told of in ``failed``."""
    servers = []
    for peer in peers:
        try:
            server = Server(peer, subject, folder / peer.name)
        except (PeerUnavailable, RuntimeError) as reason:
            failed[f"{peer.name} on {subject.name}"] = str(reason)
            continue
        stack.callback(server.stop)
        servers.append(server)
    return servers


def free_ports(count: int) -> tuple[int, ...]:
    """Ports that nobody listened on a moment ago."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return tuple(int(probe.getsockname()[1]) for probe in probes)
