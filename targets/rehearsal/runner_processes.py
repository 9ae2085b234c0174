"""Workloads as processes of the runtime that is installed here: for images of a package alone, and without an engine.

The package is unpacked from the image's layers; the image's own programs are not run, whatever they are. A process is
not held to memory and CPU limits, and so never ends as ``OOMKilled``: that is what a container is for.
"""

import os
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal
from urllib.parse import quote, unquote

from packager.core.archives import unpack_folder
from packager.core.errors import DrayError
from packager.core.image import MODEL_FOLDER
from packager.core.process import end_process, reap
from targets.kit.engine.ports import free_port
from targets.kit.engine.process import RUNTIME, RuntimeLaunch, RuntimeProcess, processes_in
from targets.rehearsal.clock import now
from targets.rehearsal.layout import StageFolder, write_private
from targets.rehearsal.stored_images import StoredImage
from targets.rehearsal.workload import PullRefused, Workload, WorkloadState, WorkloadStatus

_LOOPBACK: Final = "127.0.0.1"
_PORT: Final = "8080"
_LOG: Final = "log"
# What a cloud keeps of a log too.
_LOG_BYTES: Final = 4 << 20
_NO_PROGRAM: Final = 127
_REMOVE_GRACE_S: Final = 0.5


@dataclass(slots=True)
class _Run:
    """One workload; changed under the runner's lock alone."""

    process: RuntimeProcess | None
    started_at: str
    finished_at: str = ""
    exit_code: int | None = None


