"""The controller of Ingresses: one server each, of any class, as there is no other controller to leave one to."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from targets.kit.kubernetes.access import REACHED_PORTS
from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.http_fronts import Certificate
from targets.rehearsal.kubernetes.listening import Listeners
from targets.rehearsal.kubernetes.loops import Loop
from targets.rehearsal.kubernetes.store import Key, Object, key_of
from targets.rehearsal.kubernetes.traffic import Backend, Rule

_HTTP, _HTTPS = 80, 443
_EXACT: Final = "Exact"


class Ingresses:
    """Serves them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.loop = Loop("ingresses", self._reconcile)
        self._listeners = Listeners(cluster, "ingress", self.loop.want)
        cluster.store.listen(resources.INGRESSES, lambda event: self.loop.want(key_of(event.found)))

    async def end(self) -> None:
        """Listen no more."""
        await self._listeners.end()

    def _reconcile(self, key: Key) -> None:
        ingress = self._cluster.store.get(resources.INGRESSES, *key)
        if ingress is None:
            self._listeners.forget(key)
            return
        ports: dict[int, Certificate | None] = {_HTTP: None}
        certificate = self._certificate(ingress)
        if certificate is not None:
            ports[_HTTPS] = certificate
        address, moved = self._listeners.settle(key, _rules_of(self._cluster, ingress), ports)
        if moved:
            annotations = {**(ingress["metadata"].get("annotations") or {}), REACHED_PORTS: moved}
            self._cluster.change(
                resources.INGRESSES, ingress, lambda new: new["metadata"].update(annotations=annotations)
            )
        self._cluster.set_status(resources.INGRESSES, ingress, loadBalancer={"ingress": [{"ip": address}]})

    def _certificate(self, ingress: Object) -> Certificate | None:
        names = (each.get("secretName", "") for each in ingress["spec"].get("tls", ()))
        found = (self._listeners.certificate(ingress["metadata"]["namespace"], name) for name in names)
        return next(filter(None, found), None)


def _rules_of(cluster: Cluster, ingress: Object) -> Iterator[Rule]:
    metadata, spec = ingress["metadata"], ingress["spec"]
    born = (metadata["creationTimestamp"], metadata["namespace"], metadata["name"])
    if "defaultBackend" in spec:
        backend = _backend(cluster, metadata["namespace"], spec["defaultBackend"])
        yield Rule((*born, "~"), backends=(backend,))
    for index, rule in enumerate(spec.get("rules", ())):
        hosts = (rule["host"],) if rule.get("host") else ()
        for number, path in enumerate((rule.get("http") or {}).get("paths", ())):
            backend = _backend(cluster, metadata["namespace"], path["backend"])
            exact = path["pathType"] == _EXACT
            identity = (*born, f"{index:04}", f"{number:04}")
            yield Rule(identity, hosts, path.get("path", "/"), exact=exact, backends=(backend,))


def _backend(cluster: Cluster, namespace: str, given: Mapping[str, Any]) -> Backend:
    named = given.get("service") or {}
    key, wanted = (namespace, named.get("name", "")), named.get("port") or {}
    service = cluster.store.get(resources.SERVICES, *key)
    ports = service["spec"].get("ports", ()) if service is not None else ()
    number = next(
        (
            each["port"]
            for each in ports
            if each["port"] == wanted.get("number") or (wanted.get("name") and each.get("name") == wanted["name"])
        ),
        0,
    )
    return Backend(key, number, known=bool(number))
