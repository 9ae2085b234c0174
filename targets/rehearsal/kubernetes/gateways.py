"""The controller of Gateways and HTTPRoutes: servers for listeners, and conditions that say what holds."""

from collections.abc import Mapping
from typing import Any, Final

from targets.kit.kubernetes.access import REACHED_PORTS
from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.conditions import with_condition
from targets.rehearsal.kubernetes.http_fronts import Certificate
from targets.rehearsal.kubernetes.listening import Listeners
from targets.rehearsal.kubernetes.loops import Loop
from targets.rehearsal.kubernetes.route_rules import accepted_by, parents_of, route_rules, unresolved
from targets.rehearsal.kubernetes.store import Event, Key, Object, key_of

CONTROLLER: Final = "rehearsal.dray.dev/gateway"
_SERVED: Final = ("HTTP", "HTTPS")


class Gateways:
    """Serves them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        # Routes by the gateway that they name.
        self._routes: dict[Key, dict[Key, None]] = {}
        self.loop = Loop("gateways", self._reconcile)
        self._listeners = Listeners(cluster, "gateway", self.loop.want)
        store = cluster.store
        store.listen(resources.GATEWAYS, lambda event: self.loop.want(key_of(event.found)))
        store.listen(resources.ROUTES, self._route_heard)

    async def end(self) -> None:
        """Listen no more."""
        await self._listeners.end()

    def _route_heard(self, event: Event) -> None:
        key = key_of(event.found)
        if event.before is not None and event.before["spec"] == event.found["spec"] and event.change == "MODIFIED":
            return
        for found, there in ((event.before, False), (event.found, event.change != "DELETED")):
            for gateway in parents_of(found) if found is not None else ():
                known = self._routes.setdefault(gateway, {})
                if there:
                    known[key] = None
                else:
                    known.pop(key, None)
                self.loop.want(gateway)

    def _reconcile(self, key: Key) -> None:
        gateway = self._cluster.store.get(resources.GATEWAYS, *key)
        named = gateway["spec"]["gatewayClassName"] if gateway is not None else ""
        known = self._cluster.store.get(resources.GATEWAY_CLASSES, "", named)
        if gateway is None or known is None or known["spec"]["controllerName"] != CONTROLLER:
            self._listeners.forget(key)
            return
        routes = self._attached(gateway)
        rules = (rule for route in routes for rule in route_rules(self._cluster, route))
        certificates = self._certificates(gateway)
        address, moved = self._listeners.settle(key, rules, certificates)
        self._tell(gateway, address, moved, certificates, len(routes))

    def _attached(self, gateway: Object) -> list[Object]:
        found = []
        for key in self._routes.get(key_of(gateway), ()):
            route = self._cluster.store.get(resources.ROUTES, *key)
            if route is not None and self._judge(gateway, route):
                found.append(route)
        return found

    def _judge(self, gateway: Object, route: Object) -> bool:
        """Whether a gateway takes a route; the route's status says so too."""
        accepted, reason, message = accepted_by(self._cluster, gateway, route)
        missing = unresolved(self._cluster, route)
        parents, shown = route["spec"].get("parentRefs", ()), []
        known = {_named(each["parentRef"]): each for each in route.get("status", {}).get("parents") or ()}
        for parent in parents:
            before = known.get(_named(parent))
            if (parent.get("namespace", route["metadata"]["namespace"]), parent["name"]) != key_of(gateway):
                shown += [before] if before is not None else []
                continue
            conditions = (before or {}).get("conditions")
            generation = {"observedGeneration": route["metadata"]["generation"]}
            conditions = with_condition(
                conditions, "Accepted", holds=accepted, reason=reason, message=message, **generation
            )
            conditions = with_condition(
                conditions,
                "ResolvedRefs",
                holds=not missing,
                reason="BackendNotFound" if missing else "ResolvedRefs",
                message=missing or "All references resolved",
                **generation,
            )
            shown.append({"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions})
        self._cluster.set_status(resources.ROUTES, route, parents=shown)
        return accepted

    def _certificates(self, gateway: Object) -> dict[int, Certificate | None]:
        """Ports that can be served, with what they show."""
        found: dict[int, Certificate | None] = {}
        for listener in gateway["spec"]["listeners"]:
            if listener["protocol"] == "HTTP":
                found[listener["port"]] = None
            elif listener["protocol"] == "HTTPS":
                certificate = self._certificate(gateway, listener)
                if certificate is not None:
                    found[listener["port"]] = certificate
        return found

    def _certificate(self, gateway: Object, listener: Mapping[str, Any]) -> Certificate | None:
        own = gateway["metadata"]["namespace"]
        named = ((each.get("namespace", own), each["name"]) for each in listener["tls"].get("certificateRefs", ()))
        return next(filter(None, (self._listeners.certificate(*each) for each in named)), None)

    def _tell(self, gateway: Object, address: str, moved: str, served: Mapping[int, object], routes: int) -> None:
        if moved:
            annotations = {**(gateway["metadata"].get("annotations") or {}), REACHED_PORTS: moved}
            self._cluster.change(
                resources.GATEWAYS, gateway, lambda new: new["metadata"].update(annotations=annotations)
            )
        conditions = gateway.get("status", {}).get("conditions")
        generation = {"observedGeneration": gateway["metadata"]["generation"]}
        for kind in ("Accepted", "Programmed"):
            words = f"Resource {kind.lower()}"
            conditions = with_condition(conditions, kind, holds=True, reason=kind, message=words, **generation)
        before = {each["name"]: each for each in gateway.get("status", {}).get("listeners") or ()}
        self._cluster.set_status(
            resources.GATEWAYS,
            gateway,
            addresses=[{"type": "IPAddress", "value": address}],
            conditions=conditions,
            listeners=[
                _listener_status(each, before.get(each["name"], {}), served, routes, generation)
                for each in gateway["spec"]["listeners"]
            ],
        )


def _listener_status(
    listener: Mapping[str, Any],
    before: Mapping[str, Any],
    served: Mapping[int, object],
    routes: int,
    generation: Mapping[str, int],
) -> dict[str, Any]:
    holds = listener["port"] in served
    known = listener["protocol"] in _SERVED
    conditions = before.get("conditions")
    reasons = {
        "Accepted": (known, "Accepted" if known else "UnsupportedProtocol"),
        "ResolvedRefs": (holds or not known, "ResolvedRefs" if holds or not known else "InvalidCertificateRef"),
        "Programmed": (holds, "Programmed" if holds else "Invalid"),
    }
    for kind, (status, reason) in reasons.items():
        words = f"Listener {listener['name']}: {reason}"
        conditions = with_condition(conditions, kind, holds=status, reason=reason, message=words, **generation)
    kinds = [{"group": resources.ROUTES.group, "kind": "HTTPRoute"}]
    attached = routes if holds else 0
    return {
        "name": listener["name"],
        "attachedRoutes": attached,
        "supportedKinds": kinds,
        "conditions": conditions,
    }


def _named(parent: Mapping[str, Any]) -> tuple[Any, ...]:
    return parent.get("namespace"), parent["name"], parent.get("sectionName"), parent.get("port")
