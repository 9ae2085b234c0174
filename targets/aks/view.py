"""Deployments as their objects show them, in the words that all targets share."""

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from packager.core.deployment import Deployment, State
from packager.core.errors import DeploymentFailed
from targets.aks.settings import AksSettings
from targets.kit.kubernetes.access import REACHED_PORTS, Reach
from targets.kit.kubernetes.cluster import Cluster, Object
from targets.kit.kubernetes.objects import Wanted
from targets.kit.kubernetes.record import Record, Served
from targets.kit.kubernetes.state import Key, record_of
from targets.kit.packages import kept_package

logger = logging.getLogger(__name__)
TARGET = "aks"
_HTTP, _HTTPS = 80, 443
# What of the settings says where a deployment is, and stands in no record: it is the reader's own way there.
PLACE = ("context", "kubeconfig", "resource_group", "cluster", "subscription")


def settings_of(served: Served) -> AksSettings:
    """The settings of a release.

    Raises:
        DeploymentFailed: Another version of dray wrote others.
    """
    try:
        return AksSettings.model_validate(served.settings)
    except ValidationError as error:
        raise DeploymentFailed(
            f"the settings of {served.model} {served.version} cannot be read: {dict(served.settings)!r}",
            hint="another version of dray made it; deploy again with this one",
        ) from error


def readable_record(service: Object) -> tuple[str, Record] | None:
    """Name and record that a Service holds; one that this version cannot read hides no other, and is told of."""
    try:
        found = record_of(service)
        if found and found[1].shown:
            settings_of(found[1].shown)
    except DeploymentFailed as error:
        logger.warning("service/%s is passed over: %s", service["metadata"]["name"], error.message)
        return None
    return found


def described(
    name: str, record: Record, objects: Mapping[Key, Object], cluster: Cluster, place: AksSettings
) -> Deployment:
    """A deployment.

    Args:
        objects: Its own among others, by kind and name.
        place: The settings by which the cluster was found.
    """
    served = record.shown
    if served is None:
        raise DeploymentFailed(f"the record of {name!r} names no release", hint=f"dray delete {name}")
    slot = record.slot if record.live else record.trial_slot
    wanted = Wanted(name, cluster.namespace, served, settings_of(served), slot=slot)
    package = kept_package(served.package)
    return Deployment(
        name=name,
        target=TARGET,
        state=state_of(record, objects.get(("Deployment", wanted.workload))),
        endpoint=endpoint_of(wanted, objects, cluster.access.reach),
        model=served.model,
        version=served.version,
        digest=served.package,
        package=str(package) if package else None,
        image=served.image,
        created_at=served.created,
        detail=detail_of(wanted, place),
    )


def detail_of(wanted: Wanted, place: AksSettings) -> dict[str, Any]:
    """The target's own facts."""
    way = {key: value for key in PLACE if (value := getattr(place, key)) is not None}
    settings = {**wanted.served.settings, **way, "namespace": wanted.namespace}
    return {"namespace": wanted.namespace, "deployment": wanted.workload, "slot": wanted.slot, "settings": settings}


def state_of(record: Record, deployment: Object | None) -> State:
    """In the words that all targets share."""
    if record.live is None or (record.trial is not None and record.trial_slot == record.slot):
        return "pending"
    if deployment is None:
        return "failed"
    if (deployment.get("spec") or {}).get("replicas", 1) == 0:
        return "stopped"
    return "running" if int((deployment.get("status") or {}).get("readyReplicas") or 0) else "unhealthy"


def endpoint_of(wanted: Wanted, objects: Mapping[Key, Object], reach: Reach) -> str | None:
    """Where clients reach it; None while it has no address.

    Args:
        reach: From where it is asked.
    """
    settings = wanted.settings
    scheme = "https" if settings.tls_secret else "http"
    if settings.route and settings.host and reach != "rehearsal":
        return f"{scheme}://{settings.host}"
    if settings.route and not settings.host and (address := _route_address(wanted, objects)):
        front = objects.get(("Ingress" if settings.route == "ingress" else "Gateway", wanted.label)) or {}
        usual = _HTTPS if settings.tls_secret else _HTTP
        return f"{scheme}://{address}{_port(front, usual, usual)}"
    service = objects.get(("Service", wanted.label)) or {}
    port = _port(service, settings.port, _HTTP)
    if settings.service == "LoadBalancer":
        given = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        hosts = [each.get("ip") or each.get("hostname") for each in given]
        return f"http://{hosts[0]}{port}" if hosts else None
    if reach != "outside" and (own := (service.get("spec") or {}).get("clusterIP")):
        return f"http://{own}{port}"
    return f"http://{wanted.label}.{wanted.namespace}.svc.cluster.local{port}"


def _port(front: Object, port: int, usual: int) -> str:
    """As a URL has it: where a rehearsal had to listen on another one, that."""
    moved = str((front.get("metadata", {}).get("annotations") or {}).get(REACHED_PORTS, ""))
    reached = dict(pair.split("=", 1) for pair in moved.split(",") if "=" in pair).get(str(port), str(port))
    return "" if reached == str(usual) else f":{reached}"


def _route_address(wanted: Wanted, objects: Mapping[Key, Object]) -> str | None:
    """Of the Gateway or Ingress that dray made, where no host was named."""
    if wanted.settings.route == "ingress":
        status = (objects.get(("Ingress", wanted.label)) or {}).get("status") or {}
        given = (status.get("loadBalancer") or {}).get("ingress") or ()
        return next((each.get("ip") or each.get("hostname") for each in given), None)
    status = (objects.get(("Gateway", wanted.label)) or {}).get("status") or {}
    return next((str(each.get("value")) for each in status.get("addresses") or ()), None)
