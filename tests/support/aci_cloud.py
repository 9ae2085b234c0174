"""The ACI target against the stand-in's ARM API in this process, over runners that need no registry."""

import gc
import json
import ssl
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import httpx
from azure.core.pipeline.transport import RequestsTransport

from packager.core.artifact import ModelPackage, Release
from packager.core.credentials import Anonymous, CredentialSource
from packager.core.image import ImageRef
from targets.aci import AciTarget
from targets.kit.azure.access import AzureAccess, FixedToken
from targets.kit.engine.process import RUNTIME, RuntimeLaunch, RuntimeProcess
from targets.rehearsal.arm.app import create_app
from targets.rehearsal.arm.faults import FAULTS
from targets.rehearsal.clock import now
from targets.rehearsal.workload import PullCredential, PullRefused, Workload, WorkloadStatus
from targets.rehearsal.world import Faults
from tests.support.arm_server import API_VERSION, SUBSCRIPTION, group_path
from tests.support.fake_runner import FakeRunner, Image
from tests.support.stand_in_server import TOKEN, serving_stand_in, wait_until

REGISTRY = "registry.example"


def image_ref(package: ModelPackage) -> ImageRef:
    """The image that stands for a package."""
    return ImageRef(REGISTRY, f"team/{package.manifest.name}", package.manifest.version, package.digest)


@dataclass
class RuntimeRunner:
    """Runs each image as a process of the real runtime, with the package that a test says the image holds."""

    folder: Path
    kind: Literal["containers", "processes"] = "processes"
    packages: dict[str, Path] = field(default_factory=dict)
    processes: dict[str, RuntimeProcess] = field(default_factory=dict)

    def pull(self, image: str, credential: PullCredential | None) -> str:
        if image not in self.packages:
            raise PullRefused("missing", image)
        return image.rpartition("@")[2]

    def start(self, workload: Workload) -> None:
        folder = self.folder / workload.id
        folder.mkdir(parents=True)
        files = {}
        for path, content in workload.files.items():
            files[path] = folder / Path(path).name
            files[path].write_bytes(content)
        environment = {name: str(files.get(value, value)) for name, value in workload.environment.items()}
        launch = RuntimeLaunch(
            (self.packages[workload.image],), workload.address, workload.ports[0], folder, folder / "log",
            environment={"DRAY_THREADS": "1", **environment}, program=RUNTIME,
        )  # fmt: skip
        self.processes[workload.id] = RuntimeProcess.start(launch)

    def status(self, id: str) -> WorkloadStatus:  # noqa: A002
        process = self.processes.get(id)
        if process is not None and process.alive():
            return WorkloadStatus("running", started_at=now())
        return WorkloadStatus("terminated", 1, "Error", now(), now())

    def logs(self, id: str, *, tail: int | None = None) -> str:  # noqa: A002
        process = self.processes.get(id)
        return "".join(f"{line}\n" for line in process.tail(tail or 1000)) if process else ""

    def stop(self, id: str, *, grace_s: float) -> None:  # noqa: A002
        if process := self.processes.get(id):
            process.stop(grace_s=grace_s)

    def remove(self, id: str) -> None:  # noqa: A002
        if process := self.processes.pop(id, None):
            process.stop(grace_s=0.1)

    def running(self) -> Iterator[str]:
        return iter([key for key, process in self.processes.items() if process.alive()])


class ReadyRunner(FakeRunner):
    """Starts no process: each image says at once that its package is ready, and nothing else."""

    def hold(self, image: str, package: ModelPackage, **changed: Any) -> None:
        report = {"state": "ready", "models": [{"digest": package.digest}]}
        answer = json.dumps({**report, **changed.pop("report", {})}).encode()
        self.images.setdefault(image, Image(answering=lambda path: (200, answer), **changed))


def release_held(runner: Any, package: ModelPackage, changed: Mapping[str, Any]) -> Release:
    """A package with an image of it, which a runner has."""
    ref = image_ref(package)
    name = f"{ref.registry}/{ref.repository}@{ref.digest}"
    if isinstance(runner, ReadyRunner):
        runner.hold(name, package, **changed)
    else:
        runner.packages[name] = package.root
    return Release(package, ref)


@dataclass(frozen=True, slots=True)
class ImagedAciTarget(AciTarget):
    """The real target, with a way to make the images that its tests deploy."""

    runner: Any = None
    changed: Mapping[str, Any] = field(default_factory=dict)

    def release_for_tests(self, package: ModelPackage) -> Release:
        return release_held(self.runner, package, self.changed)


@dataclass
class AciCloud:
    """A stand-in that runs.

    Attributes:
        subscription: Of its own: the default DNS label, and so the loopback address, is no other test's of this moment.
    """

    url: str
    ca: Path
    runner: Any
    faults: Faults
    subscription: str = field(default_factory=lambda: str(uuid.uuid4()))
    WRITABLE: ClassVar = (
        "containers", "imageRegistryCredentials", "ipAddress", "osType", "restartPolicy", "volumes", "diagnostics",
    )  # fmt: skip

    def path(self, name: str) -> str:
        """Of a group."""
        return group_path(name).replace(SUBSCRIPTION, self.subscription)

    def http(self) -> httpx.Client:
        """The API without the SDK."""
        context = ssl.create_default_context(cafile=str(self.ca))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.Client(base_url=self.url, headers=headers, params={"api-version": API_VERSION}, verify=context)

    def settle(self, http: httpx.Client, path: str) -> None:
        """Wait until a change by hand is done."""
        wait_until(lambda: http.get(path).json()["properties"]["provisioningState"] in ("Succeeded", "Failed"))

    def access(self, **changed: Any) -> AzureAccess:
        given: dict[str, Any] = {"resource_group": "rehearsal", "reach": "ip", "ca_file": self.ca, "poll_s": 0.02}
        return AzureAccess(self.url, self.subscription, FixedToken(TOKEN), **{**given, **changed})

    def target(
        self, access: AzureAccess | None = None, credentials: CredentialSource | None = None, **changed: Any
    ) -> ImagedAciTarget:
        return ImagedAciTarget(access or self.access(), credentials or Anonymous(), self.runner, changed)

    def stored(self) -> dict[str, Any]:
        """Groups by name, as GET shows them."""
        from targets.aci.groups import ContainerGroups

        with ContainerGroups(self.access()) as groups:
            rows = groups.list("rehearsal")
            return {row.name: groups.get("rehearsal", row.name) for row in rows}


@contextmanager
def aci_cloud(folder: Path, runner: Any) -> Iterator[AciCloud]:
    """Runs one until the block ends."""
    faults = Faults(FAULTS)
    with serving_stand_in(folder, create_app, faults, runner) as (url, ca):
        yield AciCloud(url, ca, runner, faults)
    with warnings.catch_warnings():
        # TLS connections that are on their way out when asyncio's loop ends are closed by nobody.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class Killed(Exception):
    """Nothing is sent any more, as if the process had ended."""


@dataclass
class Fuse:
    """Lets a number of requests through, and ends everything after them.

    Attributes:
        left: Of the requests; None lets all through.
        seen: Method and path of those that went through.
    """

    left: int | None = None
    seen: list[str] = field(default_factory=list)

    def transport(self) -> Any:
        fuse = self

        class Transport(RequestsTransport):
            def send(self, request: Any, **options: Any) -> Any:
                if fuse.left is not None and len(fuse.seen) >= fuse.left:
                    raise Killed
                fuse.seen.append(f"{request.method} {urlsplit(request.url).path.rpartition('/providers/')[2]}")
                return super().send(request, **options)

        return Transport(connection_verify=str(self.ca))

    ca: Path = Path()
