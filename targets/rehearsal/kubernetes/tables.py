"""Objects as rows for people, with the columns that ``kubectl get`` shows."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.clock import parsed
from targets.rehearsal.kubernetes.resources import Resource
from targets.rehearsal.kubernetes.store import Object

Cells = Callable[[Object], Sequence[Any]]


def table(resource: Resource, found: Sequence[Object]) -> dict[str, Any]:
    """A ``Table``; each row has its object's metadata."""
    names, cells = _COLUMNS.get(resource, ((), lambda _found: ()))
    columns = [_column("Name"), *(_column(name) for name in names), _column("Age")]
    rows = [
        {
            "cells": [each["metadata"]["name"], *cells(each), age(each["metadata"].get("creationTimestamp", ""))],
            "object": {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": each["metadata"],
            },
        }
        for each in found
    ]
    version = found[-1]["metadata"].get("resourceVersion", "") if found else ""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": columns,
        "rows": rows,
    }


def age(moment: str) -> str:
    """How long ago, as kubectl says it."""
    if not moment:
        return "<unknown>"
    seconds = int((datetime.now(UTC) - parsed(moment)).total_seconds())
    for size, unit, most in ((1, "s", 120), (60, "m", 120), (3600, "h", 48)):
        if seconds < most * size:
            return f"{max(seconds, 0) // size}{unit}"
    return f"{seconds // 86400}d"


def _column(name: str) -> dict[str, Any]:
    form = "name" if name == "Name" else ""
    return {"name": name, "type": "string", "format": form, "description": "", "priority": 0}


def _pod(found: Object) -> Sequence[Any]:
    statuses = found.get("status", {}).get("containerStatuses") or []
    ready = f"{sum(each['ready'] for each in statuses)}/{len(found['spec']['containers'])}"
    return ready, pod_words(found), str(sum(each["restartCount"] for each in statuses))


def pod_words(found: Object) -> str:
    """What a pod's state is called."""
    if "deletionTimestamp" in found["metadata"]:
        return "Terminating"
    status = found.get("status", {})
    words: str = status.get("reason") or status.get("phase") or "Pending"
    for each in status.get("containerStatuses") or ():
        state = each.get("state") or {}
        for kind in ("waiting", "terminated"):
            words = (state.get(kind) or {}).get("reason") or words
    return words


def _deployment(found: Object) -> Sequence[Any]:
    status = found.get("status", {})
    ready = f"{status.get('readyReplicas', 0)}/{found['spec']['replicas']}"
    return ready, str(status.get("updatedReplicas", 0)), str(status.get("availableReplicas", 0))


def _replica_set(found: Object) -> Sequence[Any]:
    status = found.get("status", {})
    return str(found["spec"]["replicas"]), str(status.get("replicas", 0)), str(status.get("readyReplicas", 0))


def _service(found: Object) -> Sequence[Any]:
    spec = found["spec"]
    balancer = (found.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    ports = ",".join(f"{each['port']}/{each['protocol']}" for each in spec.get("ports", ())) or "<none>"
    outside = ",".join(each.get("ip", "") for each in balancer) or "<none>"
    return spec["type"], spec.get("clusterIP") or "<none>", outside, ports


def _event(found: Object) -> Sequence[Any]:
    about = found["involvedObject"]
    named = f"{about['kind'].lower()}/{about['name']}"
    return age(found.get("lastTimestamp", "")), found["type"], found["reason"], named, found["message"]


def _autoscaler(found: Object) -> Sequence[Any]:
    spec, status = found["spec"], found.get("status", {})
    target = spec["scaleTargetRef"]
    most, least = str(spec["maxReplicas"]), str(spec["minReplicas"])
    return f"{target['kind']}/{target['name']}", least, most, str(status.get("currentReplicas", 0))


def _budget(found: Object) -> Sequence[Any]:
    spec, status = found.get("spec") or {}, found.get("status", {})
    bounds = [str(spec.get(name, "N/A")) for name in ("minAvailable", "maxUnavailable")]
    return *bounds, str(status.get("disruptionsAllowed", 0))


def _secret(found: Object) -> Sequence[Any]:
    return found.get("type", "Opaque"), str(len(found.get("data") or {}))


def _gateway(found: Object) -> Sequence[Any]:
    status = found.get("status", {})
    addresses = ",".join(each["value"] for each in status.get("addresses") or ())
    return found["spec"]["gatewayClassName"], addresses, _condition(status, "Programmed")


def _ingress(found: Object) -> Sequence[Any]:
    spec = found["spec"]
    hosts = ",".join(rule.get("host", "*") for rule in spec.get("rules") or ()) or "*"
    balancer = (found.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    return spec.get("ingressClassName", "<none>"), hosts, ",".join(each.get("ip", "") for each in balancer)


def _condition(status: Mapping[str, Any], kind: str) -> str:
    found = next((each for each in status.get("conditions") or () if each["type"] == kind), None)
    return found["status"] if found else "Unknown"


def _node(found: Object) -> Sequence[Any]:
    ready = "Ready" if _condition(found["status"], "Ready") == "True" else "NotReady"
    return ready, "<none>", found["status"]["nodeInfo"]["kubeletVersion"]


_COLUMNS: Final[Mapping[Resource, tuple[tuple[str, ...], Cells]]] = MappingProxyType(
    {
        resources.PODS: (("Ready", "Status", "Restarts"), _pod),
        resources.DEPLOYMENTS: (("Ready", "Up-to-date", "Available"), _deployment),
        resources.REPLICA_SETS: (("Desired", "Current", "Ready"), _replica_set),
        resources.SERVICES: (("Type", "Cluster-IP", "External-IP", "Port(s)"), _service),
        resources.EVENTS: (("Last Seen", "Type", "Reason", "Object", "Message"), _event),
        resources.AUTOSCALERS: (("Reference", "MinPods", "MaxPods", "Replicas"), _autoscaler),
        resources.BUDGETS: (("Min Available", "Max Unavailable", "Allowed Disruptions"), _budget),
        resources.SECRETS: (("Type", "Data"), _secret),
        resources.CONFIG_MAPS: (("Data",), lambda found: (str(len(found.get("data") or {})),)),
        resources.NAMESPACES: (("Status",), lambda found: (found["status"]["phase"],)),
        resources.GATEWAYS: (("Class", "Address", "Programmed"), _gateway),
        resources.ROUTES: (("Hostnames",), lambda found: (",".join(found["spec"].get("hostnames") or ()),)),
        resources.INGRESSES: (("Class", "Hosts", "Address"), _ingress),
        resources.NODES: (("Status", "Roles", "Version"), _node),
    }
)
