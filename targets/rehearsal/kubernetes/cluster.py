"""The cluster: its objects, and what every part of it needs to read and write them."""

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from targets.rehearsal.addresses import Addresses
from targets.rehearsal.clock import now
from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.defaults import defaulted
from targets.rehearsal.kubernetes.resources import Resource
from targets.rehearsal.kubernetes.store import Event, Object, Store, key_of
from targets.rehearsal.kubernetes.strikes import Strikes
from targets.rehearsal.world import World

MANAGED: Final = ("app.kubernetes.io/managed-by", "dray")
NODE: Final = "rehearsal"
NETWORK: Final = "127.78"
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_HELD: Final = (resources.DEPLOYMENTS, resources.INFERENCE_SERVICES)
_NAMESPACES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")


class Cluster:
    """Used in the event loop's thread alone."""

    def __init__(self, world: World, addresses: Addresses | None = None) -> None:
        self.world = world
        self._chance = random.Random()  # noqa: S311 - names, not secrets
        self.addresses = addresses or Addresses(network=NETWORK, seed=world.registry)
        self.store = Store()
        self.strikes = Strikes(world.faults)
        self._held = 0
        for resource in _HELD:
            self.store.listen(resource, self._tell_held)
        self.store.listen(resources.REPLICA_SETS, self._set_heard)
        self._begin()

    def suffix(self, length: int = 5) -> str:
        """Letters that make a name new."""
        return "".join(self._chance.choices(_ALPHABET, k=length))

    def create(self, resource: Resource, found: Mapping[str, Any]) -> Object:
        """Store an object of the cluster's own making, with its defaults."""
        return self.store.put(resource, defaulted(resource, started(resource, found)))

    def change(self, resource: Resource, found: Object, change: Callable[[dict[str, Any]], None]) -> Object | None:
        """Change what is stored under an object's name now; None where it is gone or another one.

        Args:
            change: Gets a copy in which the object, its metadata, spec and status can be changed, and no deeper.
        """
        live = self.store.get(resource, *key_of(found))
        if live is None or live["metadata"]["uid"] != found["metadata"]["uid"]:
            return None
        new = {**live, "metadata": dict(live["metadata"])}
        for part in ("spec", "status"):
            if part in new:
                new[part] = dict(new[part])
        change(new)
        if new == live:
            return live
        if new.get("spec") != live.get("spec"):
            new["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
        return self.store.put(resource, new)

    def set_status(self, resource: Resource, found: Object, **status: Any) -> Object | None:
        """Change parts of an object's status; None values are removed."""

        def change(new: dict[str, Any]) -> None:
            merged = {**new.get("status", {}), **status}
            new["status"] = {name: value for name, value in merged.items() if value is not None}

        return self.change(resource, found, change)

    def _begin(self) -> None:
        for name in _NAMESPACES:
            self.create(resources.NAMESPACES, {"metadata": {"name": name}})
            self.create(resources.SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": name}})
        self.create(resources.NODES, _node())
        controller = {"controllerName": "rehearsal.dray.dev/gateway"}
        for name in ("approuting-istio", "rehearsal"):
            self.create(resources.GATEWAY_CLASSES, {"metadata": {"name": name}, "spec": controller})
        self.create(
            resources.INGRESS_CLASSES,
            {"metadata": {"name": "rehearsal"}, "spec": {"controller": "rehearsal.dray.dev/ingress"}},
        )

    def _set_heard(self, event: Event) -> None:
        if event.change == "DELETED":
            self.strikes.forget(key_of(event.found))

    def _tell_held(self, event: Event) -> None:
        held = sum(self.store.count(resource, MANAGED) for resource in _HELD)
        if held != self._held:
            self._held = held
            self.world.held(held)


def started(resource: Resource, found: Mapping[str, Any]) -> dict[str, Any]:
    """A new object with what every stored one has."""
    metadata = {**found["metadata"], "creationTimestamp": now()}
    if "spec" in found:
        metadata["generation"] = 1
    return {**found, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def owner_reference(resource: Resource, found: Object) -> dict[str, Any]:
    """By which a dependent names the object that controls it."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": found["metadata"]["name"],
        "uid": found["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(found: Object) -> Mapping[str, Any] | None:
    """The reference to what controls an object."""
    owners = found["metadata"].get("ownerReferences") or ()
    return next((each for each in owners if each.get("controller")), None)


def deleting(found: Object) -> bool:
    """Whether it is on its way out."""
    return "deletionTimestamp" in found["metadata"]


def _node() -> dict[str, Any]:
    labels = {
        "kubernetes.io/hostname": NODE,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": "rehearsal-1",
    }
    amounts = {"cpu": "64", "memory": "256Gi", "pods": "1000"}
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "this machine stands in for a node",
        "lastHeartbeatTime": now(),
        "lastTransitionTime": now(),
    }
    status = {
        "capacity": amounts,
        "allocatable": amounts,
        "conditions": [ready],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": NODE}],
        "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.37.0"},
    }
    return {"metadata": {"name": NODE, "labels": labels}, "spec": {}, "status": status}
