"""What a cloud's stand-in runs: one container's worth of a body that it was sent, on an engine or as a process."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from packager.core.image import Platform

WorkloadState = Literal["waiting", "running", "terminated"]


@dataclass(frozen=True, slots=True)
class Mounts:
    """What of outside a workload sees, by absolute path within it.

    Attributes:
        sockets: Of this machine; a process is told their own paths in its settings.
        volumes: Names of folders that outlive the workload, and end with the stand-in.
    """

    sockets: Mapping[str, Path] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workload:
    """A container that shall run.

    Attributes:
        id: Of this run; the stand-in never uses it twice.
        image: As the body names it; what lies in the stand-in's own registry is taken from there.
        environment: May hold secrets; shown nowhere.
        files: By absolute path: what secret volumes hold.
        address: The loopback address of this machine that it answers on.
        ports: That it listens on; each is the same outside.
        cpus, memory_mib: Limits; processes are not held to them.
        tmp_mib: Size of ``/tmp``, the only place to write to.
        mounts: None of these is needed by most.
        host_network: A container shares this machine's network, and listens on its address alone by its settings.
    """

    id: str
    image: str
    address: str
    ports: tuple[int, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    command: tuple[str, ...] = ()
    cpus: float | None = None
    memory_mib: int | None = None
    tmp_mib: int = 64
    mounts: Mounts = field(default_factory=Mounts)
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class WorkloadStatus:
    """A workload at one moment.

    Attributes:
        reason: Of its end: ``OOMKilled``, ``Error`` or ``Completed``; empty while it runs.
        started_at, finished_at: ISO 8601, UTC; empty before.
    """

    state: WorkloadState
    exit_code: int | None = None
    reason: str = ""
    started_at: str = ""
    finished_at: str = ""


class PullRefused(Exception):
    """An image could not be had.

    Attributes:
        kind: ``denied`` (credentials), ``missing`` (no such image), ``unreachable`` (no such registry, or it failed).
    """

    def __init__(self, kind: Literal["denied", "missing", "unreachable"], message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class PullCredential:
    """What a body says that the registry wants to see."""

    server: str
    username: str = field(repr=False)
    password: str = field(repr=False)


class Runner(Protocol):
    """Runs workloads; calls block, so that an event loop makes them in a thread."""

    kind: Literal["containers", "processes"]

    @abstractmethod
    def pull(self, image: str, credential: PullCredential | None) -> str:
        """Bring an image here; its digest. Raises PullRefused."""

    @abstractmethod
    def start(self, workload: Workload) -> None:
        """Start it; what goes wrong at once shows in its status."""

    @abstractmethod
    def status(self, id: str) -> WorkloadStatus:  # noqa: A002 - the field's own name
        """How it is now; ``terminated`` for one that is not known."""

    @abstractmethod
    def logs(self, id: str, *, tail: int | None = None) -> str:  # noqa: A002
        """What it has written so far; empty for one that is not known."""

    @abstractmethod
    def stop(self, id: str, *, grace_s: float) -> None:  # noqa: A002
        """Let it finish, then end it; it stays to be asked about."""

    @abstractmethod
    def remove(self, id: str) -> None:  # noqa: A002
        """End it at once and forget it; one that is not known is fine."""

    @abstractmethod
    def running(self) -> Iterator[str]:
        """Ids of all that run, those of a stand-in that was killed among them."""


@runtime_checkable
class OtherMachines(Protocol):
    """A runner that stands for machines of other processors too."""

    @abstractmethod
    def on(self, platform: Platform) -> Runner:
        """What runs images as a machine of a platform would; as processes where this machine cannot."""
