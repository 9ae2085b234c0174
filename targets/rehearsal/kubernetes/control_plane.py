"""All parts of the cluster, put together."""

import asyncio

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.autoscaling import Autoscalers, Budgets
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.deleting import Deletions
from targets.rehearsal.kubernetes.deployments import Deployments
from targets.rehearsal.kubernetes.endpoints import Endpoints
from targets.rehearsal.kubernetes.gate import Gate
from targets.rehearsal.kubernetes.gateways import Gateways
from targets.rehearsal.kubernetes.happenings import Happenings
from targets.rehearsal.kubernetes.ingresses import Ingresses
from targets.rehearsal.kubernetes.kubelet import Kubelet
from targets.rehearsal.kubernetes.replica_sets import ReplicaSets
from targets.rehearsal.kubernetes.service_fronts import ServiceFronts
from targets.rehearsal.kubernetes.store import Event
from targets.rehearsal.world import World


class ControlPlane:
    """The cluster with its controllers, made without an event loop and begun in one.

    Attributes:
        cluster: Its objects.
        gate: What answers requests.
    """

    cluster: Cluster
    gate: Gate

    def __init__(self, world: World) -> None:
        self.cluster = Cluster(world)

    def begin(self) -> None:
        """Let the controllers hear what happens from now on."""
        cluster = self.cluster
        deletions, happenings = Deletions(cluster), Happenings(cluster)
        cluster.store.listen(resources.NAMESPACES, self._namespace_heard)
        self._kubelet = Kubelet(cluster, happenings)
        self._fronts, self._gateways, self._ingresses = ServiceFronts(cluster), Gateways(cluster), Ingresses(cluster)
        self._loops = [
            ReplicaSets(cluster, deletions, happenings).loop,
            Deployments(cluster, deletions, happenings).loop,
            Endpoints(cluster).loop,
            Autoscalers(cluster).loop,
            Budgets(cluster).loop,
            self._gateways.loop,
            self._ingresses.loop,
        ]
        self.gate = Gate(cluster, deletions, self._kubelet)

    async def end(self) -> None:
        """End all that runs."""
        for loop in self._loops:
            loop.end()
        await asyncio.gather(*(each.end() for each in (self._kubelet, self._fronts, self._gateways, self._ingresses)))
        self.cluster.addresses.close()

    def _namespace_heard(self, event: Event) -> None:
        name = event.found["metadata"]["name"]
        if event.change == "ADDED" and self.cluster.store.get(resources.SERVICE_ACCOUNTS, name, "default") is None:
            self.cluster.create(resources.SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": name}})
