"""The real runtime as a process of this machine: for the local target, and for rehearsals without a container engine.

A process is known by its id and the time it began, so that an id which the system gave to another program later, or
after a restart of the machine, is never taken for it. Handing a port over works with SO_REUSEPORT: on Linux old and new
process listen at once and no request is lost; on macOS one of two listeners gets all connections, so that those that
come while the old one closes may be refused for a moment.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import psutil

from packager.core.errors import DeploymentFailed, PortInUse
from packager.core.http_client import HttpInferenceClient, ServerState
from packager.core.process import bare_environment, end_process, reap, signal_process, spawn_detached
from runtime.contract.persisted import Persisted
from targets.kit import endings
from targets.kit.engine.ports import endpoint_url, port_holder

# -P: no folder of the user's, the current one least of all, can shadow a module of ours.
RUNTIME: Final = (sys.executable, "-P", "-m", "runtime")
_CLOCK_TOLERANCE_S = 2.0  # psutil derives the time from the boot time, which moves when the clock is set
_TAIL_LINES = 20
_TAIL_BYTES = 64 << 10
_POLL_S = 0.03
_ASK_S = 2.0
_DEAD = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


@dataclass(frozen=True, slots=True)
class RuntimeLaunch:
    """One start of the runtime, as data.

    Attributes:
        port: Where clients reach it; ``standby_port``: where alone it listens until it takes ``port`` over.
        folder: Its working folder, by which its processes can be found; nothing else runs there.
        environment: Further ``DRAY_`` settings.
    """

    packages: tuple[Path, ...]
    host: str
    port: int
    folder: Path
    log: Path
    standby_port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    program: Sequence[str] = RUNTIME

    @property
    def url(self) -> str:
        """Where the process answers right after its start."""
        return endpoint_url(self.host, self.standby_port or self.port)

    def settings(self) -> dict[str, str]:
        """Its ``DRAY_`` environment."""
        standby = {"DRAY_STANDBY_PORT": str(self.standby_port)} if self.standby_port else {}
        packages = os.pathsep.join(str(package) for package in self.packages)
        own = {"DRAY_PACKAGES": packages, "DRAY_HOST": self.host, "DRAY_PORT": str(self.port)}
        return {**self.environment, **own, **standby}


class ProcessIdentity(Persisted):
    """A process for ever: its id and when it began (seconds since 1970)."""

    pid: int
    created: float


@dataclass(frozen=True, slots=True)
class RuntimeProcess:
    """A runtime process, begun by this command or an earlier one."""

    identity: ProcessIdentity
    folder: Path
    log: Path

    @classmethod
    def start(cls, launch: RuntimeLaunch) -> Self:
        """Start the runtime; it outlives this command and sees none of its secrets."""
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        env = bare_environment(launch.settings())
        pid = spawn_detached(launch.program, env=env, log=launch.log, cwd=launch.folder)
        return cls(ProcessIdentity(pid=pid, created=_created(pid)), launch.folder, launch.log)

    def alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        reap(self.identity.pid)
        try:
            process = psutil.Process(self.identity.pid)
            if process.status() in _DEAD:
                return False
            near = abs(process.create_time() - self.identity.created) <= _CLOCK_TOLERANCE_S
            return near or _same_folder(process.cwd(), self.folder)
        except psutil.Error:  # gone, or another user's and so not ours
            return False

    def stop(self, *, grace_s: float) -> bool:
        """Let it finish what it has accepted, and end; killed after ``grace_s``. True when it ended by itself."""
        return end_process(self.identity.pid, gone=lambda: not self.alive(), grace_s=grace_s)

    def tail(self, lines: int = _TAIL_LINES) -> list[str]:
        """The last lines of its log."""
        return tail_of(self.log, lines)

    def wait_ready(self, launch: RuntimeLaunch, *, timeout_s: float) -> ServerState:
        """What the runtime says once it is ready and it is this process that says so.

        Raises:
            PortInUse: Somebody else listens on its port.
            ProcessCrash: It ended; with its last words.
            NotReady: It says that it never will be, or the time is up.
        """
        deadline = time.monotonic() + timeout_s
        with HttpInferenceClient(launch.url, timeout_s=_ASK_S) as client:
            while True:
                self._refuse_if_ended(launch)
                state = client.state()
                if state and state.state == "failed" and self._listens_on(launch):
                    raise endings.never_ready(state, self.tail())
                if state and state.state == "ready" and self._listens_on(launch):
                    return state
                if time.monotonic() >= deadline:
                    raise endings.late(f"within {timeout_s:g} s", self.tail())
                time.sleep(_POLL_S)

    def take_over(self, launch: RuntimeLaunch, *, timeout_s: float) -> None:
        """Make a process that stands by listen on its final port too.

        Raises:
            ProcessCrash: It ended.
            DeploymentFailed: It could not within the time.
        """
        signal_process(self.identity.pid, signal.SIGUSR1)
        deadline = time.monotonic() + timeout_s
        with HttpInferenceClient(launch.url, timeout_s=_ASK_S) as client:
            while True:
                self._refuse_if_ended(launch)
                state = client.state()
                if state and any(address.endswith(f":{launch.port}") for address in state.addresses):
                    return
                if time.monotonic() >= deadline:
                    raise DeploymentFailed(
                        f"the runtime did not take over port {launch.port} within {timeout_s:g} s",
                        hint="the last lines of its log are in the detail",
                        detail={"log": self.tail()},
                    )
                time.sleep(_POLL_S)

    def _refuse_if_ended(self, launch: RuntimeLaunch) -> None:
        code = reap(self.identity.pid)
        if code is None and self.alive():
            return
        lines = self.tail()
        if any(line.startswith(PortInUse.code) for line in lines):
            raise port_in_use(launch.host, launch.standby_port or launch.port)
        status = "" if code is None else f"with exit status {code}" if code >= 0 else f"by signal {-code}"
        hint = "the last lines of its log are in the detail; `dray doctor` checks what is installed"
        raise endings.ended(status, lines, {"exit_status": code, "log": lines}, hint=hint)

    def _listens_on(self, launch: RuntimeLaunch) -> bool:
        """Whether it is this process that answers, and not who took the port before it."""
        try:
            process = psutil.Process(self.identity.pid)
            family = [process, *process.children(recursive=True)]
            sockets = [socket for member in family for socket in member.net_connections(kind="tcp")]
        except psutil.AccessDenied:  # the system does not let us see it
            return True
        except psutil.NoSuchProcess:
            return False
        port = launch.standby_port or launch.port
        return any(socket.status == psutil.CONN_LISTEN and socket.laddr.port == port for socket in sockets)


def port_in_use(host: str, port: int) -> PortInUse:
    """The error for a port that somebody else has, and who that is where the system lets us see it."""
    holder = port_holder(port)
    return PortInUse(
        f"port {port} of {host} is in use by {holder or 'another program'}",
        hint="choose another with --set port=N, leave the port out to get a free one, or end that program",
        detail={"host": host, "port": port, "holder": holder},
    )


def processes_in(folder: Path, program: Sequence[str]) -> Iterator[ProcessIdentity]:
    """Running processes of ``program`` whose working folder is ``folder``, whoever started them.

    The workers of one that runs go with it, and are not told apart.
    """
    arguments = list(program[1:])
    found = {}
    for process in psutil.process_iter(["cwd", "cmdline", "create_time", "status", "ppid"]):
        facts = process.info
        ours = facts["cmdline"] and facts["cmdline"][1:][-len(arguments) :] == arguments
        if ours and facts["cwd"] and facts["status"] not in _DEAD and _same_folder(facts["cwd"], folder):
            found[process.pid] = facts
    for pid, facts in found.items():
        if facts["ppid"] not in found:
            yield ProcessIdentity(pid=pid, created=facts["create_time"])


def tail_of(log: Path, lines: int) -> list[str]:
    """The last lines of a log; none where there is no file."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]


def _created(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:  # it ended at once; its log says why
        return time.time()


def _same_folder(one: str, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
