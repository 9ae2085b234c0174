"""HTTPRoutes read into rules, and whether what they name is there and lets them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.selectors import Selector
from targets.rehearsal.kubernetes.store import Key, Object
from targets.rehearsal.kubernetes.traffic import Backend, Rule

_FILTERS: Final = ("RequestHeaderModifier", "ResponseHeaderModifier")


def parents_of(route: Object) -> list[Key]:
    """The gateways that a route names."""
    namespace = route["metadata"]["namespace"]
    return [
        (each.get("namespace", namespace), each["name"])
        for each in route["spec"].get("parentRefs", ())
        if each["kind"] == "Gateway"
    ]


def accepted_by(cluster: Cluster, gateway: Object, route: Object) -> tuple[bool, str, str]:
    """Whether a gateway takes a route, with the reason and the words of its condition."""
    for rule in route["spec"]["rules"]:
        for each in rule.get("filters", ()):
            if each["type"] not in _FILTERS:
                return False, "UnsupportedValue", f"the filter {each['type']} is not rehearsed"
    namespace = route["metadata"]["namespace"]
    wanted = {
        each.get("sectionName")
        for each in route["spec"].get("parentRefs", ())
        if (each.get("namespace", namespace), each["name"])
        == (gateway["metadata"]["namespace"], gateway["metadata"]["name"])
    }
    listeners = [each for each in gateway["spec"]["listeners"] if None in wanted or each["name"] in wanted]
    if not listeners:
        return False, "NoMatchingParent", "no listener of the gateway has this name"
    if not any(_allows(cluster, gateway, each, namespace) for each in listeners):
        return False, "NotAllowedByListeners", "no listener lets routes of this namespace attach"
    hosts = route["spec"].get("hostnames") or []
    if hosts and not any(_shares(listener, host) for listener in listeners for host in hosts):
        return False, "NoMatchingListenerHostname", "no listener has a hostname of the route"
    return True, "Accepted", "Route was valid"


def unresolved(cluster: Cluster, route: Object) -> str:
    """Which backend is not there, in words; empty where all are."""
    for backend in (each for rule in _rules_of(cluster, route) for each in rule.backends):
        if not backend.known:
            return f'backend("{backend.service[1]}") not found'
    return ""


def route_rules(cluster: Cluster, route: Object) -> list[Rule]:
    """Of one route."""
    return list(_rules_of(cluster, route))


def _rules_of(cluster: Cluster, route: Object) -> Iterator[Rule]:
    metadata, spec = route["metadata"], route["spec"]
    hosts = tuple(spec.get("hostnames") or ())
    born = (metadata["creationTimestamp"], metadata["namespace"], metadata["name"])
    for index, rule in enumerate(spec["rules"]):
        chosen = tuple(_backend(cluster, metadata["namespace"], each) for each in rule.get("backendRefs", ()))
        for match in rule["matches"]:
            path = match.get("path") or {"type": "PathPrefix", "value": "/"}
            yield Rule(
                # Turns are of the rule, whichever of its matches a request has.
                identity=(*born, f"{index:04}"),
                hosts=hosts,
                path=path["value"],
                exact=path["type"] == "Exact",
                method=match.get("method", ""),
                headers=tuple((each["name"].lower(), each["value"]) for each in match.get("headers", ())),
                queries=tuple((each["name"], each["value"]) for each in match.get("queryParams", ())),
                backends=chosen,
                set_headers=tuple(_set_headers(rule)),
            )


def _backend(cluster: Cluster, namespace: str, given: Mapping[str, Any]) -> Backend:
    key = given.get("namespace", namespace), given["name"]
    service = cluster.store.get(resources.SERVICES, *key)
    ports = [each["port"] for each in service["spec"].get("ports", ())] if service is not None else []
    known = given["kind"] == "Service" and given["port"] in ports and key[0] == namespace
    return Backend(key, given.get("port", 0), given["weight"], known=known)


def _set_headers(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in rule.get("filters", ()):
        changes = each.get("requestHeaderModifier") or {}
        for header in (*changes.get("set", ()), *changes.get("add", ())):
            yield header["name"].lower(), header["value"]
        for name in changes.get("remove", ()):
            yield name.lower(), ""


def _allows(cluster: Cluster, gateway: Object, listener: Mapping[str, Any], namespace: str) -> bool:
    allowed = listener["allowedRoutes"]["namespaces"]
    if allowed["from"] == "All":
        return True
    if allowed["from"] == "Same":
        return bool(gateway["metadata"]["namespace"] == namespace)
    found = cluster.store.get(resources.NAMESPACES, "", namespace)
    return found is not None and Selector.of(allowed.get("selector")).matches(found["metadata"].get("labels") or {})


def _shares(listener: Mapping[str, Any], host: str) -> bool:
    own = listener.get("hostname", "")
    if not own or own == host:
        return True
    if own.startswith("*."):
        return host.endswith(own[1:])
    return host.startswith("*.") and own.endswith(host[1:])
