"""Workloads as containers of a Docker engine, with everything taken from them that serving does not need.

Images of the stand-in's registry are loaded from its blobs, so that the engine need not trust or reach it; those of
other registries the engine pulls, with what the body gave, and keeps, as it keeps whatever it pulls.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, Final, Literal

from packager.core.credentials import Credential
from packager.core.errors import DrayError, ImageMissing, PullDenied
from packager.core.image import ImageRef, Platform
from packager.core.progress import SilentProgress
from targets.kit.engine.containers import Container, ContainerEngine
from targets.kit.engine.docker_host import DockerHost
from targets.kit.engine.engine_refusals import ContainerGone
from targets.kit.engine.hardening import USER, limits, restrictions
from targets.rehearsal.clock import now
from targets.rehearsal.stored_images import StoredImage
from targets.rehearsal.workload import PullCredential, PullRefused, Workload, WorkloadStatus

STAGE_LABEL: Final = "dray.rehearsal"
ID_LABEL: Final = "dray.rehearsal.workload"
_ALL_LINES: Final = 100_000
_NOT_STARTED: Final = 128
_FORMAT_ERROR: Final = 1
_UNSET_TIME: Final = "0001-"


@dataclass(frozen=True, slots=True)
class _NeverRan:
    """A workload that could not even be started, and why."""

    words: str
    at: str
    exit_code: int


class ContainerRunner:
    """Runs workloads as containers with the stand-in's label; each call has a client of its own, in any thread."""

    kind: Literal["containers", "processes"] = "containers"

    def __init__(self, host: DockerHost, stage: str, platform: Platform) -> None:
        """Nothing is started.

        Args:
            stage: What tells this stand-in's containers and images from others'.
            platform: Of the engine.
        """
        self.platform = platform
        self._host = host
        self._stage = stage
        self._never: dict[str, _NeverRan] = {}
        self._loading = threading.Lock()

    def load(self, image: StoredImage) -> None:
        """Bring an image of the stand-in's own registry to the engine, where it is not there.

        Raises:
            PullRefused: It is damaged, or the engine does not take it.
        """
        name = self._name_of(image)
        with self._loading, _refusals(), ContainerEngine(self._host) as engine:
            if engine.image(name) is None:
                image.check_layers()
                engine.load(image.archive(name))

    def pull(self, ref: ImageRef, credential: PullCredential | None) -> str:
        """Let the engine pull an image from another registry; its digest.

        Raises:
            PullRefused: As the registry has it.
        """
        shown = Credential(credential.username, credential.password) if credential else None
        with _refusals(), ContainerEngine(self._host) as engine:
            engine.pull(ref, shown, SilentProgress())
            image = engine.image(str(ref))
        digests = [name.partition("@")[2] for name in image.digests] if image else []
        return ref.digest or next(iter(digests), image.id if image else "")

    def start(self, workload: Workload, image: StoredImage | None) -> None:
        """Start it; what goes wrong at once shows in its status.

        Args:
            image: Of the stand-in's registry; None where the engine pulled it.
        """
        if image and image.platform != self.platform:
            # An engine may emulate other processors; clouds do not.
            program = next(iter(workload.command or image.command), "")
            self._never[workload.id] = _NeverRan(f"exec {program}: exec format error", now(), _FORMAT_ERROR)
            return
        name = self._name_of(image) if image else workload.image
        try:
            with ContainerEngine(self._host) as engine:
                self._start(engine, workload, name)
        except DrayError as error:
            self._never[workload.id] = _NeverRan(error.message, now(), _NOT_STARTED)

    def status(self, id: str) -> WorkloadStatus:  # noqa: A002 - the field's own name
        """How it is now."""
        if never := self._never.get(id):
            return WorkloadStatus("terminated", never.exit_code, "Error", never.at, never.at)
        with ContainerEngine(self._host) as engine:
            container = self._found(engine, id)
        if container is None:
            return WorkloadStatus("terminated")
        state = container.document["State"]
        started, finished = _time(state.get("StartedAt")), _time(state.get("FinishedAt"))
        if container.status == "created":
            return WorkloadStatus("waiting")
        if container.running:
            return WorkloadStatus("running", started_at=started)
        code = container.exit_status
        reason = "OOMKilled" if container.out_of_memory else "Error" if code else "Completed"
        return WorkloadStatus("terminated", code, reason, started, finished)

    def logs(self, id: str, *, tail: int | None = None) -> str:  # noqa: A002
        """What it has written so far."""
        if never := self._never.get(id):
            return f"{never.words}\n"
        with ContainerEngine(self._host) as engine:
            container = self._found(engine, id)
            lines = engine.tail(container, _ALL_LINES if tail is None else tail) if container else []
        return "".join(f"{line}\n" for line in lines)

    def stop(self, id: str, *, grace_s: float) -> None:  # noqa: A002
        """Let it finish, then end it."""
        with ContainerEngine(self._host) as engine, suppress(ContainerGone):
            if container := self._found(engine, id):
                engine.stop(container, grace_s=grace_s)

    def remove(self, id: str) -> None:  # noqa: A002
        """End it at once, with its volumes, and forget it."""
        self._never.pop(id, None)
        with ContainerEngine(self._host) as engine:
            if container := self._found(engine, id):
                engine.remove(container)

    def running(self) -> Iterator[str]:
        """Ids of all that run, whoever started them."""
        with ContainerEngine(self._host) as engine:
            found = engine.containers([f"{STAGE_LABEL}={self._stage}"])
        yield from (each.labels[ID_LABEL] for each in found if each.running)

    def _start(self, engine: ContainerEngine, workload: Workload, image: str) -> None:
        body = _body(workload, image, self._stage, most_cpus=engine.facts().cpus)
        labels = {STAGE_LABEL: self._stage, ID_LABEL: workload.id}
        container = engine.create(self._container_name(workload.id), {**body, "Labels": labels})
        try:
            for folder, files in _by_folder(workload.files).items():
                engine.copy_in(container, folder, files)
            engine.start(container)
        except BaseException:
            engine.remove(container)
            raise

    def _found(self, engine: ContainerEngine, id: str) -> Container | None:  # noqa: A002
        try:
            return engine.container(self._container_name(id))
        except ContainerGone:
            return None

    def _container_name(self, id: str) -> str:  # noqa: A002
        # With a digest, as two ids may read the same once cleaned.
        readable = re.sub(r"[^A-Za-z0-9_.-]", "-", id)[:40]
        return f"{STAGE_LABEL}-{self._stage}-{readable}-{sha256(id.encode()).hexdigest()[:8]}"

    def _name_of(self, image: StoredImage) -> str:
        return f"{images_name(self._stage)}:{image.config_digest.removeprefix('sha256:')}"


