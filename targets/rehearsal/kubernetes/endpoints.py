"""The controller of EndpointSlices: which pods stand behind a Service."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import NODE, Cluster, deleting, owner_reference
from targets.rehearsal.kubernetes.loops import Loop
from targets.rehearsal.kubernetes.replica_sets import is_ready
from targets.rehearsal.kubernetes.store import Event, Key, Label, Object, key_of

_SERVICE: Final = "kubernetes.io/service-name"
_MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"


class Endpoints:
    """Keeps one slice a Service."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        # Services by namespace and the first label that they select, so that a pod's change finds its own.
        self._by_label: dict[tuple[str, Label], dict[Key, None]] = {}
        self.loop = Loop("endpoints", self._reconcile)
        cluster.store.listen(resources.SERVICES, self._service_heard)
        cluster.store.listen(resources.PODS, self._pod_heard)

    def _service_heard(self, event: Event) -> None:
        key = key_of(event.found)
        for found, there in ((event.before, False), (event.found, event.change != "DELETED")):
            label = _first(found) if found is not None else None
            if label is not None and there:
                self._by_label.setdefault((key[0], label), {})[key] = None
            elif label is not None:
                self._by_label.get((key[0], label), {}).pop(key, None)
        self.loop.want(key)

    def _pod_heard(self, event: Event) -> None:
        if event.before is not None and event.change == "MODIFIED" and not _differ(event.before, event.found):
            return
        for found in (event.before, event.found):
            for key in self._selecting(found) if found is not None else ():
                self.loop.want(key)

    def _selecting(self, pod: Object) -> Iterable[Key]:
        namespace = pod["metadata"]["namespace"]
        for label in (pod["metadata"].get("labels") or {}).items():
            yield from self._by_label.get((namespace, label), ())

    def _reconcile(self, key: Key) -> None:
        service = self._cluster.store.get(resources.SERVICES, *key)
        selector = service["spec"].get("selector") if service is not None else None
        if service is None or not selector:
            return
        pods = self._cluster.store.select(resources.PODS, key[0], selector.items())
        shown = [_endpoint(pod) for pod in pods if pod.get("status", {}).get("podIP")]
        body = {"addressType": "IPv4", "endpoints": shown, "ports": slice_ports(service, pods)}
        self._write(service, body)

    def _write(self, service: Object, body: Mapping[str, Any]) -> None:
        slices = slices_of(self._cluster, service)
        if not slices:
            name = service["metadata"]["name"]
            metadata = {
                "name": f"{name}-{self._cluster.suffix()}",
                "namespace": service["metadata"]["namespace"],
                "labels": {_SERVICE: name, _MANAGED_BY: "endpointslice-controller.k8s.io"},
                "ownerReferences": [owner_reference(resources.SERVICES, service)],
            }
            self._cluster.create(resources.SLICES, {"metadata": metadata, **body})
            return
        self._cluster.change(resources.SLICES, slices[0], lambda new: new.update(body))


def slices_of(cluster: Cluster, service: Object) -> list[Object]:
    """Of a Service."""
    owned = cluster.store.owned_by(service["metadata"]["uid"])
    return [each for resource, each in owned if resource == resources.SLICES]


def serving(found: Object) -> list[str]:
    """Addresses of a slice that take connections."""
    return [each["addresses"][0] for each in found["endpoints"] if each["conditions"]["ready"]]


def slice_ports(service: Object, pods: list[Object]) -> list[dict[str, Any]]:
    """A Service's ports as the pods have them."""
    shown = []
    for port in service["spec"].get("ports", ()):
        number = target_port(port, pods)
        if number:
            shown.append({"name": port.get("name", ""), "port": number, "protocol": port["protocol"]})
    return shown


def target_port(port: Mapping[str, Any], pods: list[Object]) -> int:
    """The number behind a Service's port; 0 where no pod has the name."""
    target = port["targetPort"]
    if isinstance(target, int):
        return target
    named = (
        each["containerPort"]
        for pod in pods
        for container in pod["spec"]["containers"]
        for each in container.get("ports", ())
        if each.get("name") == target
    )
    return next(named, 0)


def _endpoint(pod: Object) -> dict[str, Any]:
    going, ready = deleting(pod), is_ready(pod)
    metadata = pod["metadata"]
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready and not going, "serving": ready, "terminating": going},
        "nodeName": pod["spec"].get("nodeName", NODE),
        "targetRef": {
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }


def _first(service: Object) -> Label | None:
    """The label by which a Service is looked up."""
    selector = service["spec"].get("selector") or {}
    return next(iter(sorted(selector.items(), key=lambda each: each[0] == "app.kubernetes.io/managed-by")), None)


def _differ(before: Object, after: Object) -> bool:
    """Whether a Service may care."""

    def seen(pod: Object) -> Any:
        status = pod.get("status", {})
        return pod["metadata"].get("labels"), status.get("podIP"), is_ready(pod), deleting(pod)

    return bool(seen(before) != seen(after))
