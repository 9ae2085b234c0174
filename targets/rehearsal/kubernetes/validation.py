"""Whether an object that can be read makes sense, as the API server judges it."""

import base64
import binascii
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.errors import invalid
from targets.rehearsal.kubernetes.pod_validation import judge_pod_spec
from targets.rehearsal.kubernetes.problems import Problems
from targets.rehearsal.kubernetes.quantities import share
from targets.rehearsal.kubernetes.resources import Resource
from targets.rehearsal.kubernetes.selectors import Selector
from targets.rehearsal.kubernetes.shapes import Shape, shape_of

Object = Mapping[str, Any]

_MAX_ANNOTATIONS: Final = 256 * 1024
_MAX_SECRET: Final = 1 << 20


def judge(resource: Resource, found: Object, live: Object | None) -> None:
    """Holds an object with its defaults to everything but its types.

    Args:
        live: What it replaces.

    Raises:
        ApiError: It is refused, with all that was found.
    """
    problems = Problems()
    _judge_metadata(resource, found, problems)
    _judge_required(found, shape_of(resource.definition), "", problems)
    if not problems.causes and (judging := _JUDGES.get(resource)) is not None:
        judging(found, problems)
    if live is not None:
        _judge_change(resource, found, live, problems)
    if problems.causes:
        raise invalid(resource, found["metadata"].get("name", ""), problems.causes)


def _judge_metadata(resource: Resource, found: Object, problems: Problems) -> None:
    metadata = found["metadata"]
    name = metadata.get("name", "")
    if not name:
        problems.required("metadata.name", "name or generateName is required")
    elif resource == resources.SERVICES:
        problems.service_name("metadata.name", name)
    elif resource == resources.NAMESPACES:
        problems.label("metadata.name", name)
    else:
        problems.subdomain("metadata.name", name)
    problems.labels("metadata.labels", metadata.get("labels") or {})
    annotations = metadata.get("annotations") or {}
    for each in annotations:
        problems.qualified("metadata.annotations", each.lower())
    if sum(len(name.encode()) + len(value.encode()) for name, value in annotations.items()) > _MAX_ANNOTATIONS:
        problems.too_long("metadata.annotations", _MAX_ANNOTATIONS)


def _judge_required(value: Any, shape: Shape, path: str, problems: Problems) -> None:
    if isinstance(value, dict):
        for name in shape.required:
            # A condition may say nothing.
            if value.get(name) is None or (value[name] == "" and name != "message"):
                problems.required(f"{path}.{name}" if path else name)
        for name, each in value.items():
            child = shape.child(name)
            if child is not None and isinstance(each, dict | list) and name != "managedFields":
                _judge_required(each, child, f"{path}.{name}" if path else name, problems)
    elif isinstance(value, list) and shape.form == "list":
        for index, item in enumerate(value):
            _judge_required(item, shape.element, f"{path}[{index}]", problems)


def _judge_change(resource: Resource, found: Object, live: Object, problems: Problems) -> None:
    def frozen(*path: str) -> None:
        before, after = live, found
        for name in path:
            before, after = before.get(name) or {}, after.get(name) or {}
        if before and before != after:
            problems.invalid(".".join(path), after, "field is immutable")

    if resource in (resources.DEPLOYMENTS, resources.REPLICA_SETS):
        frozen("spec", "selector")
    if resource == resources.SERVICES and live["spec"].get("type") == found["spec"].get("type"):
        frozen("spec", "clusterIP")
    if resource == resources.SECRETS:
        frozen("type")
    if resource in (resources.SECRETS, resources.CONFIG_MAPS) and live.get("immutable"):
        for part in ("data", "binaryData"):
            if live.get(part) != found.get(part):
                problems.prohibited(part, "field is immutable when `immutable` is set")
    if resource == resources.PODS:
        before = {**live["spec"], "containers": [{**each, "image": ""} for each in live["spec"]["containers"]]}
        after = {**found["spec"], "containers": [{**each, "image": ""} for each in found["spec"]["containers"]]}
        if before != after:
            problems.prohibited("spec", "pod updates may not change fields other than `spec.containers[*].image`")


def _judge_workload(found: Object, problems: Problems) -> None:
    spec = found["spec"]
    problems.at_least("spec.replicas", spec.get("replicas"), 0)
    selector, labels = spec.get("selector") or {}, spec["template"].get("metadata", {}).get("labels") or {}
    problems.labels("spec.template.labels", labels)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        problems.invalid("spec.selector", selector, "empty selector is invalid for deployment")
    elif not Selector.of(selector).matches(labels):
        problems.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    judge_pod_spec(spec["template"]["spec"], "spec.template.spec", problems)
    if spec["template"]["spec"].get("restartPolicy") != "Always":
        problems.unsupported("spec.template.spec.restartPolicy", spec["template"]["spec"]["restartPolicy"], ("Always",))


