"""How commands come to a stand-in: the one that lives, or a new one; made for each cloud by a subclass."""

import os
import secrets
import sys
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import psutil

from packager.core.credentials import Credential, CredentialSource
from packager.core.edge import MessageLine
from packager.core.errors import ConfigurationError, DeploymentBusy, DeploymentFailed, EnvironmentMissing
from packager.core.extras import installed_version, require_extra
from packager.core.files import ensure_folder, writing_to
from packager.core.process import bare_environment, end_process, reap, spawn_detached
from packager.core.progress import Progress
from packager.core.protocols import Target
from packager.core.rehearsal import Rehearsal, Stage
from packager.core.state import state_home
from targets.kit.engine.process import ProcessIdentity, RuntimeProcess, tail_of
from targets.rehearsal.addresses import WHOLE_NETWORK
from targets.rehearsal.control import Control, Gone
from targets.rehearsal.layout import USER, StageFacts, StageFolder, write_private
from targets.rehearsal.leftovers import end_service, end_workloads, engine_of, program, remove_folder
from targets.rehearsal.world import Faults

_START_S: Final = 30.0
_END_S: Final = 20.0
_POLL_S: Final = 0.02
_TAIL_LINES: Final = 20
_TOKEN_BYTES: Final = 32
# Where Docker's configuration, engine and keys are; none of them is a secret.
_FOR_THE_ENGINE: Final = (
    "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "SSH_AUTH_SOCK",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StageToken(CredentialSource):
    """What a stand-in's own registry wants to see, and no other; read when it is used.

    Attributes:
        registry: Host and port.
    """

    registry: str
    folder: StageFolder

    def credential(self, registry: str) -> Credential | None:
        """The stand-in's user and token."""
        if registry != self.registry:
            return None
        return Credential(USER, self.folder.token(), source="the rehearsal")


@dataclass(frozen=True, slots=True)
class OpensStage(Rehearsal):
    """A rehearsal whose stand-in is a process of ``targets.rehearsal``.

    Subclasses have ``name``, ``faults`` and ``connect``.

    Attributes:
        extra: Of dray, that it is made of.
        whole_network: Whether it needs more loopback addresses than one, which only Linux has.
        api: A module with ``create_app`` and ``FAULTS``; None for the one that the name stands for.
    """

    extra: ClassVar[str]
    whole_network: ClassVar[bool] = False
    api: ClassVar[str | None] = None

    @abstractmethod
    def connect(self, facts: StageFacts, folder: StageFolder) -> Target[Any]:
        """The target's own code, connected to a stand-in that listens.

        Args:
            folder: Has its ``ca_file`` and its ``token``.
        """

    def messages(self, facts: StageFacts, folder: StageFolder) -> MessageLine | None:
        """A way for messages of its edge devices, where it has some."""
        return None

    def open(self, faults: Sequence[str], progress: Progress) -> Stage:
        """The stand-in that lives already, else a new one."""
        Faults(self.faults).set(tuple(faults))
        self._refuse_unable()
        folder = StageFolder.of(self.name)
        with _alone(self.name):
            facts = self._lasting(folder, faults, progress) or self._begin(folder, faults, progress)
        return self._stage(facts, folder)

    def find(self) -> Stage | None:
        """The stand-in that lives already; None where there is none."""
        folder = StageFolder.of(self.name)
        facts = folder.facts()
        if facts is None or not _process(facts, folder).alive():
            return None
        try:
            Control(facts, folder).state()
        except Gone:
            return None
        return self._stage(facts, folder)

    def _lasting(self, folder: StageFolder, faults: Sequence[str], progress: Progress) -> StageFacts | None:
        """The stand-in that lives and goes on living, with these faults; None where a new one is to begin."""
        facts = folder.facts()
        if facts is None or not _process(facts, folder).alive():
            return None
        try:
            control = Control(facts, folder)
            state = control.state()
            if facts.dray != installed_version("dray"):
                if not state["held"]:
                    control.end()
                    raise Gone(ends=True)
                progress.detail(f"the rehearsal was begun by dray {facts.dray}")
            control.order(tuple(faults), _own_identity())
            return facts
        except Gone as gone:
            _wait_for_end(facts, folder, ends=gone.ends)
            return None

    def _begin(self, folder: StageFolder, faults: Sequence[str], progress: Progress) -> StageFacts:
        """A new stand-in, after the end of what a killed one left."""
        argv = program(self.name, folder, self.api)
        if folder.path.exists():
            progress.detail("ending what a rehearsal that was killed had left")
            _clear(folder, argv)
        progress.step(f"starting a stand-in of {self.name} on this machine")
        with writing_to(folder.path):
            ensure_folder(folder.path)
            folder.path.chmod(0o700)
            write_private(folder.token_file, secrets.token_urlsafe(_TOKEN_BYTES).encode())
        engine = {name: os.environ[name] for name in _FOR_THE_ENGINE if name in os.environ}
        pid = spawn_detached(argv, env=bare_environment(engine), log=folder.log, cwd=folder.path)
        try:
            facts = _wait_for_start(pid, self.name, folder)
            Control(facts, folder).order(tuple(faults), _own_identity())
        except BaseException:
            end_process(pid, gone=lambda: _ended(pid), grace_s=_END_S)
            _clear(folder, argv)
            raise
        return facts

    def _stage(self, facts: StageFacts, folder: StageFolder) -> Stage:
        target = self.connect(facts, folder)
        credentials = StageToken(facts.registry, folder)
        return Stage(target, facts.registry, credentials, facts.runs, facts.why, self.messages(facts, folder))

    def _refuse_unable(self) -> None:
        if sys.platform == "win32":
            raise EnvironmentMissing(
                "a rehearsal needs Linux or macOS", hint="on Windows, run dray inside WSL: wsl --install"
            )
        if self.whole_network and not WHOLE_NETWORK:
            raise EnvironmentMissing(
                f"a rehearsal of {self.name} needs Linux: each pod listens on a loopback address of its own",
                hint="run dray on Linux, in a virtual machine or a container",
            )
        if os.pathsep in str(state_home()):
            raise ConfigurationError(
                f"the state folder {str(state_home())!r} has {os.pathsep!r} in its name",
                hint="set DRAY_HOME to another folder",
            )
        require_extra(self.extra)


def _clear(folder: StageFolder, argv: tuple[str, ...]) -> None:
    """End a stand-in that does not say that it lives, and everything of it."""
    engine = engine_of(folder.facts())
    end_service(folder, argv)
    end_workloads(folder, engine)
    remove_folder(folder)


def _wait_for_start(pid: int, name: str, folder: StageFolder) -> StageFacts:
    deadline = time.monotonic() + _START_S
    while True:
        facts = folder.facts()
        if facts is not None and facts.process.pid == pid:
            return facts
        if _ended(pid):
            lines = tail_of(folder.log, _TAIL_LINES)
            words = f": {lines[-1].strip()}" if lines else ", and logged nothing"
            raise DeploymentFailed(
                f"the stand-in of {name} ended before it listened{words}",
                hint="the last lines of its log are in the detail; `dray doctor` checks what is installed",
                detail={"log": lines},
            )
        if time.monotonic() >= deadline:
            raise DeploymentFailed(
                f"the stand-in of {name} did not listen within {_START_S:g} s",
                hint="is the machine very busy? the last lines of its log are in the detail",
                detail={"log": tail_of(folder.log, _TAIL_LINES)},
            )
        time.sleep(_POLL_S)


def _wait_for_end(facts: StageFacts, folder: StageFolder, *, ends: bool) -> None:
    """Let a stand-in that ends have its time; what it leaves after that is cleared."""
    process = _process(facts, folder)
    deadline = time.monotonic() + (_END_S if ends else 0)
    while process.alive() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    process.stop(grace_s=_END_S)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Only one command at a time begins a stand-in."""
    from filelock import FileLock, Timeout  # kept out of start-up

    path = state_home() / "locks" / f"rehearsal--{name}.lock"
    with writing_to(path):
        ensure_folder(path.parent)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=_START_S + 2 * _END_S)
        except Timeout as error:
            raise DeploymentBusy(
                f"another command has been opening the rehearsal of {name!r} for long",
                hint="end it, and run this again",
            ) from error
    try:
        yield
    finally:
        lock.release()


def _process(facts: StageFacts, folder: StageFolder) -> RuntimeProcess:
    return RuntimeProcess(facts.process, folder.path, folder.log)


def _own_identity() -> ProcessIdentity:
    own = psutil.Process()
    return ProcessIdentity(pid=own.pid, created=own.create_time())


def _ended(pid: int) -> bool:
    """Whether a child has ended."""
    return reap(pid) is not None or not psutil.pid_exists(pid)
