"""What the local target remembers of a deployment: who serves, who is about to, who is on its way out.

The record is the journal as well. It is written before every step that leaves something behind, so that a command that
was killed at any moment is completed or undone by the next one.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from packager.core.artifact import ModelPackage
from packager.core.errors import DeploymentFailed
from packager.core.evidence import take_evidence
from packager.core.files import copy_tree, new_folder, write_atomic
from packager.core.state import state_home
from runtime.contract.errors import PackageError
from runtime.contract.package import read_package
from targets.kit.engine.process import ProcessIdentity, RuntimeLaunch, RuntimeProcess
from targets.local.settings import LocalSettings

RECORD_NAME = "record.json"
_RELEASES, _LOGS = "releases", "logs"
_LOGS_KEPT = 5


class _Recorded(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Slot(_Recorded):
    """One release and the process that serves it.

    Attributes:
        number: Of its start, counted over the deployment's life; names its log.
        process: None while it is being started, and once it has been stopped.
        since: ISO 8601, UTC; when it began to serve, or to be a candidate.
    """

    number: int
    model: str
    version: str
    digest: str
    settings: LocalSettings
    host: str
    port: int
    standby_port: int | None = None
    process: ProcessIdentity | None = None
    since: str


class Record(_Recorded):
    """A deployment.

    Attributes:
        candidate: Started, and not yet in the live one's place.
        retiring: Replaced, and perhaps not yet ended.
        previous: What a rollback brings back.
    """

    schema_version: Literal[1] = 1
    name: str
    starts: int = 0
    live: Slot | None = None
    candidate: Slot | None = None
    retiring: Slot | None = None
    previous: Slot | None = None

    def kept(self) -> tuple[Slot, ...]:
        """The slots whose packages are still needed."""
        return tuple(slot for slot in (self.live, self.candidate, self.retiring, self.previous) if slot)


@dataclass(frozen=True, slots=True)
class DeploymentFolder:
    """Everything that a local deployment keeps: its record, its own copies of packages, its logs."""

    path: Path

    @classmethod
    def of(cls, name: str) -> "DeploymentFolder":
        """The folder of a deployment, which need not exist."""
        return cls(_home() / name)

    @property
    def name(self) -> str:
        """The deployment's."""
        return self.path.name

    def read(self) -> Record | None:
        """The record, or None where there is no such deployment.

        Raises:
            DeploymentFailed: The record cannot be read.
        """
        path = self.path / RECORD_NAME
        try:
            return Record.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValidationError as error:
            raise DeploymentFailed(
                f"the record of {self.name!r} cannot be read: {str(path)!r}",
                hint="a newer dray wrote it, or a hand: update dray, or end its process and remove the folder",
            ) from error

    def write(self, record: Record) -> Record:
        """Replace the record."""
        write_atomic(self.path / RECORD_NAME, (record.model_dump_json(indent=2) + "\n").encode())
        return record

    def release(self, digest: str) -> Path:
        """Where the package of this digest is kept."""
        return self.path / _RELEASES / digest.removeprefix("sha256:")[:12]

    def log(self, slot: Slot) -> Path:
        """The log of one start."""
        return self.path / _LOGS / f"{slot.number:04d}-{slot.digest.removeprefix('sha256:')[:12]}.log"

    def keep(self, package: ModelPackage) -> Path:
        """The deployment's own copy, verified, so that the user's may be moved or deleted.

        Raises:
            NotWritable, DiskFull: Nothing is left.
            PackageError: The package was changed while it was copied.
        """
        copy = self.release(package.digest)
        if copy.exists() and not _sound(copy, package.digest):
            shutil.rmtree(copy)
        if not copy.exists():
            with new_folder(copy) as folder:
                copy_tree(package.root, folder)
            read_package(copy)
        take_evidence(package, copy)
        return copy

    def prune(self, record: Record) -> None:
        """Remove packages, logs and temporary files that nobody needs any more."""
        needed = {self.release(slot.digest) for slot in record.kept()}
        for path in _children(self.path / _RELEASES):
            if path not in needed:
                shutil.rmtree(path)
        logs = {self.log(slot) for slot in record.kept()}
        for path in sorted(_children(self.path / _LOGS))[:-_LOGS_KEPT]:
            if path not in logs:
                path.unlink()
        for path in _children(self.path):
            if path.name.startswith(f".{RECORD_NAME}."):
                path.unlink()

    def remove(self) -> None:
        """Remove everything, the record last: until then a second try knows what it is about."""
        for path in _children(self.path):
            if path.is_dir():
                shutil.rmtree(path)
        if self.path.exists():
            shutil.rmtree(self.path)

    def launch(self, slot: Slot, program: tuple[str, ...]) -> RuntimeLaunch:
        """The start of a slot."""
        return RuntimeLaunch(
            packages=(self.release(slot.digest),),
            host=slot.host,
            port=slot.port,
            standby_port=slot.standby_port,
            folder=self.path,
            log=self.log(slot),
            environment=slot.settings.environment(),
            program=program,
        )

    def process(self, slot: Slot) -> RuntimeProcess | None:
        """The process of a slot, dead or alive; None where none was started."""
        return RuntimeProcess(slot.process, self.path, self.log(slot)) if slot.process else None


def all_folders() -> Iterator[DeploymentFolder]:
    """The folders of all local deployments, by name."""
    for path in _children(_home()):
        if (path / RECORD_NAME).is_file():
            yield DeploymentFolder(path)


def _home() -> Path:
    return state_home() / "deployments" / "local"


def _children(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else []


def _sound(copy: Path, digest: str) -> bool:
    try:
        return read_package(copy).digest == digest
    except PackageError:
        return False
