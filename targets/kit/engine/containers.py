"""Containers of a Docker engine: what the SDK can do, in our types and with our errors."""

import io
import logging
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from packager.core.archives import unpack_folder
from packager.core.credentials import Credential
from packager.core.errors import EngineUnavailable, ImageInvalid
from packager.core.image import ImageRef, Platform
from packager.core.progress import Progress
from targets.kit.engine.docker_host import DockerHost
from targets.kit.engine.engine_refusals import ContainerGone, pull_error, refused_by_engine

if TYPE_CHECKING:
    import docker

logger = logging.getLogger(__name__)
_TAIL_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine says of itself."""

    platform: Platform
    cpus: float
    memory_bytes: int
    version: str


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image that an engine holds.

    Attributes:
        digests: In the registries that it was pulled from, ``repository@sha256:…``.
    """

    id: str
    platform: Platform
    labels: Mapping[str, str]
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine shows it at one moment.

    Attributes:
        document: What ``docker inspect`` prints.
    """

    id: str
    name: str
    document: Mapping[str, Any]

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.document["Config"].get("Labels") or {}

    @property
    def image_id(self) -> str:
        """The image that it really runs."""
        return str(self.document["Image"])

    @property
    def running(self) -> bool:
        """Whether its process runs now, and not for the second time because the first one ended."""
        state = self.document["State"]
        return bool(state["Running"]) and not state.get("Restarting") and not self.document.get("RestartCount")

    @property
    def status(self) -> str:
        """``created``, ``running``, ``paused``, ``restarting``, ``exited`` or ``dead``."""
        return str(self.document["State"]["Status"])

    @property
    def exit_status(self) -> int:
        """Of its process, once that has ended."""
        return int(self.document["State"].get("ExitCode") or 0)

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel ended it for its memory limit."""
        return bool(self.document["State"].get("OOMKilled"))

    def host_port(self, port: int) -> int | None:
        """Where a port of it is published now."""
        ports = (self.document.get("NetworkSettings") or {}).get("Ports") or {}
        bound = ports.get(f"{port}/tcp") or ()
        return next((int(entry["HostPort"]) for entry in bound if entry.get("HostPort")), None)