class ProcessRunner:
    """Runs workloads as processes, each with a working folder of its own by which it can be found again."""

    kind: Literal["containers", "processes"] = "processes"

    def __init__(self, folder: StageFolder) -> None:
        self._folder = folder
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    def prepare(self, image: StoredImage) -> None:
        """Unpack an image's package; an image without one is refused when it shall run.

        Raises:
            PullRefused: A layer is damaged.
        """
        out = self._package(image)
        if out.is_dir():
            return
        image.check_layers()
        out.parent.mkdir(parents=True, exist_ok=True)
        # The model lies on top: what changes oftest comes last.
        for layer in reversed(image.layers):
            staging = Path(tempfile.mkdtemp(dir=out.parent, prefix="."))
            try:
                if _unpacked(image, layer, staging):
                    with suppress(OSError):  # another pull of the same image was quicker
                        staging.rename(out)
                    return
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def start(self, workload: Workload, image: StoredImage | None, *, foreign: bool = False) -> None:
        """Start it; what stands against that is in its log, as a program would have left it.

        Args:
            image: None where it was not pulled.
            foreign: The cloud could not run the image's programs.
        """
        home = self._home(workload.id)
        home.mkdir(parents=True)
        if image is None:
            run = _refused(home, f"{workload.image} was not pulled")
        elif foreign:
            program = next(iter(workload.command or image.command), "")
            run = _refused(home, f"exec {program}: exec format error", exit_code=1)
        elif words := self._hindrance(workload, image):
            run = _refused(home, words)
        else:
            run = _Run(RuntimeProcess.start(self._launch(workload, image, home)), now())
        with self._lock:
            self._runs[workload.id] = run

    def status(self, id: str) -> WorkloadStatus:  # noqa: A002 - the field's own name
        """How it is now."""
        with self._lock:
            run = self._runs.get(id)
            if run is None:
                return WorkloadStatus("terminated")
            self._look(run)
            state: WorkloadState = "running" if run.exit_code is None else "terminated"
            reason = "" if run.exit_code is None else "Completed" if run.exit_code == 0 else "Error"
            return WorkloadStatus(state, run.exit_code, reason, run.started_at, run.finished_at)

    def logs(self, id: str, *, tail: int | None = None) -> str:  # noqa: A002
        """What it has written so far."""
        try:
            with (self._home(id) / _LOG).open("rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - _LOG_BYTES))
                lines = stream.read().decode("utf-8", "replace").splitlines(keepends=True)
        except FileNotFoundError:
            return ""
        return "".join(lines if tail is None else lines[max(0, len(lines) - tail) :])

    def stop(self, id: str, *, grace_s: float) -> None:  # noqa: A002
        """Let it finish, then end it."""
        with self._lock:
            run = self._runs.get(id)
        if run and run.process:
            end_process(run.process.identity.pid, gone=lambda: self._ended(run), grace_s=grace_s)

    def remove(self, id: str) -> None:  # noqa: A002
        """End it at once, and forget it with its files."""
        self.stop(id, grace_s=_REMOVE_GRACE_S)
        with self._lock:
            self._runs.pop(id, None)
        shutil.rmtree(self._home(id), ignore_errors=True)

    def running(self) -> Iterator[str]:
        """Ids of all that run, whoever started them."""
        homes = self._folder.workloads.iterdir() if self._folder.workloads.is_dir() else ()
        yield from (unquote(home.name) for home in homes if any(processes_in(home, RUNTIME)))

    def knows(self, id: str) -> bool:  # noqa: A002
        """Whether it was started here."""
        return id in self._runs

    def _ended(self, run: _Run) -> bool:
        with self._lock:
            self._look(run)
            return run.exit_code is not None

    def _look(self, run: _Run) -> None:
        """Note its end; its status can be had only once, and nothing else here may ask for it."""
        if run.process is None or run.exit_code is not None:
            return
        code = reap(run.process.identity.pid)
        if code is not None:
            # As a shell and an engine say it: 128 and the signal.
            run.exit_code, run.finished_at = (code if code >= 0 else 128 - code), now()

    def _launch(self, workload: Workload, image: StoredImage, home: Path) -> RuntimeLaunch:
        port = int(_port_of(workload, image))
        # Behind a port that the workload does not open nobody reaches it, here as there.
        seen = not workload.ports or port in workload.ports
        environment = {**_settings_of(image.environment), **workload.environment}
        return RuntimeLaunch(
            packages=(self._package(image),),
            host=workload.address if seen else _LOOPBACK,
            port=port if seen else free_port(_LOOPBACK),
            folder=home,
            log=home / _LOG,
            environment=self._mounted(workload, _repointed(environment, _placed(workload.files, home / "files"))),
        )

    def _mounted(self, workload: Workload, environment: Mapping[str, str]) -> dict[str, str]:
        """Settings that name a socket or a volume, with where that is on this machine."""
        places = {target: str(source) for target, source in workload.mounts.sockets.items()}
        for target, name in workload.mounts.volumes.items():
            folder = self._folder.volumes / quote(name, safe="")
            folder.mkdir(parents=True, exist_ok=True)
            places[target] = str(folder)
        return {name: _replaced(value, places) for name, value in environment.items()}

    def _hindrance(self, workload: Workload, image: StoredImage) -> str:
        """Why it cannot run as a process; empty where it can."""
        if not self._package(image).is_dir():
            return f"{workload.image} holds no model package, and there is no container engine to run anything else"
        command = workload.command
        if command and command != image.command and command[-2:] != RUNTIME[-2:]:
            return f"there is no container engine to run {' '.join(command)!r}: a process is the runtime, nothing else"
        port = _port_of(workload, image)
        if not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
            return f"E-SETTING DRAY_PORT is {port!r}, allowed: a whole number from 1 to 65535"
        return ""

    def _home(self, id: str) -> Path:  # noqa: A002
        return self._folder.workloads / quote(id, safe="")

    def _package(self, image: StoredImage) -> Path:
        return self._folder.packages / image.config_digest.removeprefix("sha256:")


def _unpacked(image: StoredImage, layer: str, out: Path) -> bool:
    """Whether a layer holds the package, which then lies in the folder."""
    try:
        with tarfile.open(image.store.path(layer)) as archive:
            return unpack_folder(archive, MODEL_FOLDER, out)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise PullRefused("unreachable", f"failed to extract layer {layer}: {error}") from error
    except DrayError as error:
        raise PullRefused("unreachable", f"failed to extract layer {layer}: {error.message}") from error


def _refused(home: Path, words: str, *, exit_code: int = _NO_PROGRAM) -> _Run:
    """A workload that never ran, and its log."""
    (home / _LOG).write_text(f"{words}\n", encoding="utf-8")
    return _Run(None, now(), now(), exit_code)


def _port_of(workload: Workload, image: StoredImage) -> str:
    """What the runtime would listen on in a container, as it is written."""
    given = {**image.environment, **workload.environment}.get("DRAY_PORT", "")
    return given.strip() or _PORT


def _settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an image's environment is the runtime's; the rest are paths within the image."""
    return {name: value for name, value in environment.items() if name.startswith("DRAY_")}


def _placed(files: Mapping[str, bytes], below: Path) -> dict[str, str]:
    """Files of a container in a folder of this user's alone: where each lies now, by where it should."""
    placed = {}
    for name, content in files.items():
        path = below.joinpath(*(part for part in PurePosixPath(name).parts if part not in ("/", "..")))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, content)
        placed[str(PurePosixPath(name))] = str(path)
    return placed


def _replaced(value: str, places: Mapping[str, str]) -> str:
    """A path, or a URL of a socket, as it is on this machine."""
    scheme, path = ("unix://", value.removeprefix("unix://")) if value.startswith("unix://") else ("", value)
    return f"{scheme}{places[path]}" if path in places else value


def _repointed(environment: Mapping[str, str], placed: Mapping[str, str]) -> dict[str, str]:
    """Settings that name a file of the container, with where that lies now."""

    def pointed(name: str, value: str) -> str:
        is_file = name.startswith("DRAY_") and name.endswith("_FILE")
        return placed.get(str(PurePosixPath(value.strip())), value) if is_file else value

    return {name: pointed(name, value) for name, value in environment.items()}
