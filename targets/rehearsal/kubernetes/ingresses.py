"""The controller of Ingresses: one server each, of any class, as there is no other controller to leave one to."""

import asyncio
import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from targets.kit.kubernetes.access import REACHED_PORTS
from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.http_fronts import Certificate
from targets.rehearsal.kubernetes.listening import Listening
from targets.rehearsal.kubernetes.loops import Loop
from targets.rehearsal.kubernetes.store import Event, Key, Object, key_of
from targets.rehearsal.kubernetes.traffic import Backend, Rule, Users, ordered

_HTTP, _HTTPS = 80, 443
_EXACT: Final = "Exact"


class Ingresses:
    """Serves them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._listening: dict[Key, Listening] = {}
        self._rules: dict[Key, Sequence[Rule]] = {}
        self._users = Users()
        self._ending: set[asyncio.Task[None]] = set()
        self.loop = Loop("ingresses", self._reconcile)
        cluster.store.listen(resources.INGRESSES, lambda event: self.loop.want(key_of(event.found)))
        cluster.store.listen(resources.SERVICES, self._service_heard)

    async def end(self) -> None:
        """Listen no more."""
        await asyncio.gather(*self._ending, *(each.end() for each in self._listening.values()))

    def _service_heard(self, event: Event) -> None:
        if event.change != "MODIFIED" or (event.before or {}).get("spec") != event.found["spec"]:
            for ingress in self._users.of(key_of(event.found)):
                self.loop.want(ingress)

    def _reconcile(self, key: Key) -> None:
        ingress = self._cluster.store.get(resources.INGRESSES, *key)
        listening = self._listening.get(key)
        if ingress is None:
            self._rules.pop(key, None)
            self._users.note(key, ())
            if listening is not None:
                del self._listening[key]
                task = listening.end()
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
            return
        if listening is None:
            label = f"ingress/{'/'.join(key)}"
            listening = self._listening[key] = Listening(self._cluster, label, lambda: self._rules.get(key, ()))
        self._rules[key] = ordered(_rules_of(self._cluster, ingress))
        self._users.note(key, self._rules[key])
        ports: dict[int, Certificate | None] = {_HTTP: None}
        certificate = self._certificate(ingress)
        if certificate is not None:
            ports[_HTTPS] = certificate
        moved = listening.settle(ports)
        if moved:
            annotations = {**(ingress["metadata"].get("annotations") or {}), REACHED_PORTS: moved}
            self._cluster.change(
                resources.INGRESSES, ingress, lambda new: new["metadata"].update(annotations=annotations)
            )
        balancer = {"ingress": [{"ip": listening.address}]}
        self._cluster.set_status(resources.INGRESSES, ingress, loadBalancer=balancer)

    def _certificate(self, ingress: Object) -> Certificate | None:
        for each in ingress["spec"].get("tls", ()):
            namespace = ingress["metadata"]["namespace"]
            secret = self._cluster.store.get(resources.SECRETS, namespace, each.get("secretName", ""))
            data = (secret or {}).get("data") or {}
            if "tls.crt" in data and "tls.key" in data:
                return Certificate(base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"]))
        return None


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
