"""A container of a pod as what a runner runs: its environment, files and limits, out of the objects that it names."""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.quantities import parsed
from targets.rehearsal.kubernetes.resources import Resource
from targets.rehearsal.kubernetes.store import Object
from targets.rehearsal.workload import Workload

Spec = Mapping[str, Any]

_MIB: Final = 1 << 20
_TMP, _TMP_MIB = "/tmp", 64  # noqa: S108 - the container's
_VARIABLE: Final = re.compile(r"\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
# Volumes that bring no files; what they hold is the container's own.
_EMPTY: Final = ("emptyDir", "downwardAPI", "ephemeral")


class NotYet(Exception):
    """The container cannot be made: something that it names is not there, or cannot be rehearsed.

    Attributes:
        reason: ``CreateContainerConfigError``, or ``FailedMount`` for a volume.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where a pod's references are looked up."""

    cluster: Cluster
    pod: Object
    address: str

    def data(self, resource: Resource, reference: Spec, reason: str, *, prefix: str = "") -> Mapping[str, bytes]:
        """What a Secret or ConfigMap holds; nothing of an optional one that is not there.

        Raises:
            NotYet: It is not there.
        """
        name = reference.get("name") or reference.get("secretName") or ""
        found = self.cluster.store.get(resource, self.pod["metadata"]["namespace"], name)
        if found is not None:
            return contents(found)
        if reference.get("optional"):
            return {}
        raise NotYet(reason, f'{prefix}{resource.singular} "{name}" not found')


def contents(found: Object) -> dict[str, bytes]:
    """What a Secret or ConfigMap holds."""
    held = found.get("data") or {}
    if found["kind"] == "Secret":
        return {name: base64.b64decode(value) for name, value in held.items()}
    binary = {name: base64.b64decode(value) for name, value in (found.get("binaryData") or {}).items()}
    return {**{name: value.encode() for name, value in held.items()}, **binary}


def workload_of(cluster: Cluster, pod: Object, container: Spec, *, id: str, address: str) -> Workload:  # noqa: A002
    """Raises NotYet: it cannot be made."""
    scope = _Scope(cluster, pod, address)
    command = (*container.get("command", ()), *container.get("args", ()))
    if container.get("args") and not container.get("command"):
        raise NotYet("CreateContainerConfigError", "args without a command are not rehearsed")
    limits = (container.get("resources") or {}).get("limits") or {}
    return Workload(
        id=id,
        image=container["image"],
        address=address,
        ports=tuple(each["containerPort"] for each in container.get("ports", ())),
        environment=_environment(scope, container),
        files=dict(_files(scope, container)),
        command=command,
        cpus=float(parsed(limits["cpu"])) if "cpu" in limits else None,
        memory_mib=int(parsed(limits["memory"]) / _MIB) if "memory" in limits else None,
        tmp_mib=_tmp_mib(pod, container),
    )


def _tmp_mib(pod: Object, container: Spec) -> int:
    """How large the empty volume at ``/tmp`` may grow; 64 where nothing says it."""
    volumes = {each["name"]: each.get("emptyDir") or {} for each in pod["spec"].get("volumes") or ()}
    for mount in container.get("volumeMounts", ()):
        size = volumes[mount["name"]].get("sizeLimit")
        if mount["mountPath"] == _TMP and size:
            return max(1, int(parsed(size) / _MIB))
    return _TMP_MIB


def _environment(scope: _Scope, container: Spec) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        for kind, resource in (("secretRef", resources.SECRETS), ("configMapRef", resources.CONFIG_MAPS)):
            if kind in source:
                held = scope.data(resource, source[kind], "CreateContainerConfigError")
                found |= {f"{source.get('prefix', '')}{name}": value.decode() for name, value in held.items()}
    for variable in container.get("env", ()):
        if "valueFrom" in variable:
            value = _referred(scope, container, variable["valueFrom"])
        else:
            value = _VARIABLE.sub(lambda match: found.get(match[1], match[0]), variable.get("value", ""))
        if value is not None:
            found[variable["name"]] = value
    return found


def _referred(scope: _Scope, container: Spec, source: Spec) -> str | None:
    for kind, resource in (("secretKeyRef", resources.SECRETS), ("configMapKeyRef", resources.CONFIG_MAPS)):
        reference = source.get(kind)
        if reference is None:
            continue
        held = scope.data(resource, reference, "CreateContainerConfigError")
        if reference["key"] in held:
            return held[reference["key"]].decode()
        if reference.get("optional"):
            return None
        namespace = scope.pod["metadata"]["namespace"]
        where = f"{resource.kind} {namespace}/{reference['name']}"
        raise NotYet("CreateContainerConfigError", f"couldn't find key {reference['key']} in {where}")
    if "fieldRef" in source:
        return _field(scope, source["fieldRef"]["fieldPath"])
    wanted = source["resourceFieldRef"]["resource"]
    kind, _, name = wanted.partition(".")
    amount = ((container.get("resources") or {}).get(kind) or {}).get(name, "0")
    whole = parsed(amount) / parsed(source["resourceFieldRef"].get("divisor") or "1")
    return str(int(-(-whole // 1)))


def _field(scope: _Scope, path: str) -> str:
    metadata, spec = scope.pod["metadata"], scope.pod["spec"]
    known = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": scope.address,
        "status.hostIP": "127.0.0.1",
    }
    if path in known:
        return str(known[path])
    match = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if match is None:
        raise NotYet("CreateContainerConfigError", f"the field {path} is not rehearsed")
    return str((metadata.get(match[1]) or {}).get(match[2], ""))


def _files(scope: _Scope, container: Spec) -> Iterator[tuple[str, bytes]]:
    volumes = {each["name"]: each for each in scope.pod["spec"].get("volumes") or ()}
    for mount in container.get("volumeMounts", ()):
        held = _volume(scope, volumes[mount["name"]])
        sub = mount.get("subPath")
        for name, content in held.items():
            if sub is None:
                yield str(PurePosixPath(mount["mountPath"], name)), content
            elif name == sub:
                yield mount["mountPath"], content


def _volume(scope: _Scope, volume: Spec) -> Mapping[str, bytes]:
    prefix = f'MountVolume.SetUp failed for volume "{volume["name"]}" : '
    for kind, resource in (("secret", resources.SECRETS), ("configMap", resources.CONFIG_MAPS)):
        if kind in volume:
            return _chosen(scope.data(resource, volume[kind], "FailedMount", prefix=prefix), volume[kind], prefix)
    if "projected" in volume:
        held: dict[str, bytes] = {}
        for source in volume["projected"].get("sources") or ():
            for kind, resource in (("secret", resources.SECRETS), ("configMap", resources.CONFIG_MAPS)):
                if kind in source:
                    data = scope.data(resource, source[kind], "FailedMount", prefix=prefix)
                    held |= _chosen(data, source[kind], prefix)
        return held
    if not any(kind in volume for kind in _EMPTY):
        raise NotYet("FailedMount", f"{prefix}volumes of this kind are not rehearsed")
    return {}


def _chosen(held: Mapping[str, bytes], source: Spec, prefix: str) -> Mapping[str, bytes]:
    items = source.get("items")
    if not items:
        return held
    found = {}
    for item in items:
        if item["key"] not in held:
            raise NotYet("FailedMount", f"{prefix}references non-existent secret key: {item['key']}")
        found[item["path"]] = held[item["key"]]
    return found
