"""How requests get to a release's pods, and what else may: Service, NetworkPolicy, Gateway, HTTPRoute, Ingress."""

from typing import Any, Final

from targets.kit.kubernetes.objects.wanted import (
    INSTANCE,
    PORT,
    PORT_NAME,
    Object,
    Wanted,
    metadata,
    slot_selector,
)
from targets.kit.kubernetes.record import RECORD

_INTERNAL: Final = "service.beta.kubernetes.io/azure-load-balancer-internal"
_GATEWAY: Final = "gateway.networking.k8s.io"
_ALL: Final = 100


def service(wanted: Wanted) -> Object:
    """The address that stays, and the place where the deployment's record is."""
    settings = wanted.settings
    annotations = {RECORD: wanted.record.written()} if wanted.record else {}
    if settings.internal:
        annotations[_INTERNAL] = "true"
    made = _service(wanted, wanted.label, wanted.selector, annotations)
    made["spec"]["type"] = settings.service
    return made


def canary_service(wanted: Wanted) -> Object | None:
    """The address of the other slot's pods; None where no traffic is split."""
    if wanted.canary is None:
        return None
    return _service(wanted, f"{wanted.label}-canary", slot_selector(wanted.label, wanted.other_slot), {})


def network_policy(wanted: Wanted) -> Object | None:
    """Requests may come in, and nothing may go out: a model that serves needs nobody."""
    settings = wanted.settings
    if not settings.network_policy:
        return None
    incoming: Object = {"ports": [{"port": PORT, "protocol": "TCP"}]}
    if settings.allow_from:
        names = [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": n}}} for n in settings.allow_from
        ]
        incoming["from"] = names
    outgoing: Object = {"egress": [{}]} if settings.egress else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(wanted, wanted.label),
        "spec": {
            "podSelector": {"matchLabels": {INSTANCE: wanted.label}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [incoming],
            **outgoing,
        },
    }


def gateway(wanted: Wanted) -> Object | None:
    """The gateway that dray makes; None where there is one, or none is wanted."""
    settings = wanted.settings
    if settings.route != "gateway" or settings.gateway:
        return None
    host = {"hostname": settings.host} if settings.host else {}
    listener: Object = {"name": "http", "port": 80, "protocol": "HTTP", **host}
    if settings.tls_secret:
        certificate = {"kind": "Secret", "group": "", "name": settings.tls_secret}
        tls = {"mode": "Terminate", "certificateRefs": [certificate]}
        listener = {"name": "https", "port": 443, "protocol": "HTTPS", **host, "tls": tls}
    return {
        "apiVersion": f"{_GATEWAY}/v1",
        "kind": "Gateway",
        "metadata": metadata(wanted, wanted.label),
        "spec": {
            "gatewayClassName": settings.gateway_class,
            "listeners": [{**listener, "allowedRoutes": {"namespaces": {"from": "Same"}}}],
        },
    }


def http_route(wanted: Wanted) -> Object | None:
    """Where requests for the host go, and by which shares while a canary is tried."""
    settings = wanted.settings
    if settings.route != "gateway":
        return None
    share = wanted.canary or 0
    backends = [_backend(wanted, wanted.label, _ALL - share)]
    if wanted.canary is not None:
        backends.append(_backend(wanted, f"{wanted.label}-canary", share))
    path = {"path": {"type": "PathPrefix", "value": "/"}}
    return {
        "apiVersion": f"{_GATEWAY}/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(wanted, wanted.label),
        "spec": {
            "parentRefs": [_parent(wanted)],
            **({"hostnames": [settings.host]} if settings.host else {}),
            "rules": [{"matches": [path], "backendRefs": backends}],
        },
    }


def ingress(wanted: Wanted) -> Object | None:
    """For clusters without the Gateway API."""
    settings = wanted.settings
    if settings.route != "ingress":
        return None
    backend = {"service": {"name": wanted.label, "port": {"name": PORT_NAME}}}
    rule: dict[str, Any] = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    hosts: Object = {"host": settings.host} if settings.host else {}
    tls: Object = {"secretName": settings.tls_secret, **({"hosts": [settings.host]} if settings.host else {})}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(wanted, wanted.label),
        "spec": {
            **({"ingressClassName": settings.ingress_class} if settings.ingress_class else {}),
            "rules": [{**hosts, **rule}],
            **({"tls": [tls]} if settings.tls_secret else {}),
        },
    }


def _service(wanted: Wanted, name: str, selector: dict[str, str], annotations: dict[str, str]) -> Object:
    port = {"name": PORT_NAME, "port": wanted.settings.port, "targetPort": PORT_NAME, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(wanted, name, annotations),
        "spec": {"selector": selector, "ports": [{**port, "appProtocol": "http"}]},
    }


def _parent(wanted: Wanted) -> Object:
    given = wanted.settings.gateway or wanted.label
    place, slash, name = given.rpartition("/")
    return {"group": _GATEWAY, "kind": "Gateway", "name": name, **({"namespace": place} if slash else {})}


def _backend(wanted: Wanted, name: str, weight: int) -> Object:
    return {"group": "", "kind": "Service", "name": name, "port": wanted.settings.port, "weight": weight}
