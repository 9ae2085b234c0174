"""The folder of a stand-in: what lies where in it, and the facts that its clients find it by."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from packager.core.files import write_atomic
from packager.core.state import state_home
from runtime.contract.persisted import Persisted
from targets.kit.engine.process import ProcessIdentity

# Of the document; a stand-in of another form is not talked to.
FORM: Final = 1
# Who has the right to everything in the registry; the password is the token.
USER: Final = "dray"


class StageFacts(Persisted):
    """What a stand-in that listens says of itself.

    Attributes:
        dray: Version of the dray that it is of.
        process: Its own.
        api: URL of the cloud's API; ``registry``: host and port of the registry.
        engine: URL of the container engine that it uses; empty without one.
        why: Why it runs processes; empty for containers.
    """

    form: int
    name: str
    dray: str
    process: ProcessIdentity
    api: str
    registry: str
    runs: Literal["containers", "processes"]
    engine: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class StageFolder:
    """Where one stand-in keeps everything; it goes with the stand-in."""

    path: Path

    @classmethod
    def of(cls, name: str) -> "StageFolder":
        """The folder of a target's stand-in, under ``DRAY_HOME``."""
        return cls(state_home() / "rehearsals" / name)

    @property
    def id(self) -> str:
        """By which an engine's containers and images are known as this one's."""
        return hashlib.sha256(os.path.realpath(self.path).encode()).hexdigest()[:12]

    @property
    def facts_file(self) -> Path:
        """Written last and removed last."""
        return self.path / "stage.json"

    @property
    def token_file(self) -> Path:
        """What every request must carry."""
        return self.path / "token"

    @property
    def ca_file(self) -> Path:
        """Certificate of the authority that signed the API's."""
        return self.path / "ca.pem"

    @property
    def certificate(self) -> Path:
        """Of the API."""
        return self.path / "server.pem"

    @property
    def key(self) -> Path:
        """Of the API's certificate."""
        return self.path / "server.key"

    @property
    def log(self) -> Path:
        """Of the stand-in itself."""
        return self.path / "service.log"

    @property
    def blobs(self) -> Path:
        """Of the registry."""
        return self.path / "registry"

    @property
    def workloads(self) -> Path:
        """A folder for each process that runs as a workload."""
        return self.path / "workloads"

    @property
    def packages(self) -> Path:
        """Packages out of images, by the digest of the image."""
        return self.path / "packages"

    @property
    def volumes(self) -> Path:
        """Folders of processes that outlive them."""
        return self.path / "volumes"

    def token(self) -> str:
        """The secret.

        Raises:
            OSError: There is none.
        """
        return self.token_file.read_text(encoding="ascii")

    def facts(self) -> StageFacts | None:
        """What the stand-in wrote; None where there is none, or none that this dray can read."""
        try:
            facts = StageFacts.model_validate_json(self.facts_file.read_bytes())
        except (OSError, ValidationError):
            return None
        return facts if facts.form == FORM else None

    def write_facts(self, facts: StageFacts) -> None:
        """Say that the stand-in listens."""
        write_atomic(self.facts_file, facts.model_dump_json(indent=2).encode())


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that this user alone can ever read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
