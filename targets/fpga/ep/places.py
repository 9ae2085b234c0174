"""The three hosts of a card: a Docker engine, Kubernetes, this machine."""

from dataclasses import dataclass
from pathlib import Path

from packager.core.errors import Forbidden
from targets.aks import AksSettings
from targets.aks.access import cluster_access
from targets.docker import DockerSettings
from targets.fpga import hosting
from targets.fpga.ep.host import Host, look_at_nodes, look_here
from targets.fpga.ep.hosts import on_docker, on_kubernetes, on_this_machine
from targets.fpga.ep.needs import files_named, mounted, needs_of, resource_of
from targets.fpga.ep.target import Accelerated
from targets.fpga.settings import FpgaSettings
from targets.kit.engine.docker_host import docker_host
from targets.kit.kubernetes.cluster import Cluster
from targets.local import LocalSettings

_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class OnDocker(Accelerated, hosting.OnDocker):
    """A container that gets the card's device nodes.

    Attributes:
        root: Where ``/dev`` is.
    """

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


@dataclass(frozen=True, slots=True)
class OnKubernetes(Accelerated, hosting.OnKubernetes):
    """Pods that ask for the card by its extended resource."""

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


@dataclass(frozen=True, slots=True)
class OnThisMachine(Accelerated, hosting.OnThisMachine):
    """A process, with the onnxruntime of this environment."""

    root: Path = _ROOT

    def look(self, settings: FpgaSettings) -> Host:
        """This machine, and its onnxruntime."""
        return look_here(needs_of(settings), None, root=self.root, providers=True, files=files_named(settings))

    def translated(self, settings: FpgaSettings, host: Host) -> LocalSettings:
        """With the contract."""
        return on_this_machine(settings)
