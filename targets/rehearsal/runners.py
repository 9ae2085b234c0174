"""The runner of a stand-in: containers where an engine is and the image can run, else processes of the runtime."""

import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from packager.core.errors import DrayError, EnvironmentMissing, ImageReferenceInvalid
from packager.core.image import DEFAULT_REGISTRY, ImageRef, Platform
from packager.core.rehearsal import PACKAGE_ONLY_LABEL
from targets.kit.engine.containers import ContainerEngine
from targets.kit.engine.docker_host import DockerHost, docker_host
from targets.rehearsal.blobs import BlobStore
from targets.rehearsal.layout import USER, StageFolder
from targets.rehearsal.runner_containers import ContainerRunner
from targets.rehearsal.runner_processes import ProcessRunner
from targets.rehearsal.stored_images import StoredImage, find_image
from targets.rehearsal.workload import OtherMachines, PullCredential, PullRefused, Runner, Workload, WorkloadStatus

_LOOPBACK: Final = ("127.0.0.1", "localhost")
_CLOSE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Engine:
    """The container engine of this machine, or why there is none for a stand-in.

    Attributes:
        host: None without one.
        why: Empty with one.
    """

    host: DockerHost | None
    platform: Platform
    why: str = ""


def find_engine(platform: Platform | None = None) -> Engine:
    """The engine that the environment and Docker's configuration name, where a stand-in can use it.

    Args:
        platform: Of the cloud; an engine of another one could run what the cloud cannot, and not what it can.
    """
    nothing = Platform()
    try:
        host = docker_host()
        if host.remote:
            return Engine(None, nothing, f"the Docker engine at {host.url} is another machine's")
        with ContainerEngine(host) as engine:
            own = engine.facts().platform
        if platform not in (None, own):
            return Engine(None, own, f"the Docker engine at {host.url} runs {own}, the cloud {platform}")
        return Engine(host, own)
    except EnvironmentMissing as error:
        return Engine(None, nothing, f"{error.message}: {error.hint}")
    except DrayError as error:
        return Engine(None, nothing, error.message)


class StageRunner(Runner, OtherMachines):
    """Both runners behind one door; images of the stand-in's own registry are taken from its blobs."""

    def __init__(
        self,
        folder: StageFolder,
        store: BlobStore,
        registry: str,
        token: str,
        engine: Engine,
        *,
        platform: Platform | None = None,
    ) -> None:
        """Nothing is started.

        Args:
            registry: Host and port of the stand-in's registry.
            token: The password that it wants.
            platform: Of the cloud; None is the engine's, or any without one.
        """
        self._folder = folder
        self._registry = registry
        self._others: dict[Platform, StageRunner] = {}
        self._platform = platform or (engine.platform if engine.host else None)
        self.kind: Literal["containers", "processes"] = "containers" if engine.host else "processes"
        self._processes = ProcessRunner(folder)
        self._containers = ContainerRunner(engine.host, folder.id, engine.platform) if engine.host else None
        self._store = store
        self._token = token
        port = registry.rpartition(":")[2]
        self._own = frozenset(f"{host}:{port}" for host in _LOOPBACK)
        self._images: dict[str, StoredImage] = {}
        self._lock = threading.Condition()
        self._beginning = 0
        self._closed = False

    def pull(self, image: str, credential: PullCredential | None) -> str:
        """Bring an image here; its digest."""
        try:
            ref = ImageRef.parse(image)
        except ImageReferenceInvalid as error:
            raise PullRefused("missing", error.message) from error
        shown = credential if credential and _host_of(credential) == ref.host else None
        with self._open() as still:
            if not still:
                raise PullRefused("unreachable", "the rehearsal ends")
            if ref.host in self._own:
                self._check(ref, shown)
                return self._take(image, ref)
            if self._containers is None:
                raise PullRefused("unreachable", f"there is no container engine here to pull {ref} from {ref.host}")
            return self._containers.pull(ref, shown)

    def start(self, workload: Workload) -> None:
        """Start it; what goes wrong at once shows in its status."""
        with self._open() as still:
            image = self._images.get(workload.image)
            if not still:
                return
            if self._containers and not (image and _package_only(image)):
                self._containers.start(workload, image)
            else:
                self._processes.start(workload, image, foreign=image is not None and self._is_foreign(image))

    def status(self, id: str) -> WorkloadStatus:  # noqa: A002 - the field's own name
        """How it is now."""
        return self._of(id).status(id)

    def logs(self, id: str, *, tail: int | None = None) -> str:  # noqa: A002
        """What it has written so far."""
        return self._of(id).logs(id, tail=tail)

    def stop(self, id: str, *, grace_s: float) -> None:  # noqa: A002
        """Let it finish, then end it; it stays to be asked about."""
        self._of(id).stop(id, grace_s=grace_s)

    def remove(self, id: str) -> None:  # noqa: A002
        """End it at once and forget it."""
        self._of(id).remove(id)

    def running(self) -> Iterator[str]:
        """Ids of all that run."""
        yield from self._processes.running()
        if self._containers:
            yield from self._containers.running()

    def on(self, platform: Platform) -> Runner:
        """What runs images as a machine of a platform would; as processes where this machine cannot."""
        if self._containers and platform == self._containers.platform:
            return self
        with self._lock:
            if platform not in self._others:
                nothing = Engine(None, platform, f"this machine does not run {platform}")
                self._others[platform] = StageRunner(
                    self._folder, self._store, self._registry, self._token, nothing, platform=platform
                )
            return self._others[platform]

    def close(self) -> None:
        """Begin nothing any more; what is begun when this returns can be found and ended."""
        for other in self._others.values():
            other.close()
        with self._lock:
            self._closed = True
            self._lock.wait_for(lambda: not self._beginning, timeout=_CLOSE_S)

    @contextmanager
    def _open(self) -> Iterator[bool]:
        """Whether something may still begin."""
        with self._lock:
            self._beginning += 1
        try:
            yield not self._closed
        finally:
            with self._lock:
                self._beginning -= 1
                self._lock.notify_all()

    def _of(self, id: str) -> ProcessRunner | ContainerRunner:  # noqa: A002
        return self._processes if self._containers is None or self._processes.knows(id) else self._containers

    def _is_foreign(self, image: StoredImage) -> bool:
        """Whether its programs are not for the cloud's processor; of a package alone there are none."""
        return not _package_only(image) and self._platform not in (None, image.platform)

    def _take(self, image: str, ref: ImageRef) -> str:
        """An image of our own registry, ready to start."""
        found = find_image(self._store, ref, self._platform)
        if self._containers is None or _package_only(found):
            self._processes.prepare(found)
        else:
            self._containers.load(found)
        with self._lock:
            self._images[image] = found
        return found.digest

    def _check(self, ref: ImageRef, shown: PullCredential | None) -> None:
        """What our registry would say over HTTP."""
        right = shown and shown.username == USER and hmac.compare_digest(shown.password.encode(), self._token.encode())
        if not right:
            how = "with these credentials" if shown else "without credentials"
            raise PullRefused("denied", f"pull access denied for {ref.path} {how}: authentication required")


def _host_of(credential: PullCredential) -> str:
    """The registry as image references have it."""
    server = credential.server.lower()
    return DEFAULT_REGISTRY if server == "index.docker.io" else server


def _package_only(image: StoredImage) -> bool:
    return PACKAGE_ONLY_LABEL in image.labels
