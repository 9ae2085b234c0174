"""The three hosts of a card: a Docker engine, Kubernetes, this machine."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from packager.core.artifact import ModelPackage
from packager.core.errors import Forbidden
from packager.core.image import ImageRef, Platform
from packager.core.protocols import HoldsImages, PullsImages
from targets.aks import AksSettings, AksTarget
from targets.aks.access import cluster_access
from targets.docker import DockerSettings, DockerTarget
from targets.fpga.ep.host import Host, look_at_nodes, look_here
from targets.fpga.ep.hosts import MADE_FOR, on_docker, on_kubernetes, on_this_machine
from targets.fpga.ep.needs import files_named, mounted, needs_of, resource_of
from targets.fpga.ep.target import Accelerated
from targets.fpga.settings import FpgaSettings
from targets.kit.engine.docker_host import docker_host
from targets.kit.kubernetes.cluster import Cluster
from targets.local import LocalSettings, LocalTarget

_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class OnDocker(Accelerated, HoldsImages[FpgaSettings]):
    """A container that gets the card's device nodes.

    Attributes:
        root: Where ``/dev`` is.
    """

    on: ClassVar[str] = "docker"
    takes_image: ClassVar[bool] = True
    inner: DockerTarget = field(default_factory=lambda: DockerTarget(made_for=MADE_FOR))
    root: Path = _ROOT

    def look(self, settings: FpgaSettings) -> Host:
        """The engine's machine, where that is this one."""
        engine = docker_host(settings.docker.context)
        if engine.remote:
            return Host(False, f"the engine's machine {engine.machine}")
        return look_here(needs_of(settings), settings.devices, root=self.root, files=mounted(settings))

    def translated(self, settings: FpgaSettings, host: Host) -> DockerSettings:
        """With devices and groups."""
        return on_docker(settings, needs_of(settings), host)

    def package_of(self, image: ImageRef, settings: FpgaSettings) -> ModelPackage | None:
        """The package of an image that the engine has."""
        return self.inner.package_of(image, settings.docker)

    def load_image(self, archive: Iterator[bytes], settings: FpgaSettings) -> None:
        """Take an image in the form that ``docker load`` reads."""
        self.inner.load_image(archive, settings.docker)

    def platform(self, settings: FpgaSettings) -> Platform:
        """Of the engine."""
        return self.inner.platform(settings.docker)


@dataclass(frozen=True, slots=True)
class OnKubernetes(Accelerated, PullsImages[FpgaSettings]):
    """Pods that ask for the card by its extended resource."""

    on: ClassVar[str] = "kubernetes"
    takes_image: ClassVar[bool] = True
    inner: AksTarget = field(default_factory=lambda: AksTarget(made_for=MADE_FOR))

    def look(self, settings: FpgaSettings) -> Host:
        """The cluster's nodes, where we may see them and there are some."""
        given, resource = settings.kubernetes, resource_of(settings)
        with Cluster(self.inner.access or cluster_access(given), given.namespace) as cluster:
            try:
                nodes = cluster.list("Node", given.node_selector)
            except Forbidden:
                return Host(False, "the cluster, whose nodes this account may not see,")
        if not nodes or resource is None:
            return Host(False, "the cluster")
        return look_at_nodes(nodes, resource)

    def translated(self, settings: FpgaSettings, host: Host) -> AksSettings:
        """With the resource."""
        return on_kubernetes(settings, host)

    def platforms(self, settings: FpgaSettings) -> tuple[Platform, ...]:
        """Of the nodes."""
        return self.inner.platforms(settings.kubernetes)


@dataclass(frozen=True, slots=True)
class OnThisMachine(Accelerated):
    """A process, with the onnxruntime of this environment."""

    on: ClassVar[str] = "local"
    takes_image: ClassVar[bool] = False
    inner: LocalTarget = field(default_factory=lambda: LocalTarget(made_for=MADE_FOR))
    root: Path = _ROOT

    def look(self, settings: FpgaSettings) -> Host:
        """This machine, and its onnxruntime."""
        return look_here(needs_of(settings), None, root=self.root, providers=True, files=files_named(settings))

    def translated(self, settings: FpgaSettings, host: Host) -> LocalSettings:
        """With the contract."""
        return on_this_machine(settings)