class ContainerEngine:
    """A Docker engine; close it, or use it as a context manager."""

    def __init__(self, host: DockerHost) -> None:
        """Connects at once.

        Raises:
            EngineUnavailable, EnvironmentMissing: As ``DockerHost.connect``.
        """
        self.host = host
        self._api: docker.APIClient = host.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def facts(self) -> EngineFacts:
        """Platform, size and version."""
        with self._mapped("its facts"):
            info = self._api.info()
        platform = Platform.of_json({"os": info.get("OSType"), "architecture": info.get("Architecture")})
        return EngineFacts(platform, float(info["NCPU"]), int(info["MemTotal"]), str(info["ServerVersion"]))

    def image(self, name: str) -> EngineImage | None:
        """An image that is there, by name or id."""
        import docker.errors

        with self._mapped(f"image {name}"):
            try:
                document = self._api.inspect_image(name)
            except docker.errors.NotFound:
                return None
        platform = Platform.of_json({"os": document.get("Os"), "architecture": document.get("Architecture")})
        labels = (document.get("Config") or {}).get("Labels") or {}
        return EngineImage(str(document["Id"]), platform, labels, tuple(document.get("RepoDigests") or ()))

    def image_names(self, repository: str) -> tuple[str, ...]:
        """What it has of one repository, each as ``repository:tag``."""
        with self._mapped(f"images {repository}"):
            rows = self._api.images(repository)
        return tuple(sorted(name for row in rows for name in row.get("RepoTags") or ()))

    def remove_image(self, name: str) -> None:
        """Take a name from an image, and the image with its last name; done already is done."""
        import docker.errors

        with self._mapped(f"image {name}"):
            try:
                self._api.remove_image(name)
            except docker.errors.NotFound:
                logger.debug("%s is gone already", name)

    def remove_volumes(self, labels: Sequence[str]) -> None:
        """Remove all volumes with these labels, written ``name=value``, with what is in them."""
        with self._mapped("its volumes"):
            found = self._api.volumes(filters={"label": list(labels)}).get("Volumes") or ()
            for volume in found:
                self._api.remove_volume(volume["Name"], force=True)

    def pull(self, ref: ImageRef, credential: Credential | None, progress: Progress) -> None:
        """Fetch an image from its registry.

        Raises:
            ImageMissing, PullDenied, RegistryError: As the registry has it.
        """
        progress.step(f"pulling {ref}")
        auth = credential.for_engine() if credential else {}
        repository = f"{ref.registry}/{ref.repository}" if ref.registry else ref.repository
        with self._mapped(f"image {ref}", ref):
            for line in self._api.pull(repository, tag=ref.selector, auth_config=auth, stream=True, decode=True):
                if error := line.get("error"):
                    raise pull_error(str(error), ref)

    def load(self, archive: Iterator[bytes]) -> None:
        """Take an image in the form that ``docker load`` reads.

        Raises:
            DeploymentError, ImageError: The engine refuses it, or has no room.
        """
        with self._mapped("loading an image"):
            for line in self._api.load_image(archive, quiet=True):  # a generator is sent in pieces
                if error := line.get("error"):
                    raise ImageInvalid(f"the engine did not take the image: {error}", hint="is there room on its disk?")

    def registry_platforms(self, ref: ImageRef, credential: Credential | None) -> tuple[Platform, ...]:
        """For which platforms a registry has an image, asked by the engine.

        Raises:
            ImageMissing, PullDenied, RegistryError: As the registry has it.
        """
        with self._mapped(f"image {ref}", ref):
            document = self._api.inspect_distribution(
                str(ref), auth_config=credential.for_engine() if credential else {}
            )
        return tuple(Platform.of_json(entry) for entry in document.get("Platforms") or ())

    def create(self, name: str, body: Mapping[str, Any]) -> Container:
        """A container that does not run yet.

        Raises:
            DeploymentBusy: There is one of this name.
        """
        with self._mapped(f"container {name}"):
            made = self._api.create_container_from_config(dict(body), name)
        return self.container(str(made["Id"]), name)

    def start(self, container: Container) -> None:
        """Start it.

        Raises:
            PortInUse, DeploymentFailed: As the engine has it.
        """
        with self._mapped(f"container {container.name}"):
            self._api.start(container.id)

    def stop(self, container: Container, *, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after the grace."""
        with self._mapped(f"container {container.name}"):
            self._api.stop(container.id, timeout=max(1, round(grace_s)))

    def set_restart(self, container: Container, policy: str) -> None:
        """What the engine does when it ends."""
        with self._mapped(f"container {container.name}"):
            self._api.update_container(container.id, restart_policy={"Name": policy})

    def rename(self, container: Container, name: str) -> None:
        """Give it another name."""
        with self._mapped(f"container {container.name}"):
            self._api.rename(container.id, name)

    def remove(self, container: Container) -> None:
        """End it at once and remove it; done already is done."""
        try:
            with self._mapped(f"container {container.name}"):
                self._api.remove_container(container.id, v=True, force=True)
        except ContainerGone:
            logger.debug("%s is gone already", container.name)

    def container(self, key: str, name: str | None = None) -> Container:
        """A container as it is now.

        Raises:
            ContainerGone: There is none.
        """
        with self._mapped(f"container {name or key}"):
            document = self._api.inspect_container(key)
        return Container(str(document["Id"]), str(document["Name"]).removeprefix("/"), document)

    def containers(self, labels: Sequence[str]) -> tuple[Container, ...]:
        """All containers with these labels (``name`` or ``name=value``), by name, whether they run or not."""
        with self._mapped("its containers"):
            rows = self._api.containers(all=True, filters={"label": list(labels)})
        found = []
        for row in rows:
            try:
                found.append(self.container(str(row["Id"])))
            except ContainerGone:
                continue
        return tuple(sorted(found, key=lambda container: container.name))

    def tail(self, container: Container, lines: int = _TAIL_LINES) -> list[str]:
        """The last lines of its log."""
        with self._mapped(f"container {container.name}"):
            content: bytes = self._api.logs(container.id, tail=lines)
        return content.decode("utf-8", "replace").splitlines()

    def lines(self, container: Container, *, follow: bool) -> Iterator[str]:
        """Lines of its log from the first on; with ``follow``, until it ends."""
        pending = b""
        with self._mapped(f"container {container.name}"):
            for piece in self._api.logs(container.id, stream=True, follow=follow):
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    yield line.decode("utf-8", "replace")
        if pending:
            yield pending.decode("utf-8", "replace")

    def copy_out(self, container: Container, path: str, out: Path) -> None:
        """Write the files of a folder of a container, which need not run, to ``out``."""
        with self._mapped(f"container {container.name}"):
            stream, _ = self._api.get_archive(container.id, path)
            archive = io.BytesIO(b"".join(stream))
        with tarfile.open(fileobj=archive) as tar:
            unpack_folder(tar, path.rpartition("/")[2], out)

    def copy_in(self, container: Container, folder: str, files: Mapping[str, bytes]) -> None:
        """Put files, read-only for everybody, into a folder of a container that may be read-only itself but for it."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o444
                tar.addfile(member, io.BytesIO(content))
        with self._mapped(f"container {container.name}"):
            self._api.put_archive(container.id, folder, archive.getvalue())

    @contextmanager
    def _mapped(self, what: str, ref: ImageRef | None = None) -> Iterator[None]:
        """The SDK's errors in our words; ``ref`` where a registry had its say."""
        import docker.errors
        import requests.exceptions

        try:
            yield
        except docker.errors.APIError as error:
            raise refused_by_engine(error, what, ref) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineUnavailable(
                f"the Docker engine at {self.host.url} does not answer about {what}: {error}",
                hint="is it running? `docker info` asks the same engine",
            ) from error
