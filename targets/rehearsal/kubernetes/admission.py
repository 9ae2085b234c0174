"""What stands around an object when it is written: its namespace, the pods' security, accounts and addresses."""

from typing import Any, Final

from targets.rehearsal.addresses import PortTaken
from targets.rehearsal.kubernetes import errors, resources
from targets.rehearsal.kubernetes.calls import Call
from targets.rehearsal.kubernetes.cluster import Cluster, deleting
from targets.rehearsal.kubernetes.pod_security import enforced, warned
from targets.rehearsal.kubernetes.ports import port_here
from targets.rehearsal.kubernetes.store import Object

_WORKLOADS: Final = (resources.DEPLOYMENTS, resources.REPLICA_SETS)


def admit(cluster: Cluster, call: Call, live: Object | None, new: dict[str, Any]) -> list[str]:
    """Let an object in, with what the cluster gives it; warnings for its writer.

    Raises:
        ApiError: It is not let in.
    """
    namespace = _namespace(cluster, call, live) if call.resource.namespaced else None
    if namespace is None:
        return []
    if call.resource == resources.SERVICES:
        give_address(cluster, live, new, dry=call.dry())
    if call.resource == resources.PODS and live is None:
        why = refusal_of_pod(cluster, namespace, new)
        if why:
            raise errors.forbidden(resources.PODS, new["metadata"]["name"], why)
    if call.resource in _WORKLOADS and not call.subresource:
        words = warned(namespace, new["spec"]["template"]["spec"])
        return [words] if words else []
    return []


def refusal_of_pod(cluster: Cluster, namespace: Object, pod: Object) -> str:
    """Why a pod may not be created; empty where it may."""
    name, account = namespace["metadata"]["name"], pod["spec"].get("serviceAccountName") or "default"
    if cluster.store.get(resources.SERVICE_ACCOUNTS, name, account) is None:
        return f'error looking up service account {name}/{account}: serviceaccount "{account}" not found'
    return enforced(namespace, pod["spec"])


def give_address(cluster: Cluster, live: Object | None, service: dict[str, Any], *, dry: bool) -> None:
    """A service keeps its address; a new one gets the one that its name stands for, where that is free.

    Raises:
        ApiError: Its port is a program's of this machine, on every address.
    """
    spec = service["spec"]
    if spec["type"] == "ExternalName" or spec.get("clusterIP") == "None":
        return
    address = (live or {}).get("spec", {}).get("clusterIP") or spec.get("clusterIP")
    if not address or address == "None":
        address = "" if dry else _new_address(cluster, service)
    if address:
        spec["clusterIP"] = address
        spec["clusterIPs"] = [address]


def _new_address(cluster: Cluster, service: Object) -> str:
    metadata, ports = service["metadata"], [port_here(each["port"]) for each in service["spec"].get("ports", ())]
    try:
        return cluster.addresses.take(f"{metadata['namespace']}/{metadata['name']}", ports)
    except PortTaken as taken:
        raise errors.internal(f"failed to allocate a serviceIP: {taken}") from taken


def _namespace(cluster: Cluster, call: Call, live: Object | None) -> Object:
    found = cluster.store.get(resources.NAMESPACES, "", call.namespace)
    if found is None:
        raise errors.not_found(resources.NAMESPACES, call.namespace)
    if live is None and deleting(found):
        why = f"unable to create new content in namespace {call.namespace} because it is being terminated"
        raise errors.forbidden(call.resource, call.name, why)
    return found
