"""Whether the specification of a pod makes sense, as the API server judges it."""

import re
from collections.abc import Mapping
from typing import Any, Final

from targets.rehearsal.kubernetes.problems import Problems
from targets.rehearsal.kubernetes.quantities import parsed

Spec = Mapping[str, Any]

_HANDLERS: Final = ("exec", "grpc", "httpGet", "tcpSocket")
_VARIABLE: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def judge_pod_spec(spec: Spec, path: str, problems: Problems) -> None:
    """Note what is wrong with it."""
    problems.one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), "Always", "OnFailure", "Never")
    problems.at_least(f"{path}.terminationGracePeriodSeconds", spec.get("terminationGracePeriodSeconds"), 0)
    volumes = _judge_volumes(spec.get("volumes") or [], f"{path}.volumes", problems)
    containers = spec.get("containers") or []
    if not containers:
        problems.required(f"{path}.containers")
    if spec.get("initContainers"):
        problems.prohibited(f"{path}.initContainers", "containers that prepare others are not rehearsed")
    names: set[str] = set()
    for index, container in enumerate(containers):
        where = f"{path}.containers[{index}]"
        if container["name"] in names:
            problems.duplicate(f"{where}.name", container["name"])
        names.add(container["name"])
        _judge_container(container, where, volumes, problems)
    for index, each in enumerate(spec.get("topologySpreadConstraints") or ()):
        where = f"{path}.topologySpreadConstraints[{index}]"
        allowed = ("DoNotSchedule", "ScheduleAnyway")
        problems.one_of(f"{where}.whenUnsatisfiable", each["whenUnsatisfiable"], *allowed)
        problems.at_least(f"{where}.maxSkew", each["maxSkew"], 1)


def _judge_volumes(volumes: list[Spec], path: str, problems: Problems) -> set[str]:
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        problems.label(f"{where}.name", volume["name"])
        if volume["name"] in names:
            problems.duplicate(f"{where}.name", volume["name"])
        if len(volume) == 1:
            problems.required(where, "must specify a volume type")
        elif len(volume) > 2:
            problems.prohibited(where, "may not specify more than 1 volume type")
        names.add(volume["name"])
    return names


def _judge_container(container: Spec, path: str, volumes: set[str], problems: Problems) -> None:
    problems.label(f"{path}.name", container["name"])
    if not container.get("image"):
        problems.required(f"{path}.image")
    problems.one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), "Always", "IfNotPresent", "Never")
    _judge_ports(container.get("ports") or [], f"{path}.ports", problems)
    mounted: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where = f"{path}.volumeMounts[{index}]"
        if mount["name"] not in volumes:
            problems.absent(f"{where}.name", mount["name"])
        if mount["mountPath"] in mounted:
            problems.invalid(f"{where}.mountPath", mount["mountPath"], "must be unique")
        mounted.add(mount["mountPath"])
    for index, variable in enumerate(container.get("env") or ()):
        _judge_variable(variable, f"{path}.env[{index}]", problems)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _judge_probe(container[name], f"{path}.{name}", problems, only_one=name != "readinessProbe")
    stop = (container.get("lifecycle") or {}).get("preStop")
    if stop is not None and len(stop) != 1:
        problems.required(f"{path}.lifecycle.preStop", "must specify a handler type")
    _judge_resources(container.get("resources") or {}, f"{path}.resources", problems)


def _judge_ports(ports: list[Spec], path: str, problems: Problems) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        problems.port(f"{path}[{index}].containerPort", port["containerPort"])
        problems.one_of(f"{path}[{index}].protocol", port.get("protocol"), "SCTP", "TCP", "UDP")
        name = port.get("name")
        if name is not None:
            problems.port_name(f"{path}[{index}].name", name)
            if name in names:
                problems.duplicate(f"{path}[{index}].name", name)
            names.add(name)


def _judge_variable(variable: Spec, path: str, problems: Problems) -> None:
    if not _VARIABLE.fullmatch(variable["name"]):
        words = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.'"
        problems.invalid(f"{path}.name", variable["name"], words)
    source = variable.get("valueFrom")
    if source is not None and variable.get("value"):
        problems.invalid(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    if source is not None and len(source) != 1:
        problems.invalid(
            f"{path}.valueFrom", "", "must specify one of: `fieldRef`, `configMapKeyRef` or `secretKeyRef`"
        )


def _judge_probe(probe: Spec, path: str, problems: Problems, *, only_one: bool) -> None:
    handlers = [name for name in _HANDLERS if name in probe]
    if not handlers:
        problems.required(path, "must specify a handler type")
    elif len(handlers) > 1:
        problems.prohibited(f"{path}.{handlers[1]}", "may not specify more than 1 handler type")
    for name in ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"):
        problems.at_least(f"{path}.{name}", probe.get(name), 0)
    if only_one and probe.get("successThreshold", 1) != 1:
        problems.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _judge_resources(asked: Spec, path: str, problems: Problems) -> None:
    amounts: dict[str, dict[str, Any]] = {"limits": {}, "requests": {}}
    for kind, found in amounts.items():
        for name, amount in (asked.get(kind) or {}).items():
            try:
                found[name] = parsed(amount)
            except ValueError:
                words = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                problems.invalid(f"{path}.{kind}.{name}", amount, words)
            else:
                if found[name] < 0:
                    problems.invalid(f"{path}.{kind}.{name}", amount, "must be greater than or equal to 0")
    for name, amount in amounts["requests"].items():
        limit = amounts["limits"].get(name)
        if limit is not None and amount > limit:
            given = asked["limits"][name]
            words = f"must be less than or equal to {name} limit of {given}"
            problems.invalid(f"{path}.requests", asked["requests"][name], words)
