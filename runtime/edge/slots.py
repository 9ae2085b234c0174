"""Two folders for packages beside that of the image, and a note which of them serves: all of it outlives the process.

Under ``slots`` of the module's folder: ``a`` and ``b``, packages; ``active.json``, the note, replaced in one step and
only when a package has passed its self-test; ``trial.json``, written before a package is loaded and removed behind it,
so that one which ends the process each time is known; ``download``, the beginning of an archive.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from runtime.contract.certificate import CERTIFICATE_NAME, Certificate
from runtime.contract.errors import DrayError
from runtime.contract.manifest import MANIFEST_NAME, ModelManifest
from runtime.edge.unpacking import sync
from runtime.errors import FolderRefused, NoRoom, PackageDeadly

NAMES: Final = ("a", "b")
# A package is not loaded any more when so many processes have ended over it.
MOST_TRIALS: Final = 3
_FREE: Final = "free space on the device, or mount a larger volume"


def free_bytes_at(path: Path) -> int:
    """Of the disk that holds a folder."""
    return shutil.disk_usage(path).free


@dataclass(frozen=True, slots=True)
class Active:
    """Which slot serves, and in the place of what.

    Attributes:
        slot: ``a`` or ``b``.
        base: Digest of the image's package that it stands for: with another image it serves no more.
    """

    slot: str
    digest: str
    model: str
    version: str
    base: str


class Slots:
    """The folder ``slots``. May be used from any thread, by one at a time.

    Args:
        reserve_bytes: What is left free on the disk.
    """

    def __init__(self, folder: Path, reserve_bytes: int, free_bytes: Callable[[Path], int] = free_bytes_at) -> None:
        self.folder = folder / "slots"
        self._reserve_bytes = reserve_bytes
        self._free_bytes = free_bytes

    @property
    def download(self) -> Path:
        """Where the archive goes while it is fetched."""
        return self.folder / "download"

    def path(self, slot: str) -> Path:
        """The package's folder."""
        return self.folder / slot

    @property
    def active(self) -> Active | None:
        """Which slot shall serve; None where the image's own package does."""
        document = self._read("active.json")
        try:
            active = Active(**document)
        except TypeError:
            return None
        return (
            active if active.slot in NAMES and all(isinstance(each, str) for each in asdict(active).values()) else None
        )

    def activate(self, active: Active | None) -> None:
        """Let this one serve from the next start on."""
        with writing():
            if active is None:
                (self.folder / "active.json").unlink(missing_ok=True)
            else:
                self._write("active.json", asdict(active))

    def begin_trial(self, digest: str) -> None:
        """A package is about to be loaded.

        Raises:
            PackageDeadly: The process ended too often over it.
        """
        before = self._read("trial.json")
        count = before.get("count", 0) if before.get("digest") == digest else 0
        if isinstance(count, int) and count >= MOST_TRIALS:
            raise PackageDeadly(
                f"the process ended {count} times while it loaded the package {digest}",
                hint="look at the module's log, and at its memory limit: two models are in memory during a switch",
            )
        with writing():
            self._write("trial.json", {"digest": digest, "count": count + 1 if isinstance(count, int) else 1})

    def end_trial(self) -> None:
        """The process has survived it."""
        with contextlib.suppress(OSError):
            (self.folder / "trial.json").unlink(missing_ok=True)

    def begin_download(self, sha256: str) -> None:
        """Keep what was fetched of this very file, and nothing of another."""
        with writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._read("download.json").get("sha256") != sha256:
                self.download.unlink(missing_ok=True)
                self._write("download.json", {"sha256": sha256})

    def end_download(self) -> None:
        """What was fetched is not needed any more."""
        for name in ("download", "download.json"):
            (self.folder / name).unlink(missing_ok=True)

    def clear(self, slot: str) -> None:
        """Empty a slot; what was half made of it, too."""
        with writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in (self.path(slot), self.being_made(slot), self.folder / f"{slot}.part.lifted"):
                if path.exists():
                    shutil.rmtree(path)

    def being_made(self, slot: str) -> Path:
        """Where the slot's next package is put together."""
        return self.folder / f"{slot}.part"

    def fill(self, slot: str) -> None:
        """What was put together is the slot's package, and on the disk."""
        made = self.being_made(slot)
        for root, _, _ in os.walk(made):
            sync(Path(root))
        made.rename(self.path(slot))
        sync(self.folder)

    def room_bytes(self) -> int:
        """What may still be written."""
        with writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            return max(0, self._free_bytes(self.folder) - self._reserve_bytes)

    def need(self, size_bytes: int) -> None:
        """Make sure that so much can be written.

        Raises:
            NoRoom: It cannot.
        """
        if (room := self.room_bytes()) < size_bytes:
            raise NoRoom(f"the package needs {size_bytes} bytes on the disk, and {room} are to be had", hint=_FREE)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            document = json.loads((self.folder / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def _write(self, name: str, document: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / f"{name}.part"
        with fresh.open("wb") as file:
            file.write(json.dumps(document).encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.folder / name)
        sync(self.folder)


@contextmanager
def writing() -> Iterator[None]:
    """A disk that refuses is an error with a name.

    Raises:
        NoRoom, FolderRefused: It does.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom("the disk is full", hint=_FREE) from error
        raise FolderRefused(
            f"the folder for packages cannot be written, or a package's not be read: {str(error).lower()}",
            hint="mount a volume at DRAY_EDGE_FOLDER that user 65532 can write",
        ) from error


@dataclass(frozen=True, slots=True)
class Claim:
    """What a package says of itself, unchecked."""

    model: str
    digest: str


def claim_of(package: Path) -> Claim | None:
    """None where there is none to be read."""
    try:
        manifest = ModelManifest.model_validate_json((package / MANIFEST_NAME).read_bytes())
        certificate = Certificate.model_validate_json((package / CERTIFICATE_NAME).read_bytes())
    except (OSError, ValidationError, DrayError):
        return None
    return Claim(manifest.name, certificate.digest)