def images_name(stage: str) -> str:
    """Under which name an engine has the images of a stand-in."""
    return f"dray-rehearsal-{stage}"


def _body(workload: Workload, image: str, stage: str, *, most_cpus: float) -> dict[str, Any]:
    """What creates its container: it may write to ``/tmp`` and its volumes alone."""
    ports = {f"{port}/tcp" for port in workload.ports}
    bindings = {f"{port}/tcp": [{"HostIp": workload.address, "HostPort": str(port)}] for port in workload.ports}
    # With the machine's own network, a port is where the program listens, and nothing is there to bind.
    network = {"NetworkMode": "host"} if workload.host_network else {"PortBindings": bindings}
    return {
        "Image": image,
        "User": USER,
        "Env": [f"{name}={value}" for name, value in sorted(workload.environment.items())],
        "ExposedPorts": {port: {} for port in sorted(ports)},
        # Whether it is well is asked by the cloud, by the probes of the body.
        "Healthcheck": {"Test": ["NONE"]},
        **({"Entrypoint": list(workload.command), "Cmd": []} if workload.command else {}),
        "HostConfig": {
            **restrictions(tmp_mib=workload.tmp_mib, log_files=1),
            **network,
            "Mounts": _mounts(workload, stage),
            # No more processors than there are, which an engine would refuse.
            **limits(min(workload.cpus, most_cpus) if workload.cpus else None, workload.memory_mib),
        },
    }


def _mounts(workload: Workload, stage: str) -> list[dict[str, Any]]:
    """Volumes for files, which go with the container; named ones, which go with the stand-in; and sockets."""
    label = {"VolumeOptions": {"Labels": {STAGE_LABEL: stage}}}
    return [
        *({"Type": "volume", "Target": folder} for folder in _by_folder(workload.files)),
        *(
            {"Type": "volume", "Source": f"{images_name(stage)}-{name}", "Target": target, **label}
            for target, name in sorted(workload.mounts.volumes.items())
        ),
        *(
            {"Type": "bind", "Source": str(source), "Target": target}
            for target, source in sorted(workload.mounts.sockets.items())
        ),
    ]


def _by_folder(files: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    for name, content in sorted(files.items()):
        path = PurePosixPath(name)
        found.setdefault(str(path.parent), {})[path.name] = content
    return found


@contextmanager
def _refusals() -> Iterator[None]:
    """An engine's refusals of an image as those of a pull."""
    try:
        yield
    except PullDenied as error:
        raise PullRefused("denied", error.message) from error
    except ImageMissing as error:
        raise PullRefused("missing", error.message) from error
    except DrayError as error:
        raise PullRefused("unreachable", error.message) from error


def _time(text: str | None) -> str:
    """A time as the engine says it; empty for one that has not come."""
    return "" if not text or text.startswith(_UNSET_TIME) else text