def _judge_deployment(found: Object, problems: Problems) -> None:
    _judge_workload(found, problems)
    spec = found["spec"]
    strategy = spec["strategy"]
    problems.one_of("spec.strategy.type", strategy["type"], "Recreate", "RollingUpdate")
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "Recreate" and rolling:
        words = "may not be specified when strategy `type` is 'Recreate'"
        problems.prohibited("spec.strategy.rollingUpdate", words)
    elif rolling and not _positive(rolling):
        path = "spec.strategy.rollingUpdate.maxUnavailable"
        problems.invalid(path, rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")
    if spec["progressDeadlineSeconds"] <= spec.get("minReadySeconds", 0):
        path = "spec.progressDeadlineSeconds"
        problems.invalid(path, spec["progressDeadlineSeconds"], "must be greater than minReadySeconds")


def _positive(rolling: Mapping[str, Any]) -> bool:
    try:
        return bool(share(rolling["maxUnavailable"], 100, up=True) or share(rolling["maxSurge"], 100, up=True))
    except ArithmeticError:
        return False


def _judge_pod(found: Object, problems: Problems) -> None:
    judge_pod_spec(found["spec"], "spec", problems)


def _judge_service(found: Object, problems: Problems) -> None:
    spec = found["spec"]
    problems.one_of("spec.type", spec["type"], "ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    ports = spec.get("ports") or []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        problems.required("spec.ports")
    names = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        problems.port(f"{path}.port", port["port"])
        if isinstance(port["targetPort"], int):
            problems.port(f"{path}.targetPort", port["targetPort"])
        name = port.get("name", "")
        if len(ports) > 1 and not name:
            problems.required(f"{path}.name")
        elif name in names:
            problems.duplicate(f"{path}.name", name)
        elif name:
            problems.label(f"{path}.name", name)
        names.add(name)
    problems.labels("spec.selector", spec.get("selector") or {})


def _judge_autoscaler(found: Object, problems: Problems) -> None:
    spec = found["spec"]
    problems.at_least("spec.minReplicas", spec["minReplicas"], 1)
    problems.at_least("spec.maxReplicas", spec["maxReplicas"], 1)
    if spec["maxReplicas"] < spec["minReplicas"]:
        words = "must be greater than or equal to `minReplicas`"
        problems.invalid("spec.maxReplicas", spec["maxReplicas"], words)


def _judge_budget(found: Object, problems: Problems) -> None:
    spec = found.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        words = "minAvailable and maxUnavailable cannot be both set"
        problems.invalid("spec", spec, words)


def _judge_data(found: Object, problems: Problems) -> None:
    size = 0
    for name, value in (found.get("data") or {}).items():
        if found["kind"] == "Secret":
            try:
                size += len(base64.b64decode(value, validate=True))
            except binascii.Error:
                problems.invalid(f"data.{name}", "<redacted>", "illegal base64 data")
        else:
            size += len(value)
    if size > _MAX_SECRET:
        problems.too_long("data", _MAX_SECRET)


def _judge_gateway(found: Object, problems: Problems) -> None:
    listeners = found["spec"]["listeners"]
    if not listeners:
        problems.required("spec.listeners")
    for index, listener in enumerate(listeners):
        path = f"spec.listeners[{index}]"
        problems.port(f"{path}.port", listener["port"])
        if listener["protocol"] == "HTTPS" and not (listener.get("tls") or {}).get("certificateRefs"):
            problems.invalid(f"{path}.tls", listener.get("tls"), "tls must be specified for protocols ['HTTPS', 'TLS']")


def _judge_route(found: Object, problems: Problems) -> None:
    for r, rule in enumerate(found["spec"]["rules"]):
        for b, backend in enumerate(rule.get("backendRefs", ())):
            path = f"spec.rules[{r}].backendRefs[{b}]"
            if not 0 <= backend["weight"] <= 1_000_000:
                problems.invalid(f"{path}.weight", backend["weight"], "should be between 0 and 1000000")
            if backend["kind"] == "Service" and "port" not in backend:
                problems.invalid(path, backend, "Must have port for Service reference")


_JUDGES: Final[Mapping[Resource, Callable[[Object, Problems], None]]] = MappingProxyType(
    {
        resources.DEPLOYMENTS: _judge_deployment,
        resources.REPLICA_SETS: _judge_workload,
        resources.PODS: _judge_pod,
        resources.SERVICES: _judge_service,
        resources.AUTOSCALERS: _judge_autoscaler,
        resources.BUDGETS: _judge_budget,
        resources.SECRETS: _judge_data,
        resources.CONFIG_MAPS: _judge_data,
        resources.GATEWAYS: _judge_gateway,
        resources.ROUTES: _judge_route,
    }
)
