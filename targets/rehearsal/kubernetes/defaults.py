"""What the API server fills in where an object says nothing, by kind."""

import base64
import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.resources import Resource

Body = dict[str, Any]

_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_FILE_MODE: Final = 0o644


def defaulted(resource: Resource, found: Mapping[str, Any]) -> Body:
    """The object with everything that it leaves open; the argument is not changed."""
    filler = _FILLERS.get(resource)
    if filler is None:
        return dict(found)
    result = copy.deepcopy(dict(found))
    filler(result)
    return result


def _fill(found: Body, **values: Any) -> None:
    for name, value in values.items():
        found.setdefault(name, value)


def _deployment(found: Body) -> None:
    spec = found.setdefault("spec", {})
    _fill(spec, replicas=1, progressDeadlineSeconds=600, revisionHistoryLimit=10, strategy={})
    _fill(spec["strategy"], type="RollingUpdate")
    if spec["strategy"]["type"] == "RollingUpdate":
        _fill(spec["strategy"].setdefault("rollingUpdate", {}), maxUnavailable="25%", maxSurge="25%")
    _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))


def _replica_set(found: Body) -> None:
    spec = found.setdefault("spec", {})
    _fill(spec, replicas=1)
    _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))


def _pod(found: Body) -> None:
    _pod_spec(found.setdefault("spec", {}))
    _fill(found["spec"], enableServiceLinks=True)


def _pod_spec(spec: Body) -> None:
    _fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    if "serviceAccountName" in spec:
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        _container(container)
    for volume in spec.get("volumes", ()):
        for kind in ("secret", "configMap"):
            if kind in volume:
                _fill(volume[kind], defaultMode=_FILE_MODE)


def _container(container: Body) -> None:
    image = container.get("image", "")
    named = "@" in image or ":" in image.rpartition("/")[2]
    always = not named or image.endswith(":latest")
    _fill(
        container,
        imagePullPolicy="Always" if always else "IfNotPresent",
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    for port in container.get("ports", ()):
        _fill(port, protocol="TCP")
    for name in _PROBES:
        if name in container:
            _probe(container[name])
    after = (container.get("lifecycle") or {}).get("preStop") or {}
    if "httpGet" in after:
        _fill(after["httpGet"], scheme="HTTP", path="/")
    for variable in container.get("env", ()):
        field = (variable.get("valueFrom") or {}).get("fieldRef")
        if field is not None:
            _fill(field, apiVersion="v1")
    limits, requests = container["resources"].get("limits", {}), container["resources"].get("requests", {})
    if limits:
        container["resources"]["requests"] = {**limits, **requests}


def _probe(probe: Body) -> None:
    _fill(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if "httpGet" in probe:
        _fill(probe["httpGet"], scheme="HTTP", path="/")


def _service(found: Body) -> None:
    spec = found.setdefault("spec", {})
    _fill(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        _fill(spec, internalTrafficPolicy="Cluster", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _fill(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _fill(spec, allocateLoadBalancerNodePorts=True)
    for port in spec.get("ports", ()):
        _fill(port, protocol="TCP")
        port.setdefault("targetPort", port.get("port"))


def _secret(found: Body) -> None:
    _fill(found, type="Opaque")
    for name, value in (found.pop("stringData", None) or {}).items():
        found.setdefault("data", {})[name] = base64.b64encode(value.encode()).decode()


def _autoscaler(found: Body) -> None:
    spec = found.setdefault("spec", {})
    _fill(spec, minReplicas=1)
    cpu = {"type": "Utilization", "averageUtilization": 80}
    _fill(spec, metrics=[{"type": "Resource", "resource": {"name": "cpu", "target": cpu}}])


def _network_policy(found: Body) -> None:
    spec = found.setdefault("spec", {})
    _fill(spec, policyTypes=["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
        for port in rule.get("ports", ()):
            _fill(port, protocol="TCP")


def _namespace(found: Body) -> None:
    found["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = found["metadata"].get("name", "")
    _fill(found.setdefault("spec", {}), finalizers=["kubernetes"])
    _fill(found.setdefault("status", {}), phase="Active")


def _gateway(found: Body) -> None:
    for listener in found.setdefault("spec", {}).get("listeners", ()):
        allowed = listener.setdefault("allowedRoutes", {}).setdefault("namespaces", {})
        allowed.setdefault("from", "Same")
        if "tls" in listener:
            _fill(listener["tls"], mode="Terminate")
            for reference in listener["tls"].get("certificateRefs", ()):
                _fill(reference, group="", kind="Secret")


def _route(found: Body) -> None:
    spec = found.setdefault("spec", {})
    for parent in spec.get("parentRefs", ()):
        _fill(parent, group=resources.GATEWAYS.group, kind="Gateway")
    _fill(spec, rules=[{}])
    for rule in spec["rules"]:
        _fill(rule, matches=[{"path": {"type": "PathPrefix", "value": "/"}}])
        for match in rule["matches"]:
            if not set(match) & {"path", "headers", "queryParams", "method"}:
                match["path"] = {}
            if "path" in match:
                _fill(match["path"], type="PathPrefix", value="/")
            for each in (*match.get("headers", ()), *match.get("queryParams", ())):
                _fill(each, type="Exact")
        for backend in rule.get("backendRefs", ()):
            _fill(backend, group="", kind="Service", weight=1)


_FILLERS: Final[Mapping[Resource, Callable[[Body], None]]] = MappingProxyType(
    {
        resources.DEPLOYMENTS: _deployment,
        resources.REPLICA_SETS: _replica_set,
        resources.PODS: _pod,
        resources.SERVICES: _service,
        resources.SECRETS: _secret,
        resources.AUTOSCALERS: _autoscaler,
        resources.NETWORK_POLICIES: _network_policy,
        resources.NAMESPACES: _namespace,
        resources.GATEWAYS: _gateway,
        resources.ROUTES: _route,
    }
)
