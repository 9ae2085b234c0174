"""The Pod Security Standards, as their admission controller words what breaks them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Spec = Mapping[str, Any]

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_WARN: Final = "pod-security.kubernetes.io/warn"
_SECCOMP: Final = ("RuntimeDefault", "Localhost")
_VOLUMES: Final = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
)  # fmt: skip


def enforced(namespace: Mapping[str, Any], spec: Spec) -> str:
    """Why a namespace does not let a pod in; empty where it does."""
    return _words(namespace, spec, _ENFORCE, "violates")


def warned(namespace: Mapping[str, Any], spec: Spec) -> str:
    """What is warned of where a workload's pods will break the standard."""
    return _words(namespace, spec, _WARN, "would violate")


def _words(namespace: Mapping[str, Any], spec: Spec, label: str, verb: str) -> str:
    labels = namespace["metadata"].get("labels") or {}
    level = labels.get(label, "privileged")
    version = labels.get(f"{label}-version", "latest")
    found = list(violations(spec, level))
    return f'{verb} PodSecurity "{level}:{version}": {", ".join(found)}' if found else ""


def violations(spec: Spec, level: str) -> Iterator[str]:
    """What of a pod's specification breaks a level."""
    if level in ("baseline", "restricted"):
        yield from _baseline(spec)
    if level == "restricted":
        yield from _restricted(spec)


def _baseline(spec: Spec) -> Iterator[str]:
    shared = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if shared:
        yield f"host namespaces ({', '.join(shared)})"
    paths = [each["name"] for each in spec.get("volumes") or () if "hostPath" in each]
    if paths:
        yield f"hostPath volumes ({_listed('volume', paths)})"
    privileged = [name for name, context in _contexts(spec) if context.get("privileged")]
    if privileged:
        yield f"privileged ({_listed('container', privileged)} must not set securityContext.privileged=true)"


def _restricted(spec: Spec) -> Iterator[str]:
    pod = spec.get("securityContext") or {}
    contexts = list(_contexts(spec))
    escalating = [name for name, each in contexts if each.get("allowPrivilegeEscalation") is not False]
    if escalating:
        who = _listed("container", escalating)
        yield f"allowPrivilegeEscalation != false ({who} must set securityContext.allowPrivilegeEscalation=false)"
    capable = [name for name, each in contexts if "ALL" not in ((each.get("capabilities") or {}).get("drop") or ())]
    if capable:
        who = _listed("container", capable)
        yield f'unrestricted capabilities ({who} must set securityContext.capabilities.drop=["ALL"])'
    kinds = [each["name"] for each in spec.get("volumes") or () if not set(each) & set(_VOLUMES)]
    if kinds:
        yield f"restricted volume types ({_listed('volume', kinds)} uses restricted volume type)"
    root = [name for name, each in contexts if not each.get("runAsNonRoot", pod.get("runAsNonRoot"))]
    if root:
        who = _listed("container", root)
        yield f"runAsNonRoot != true (pod or {who} must set securityContext.runAsNonRoot=true)"
    zero = [name for name, each in contexts if each.get("runAsUser", pod.get("runAsUser")) == 0]
    if zero:
        yield f"runAsUser=0 ({_listed('container', zero)} must not set runAsUser=0)"
    loose = [
        name
        for name, each in contexts
        if (each.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type") not in _SECCOMP
    ]
    if loose:
        who = _listed("container", loose)
        allowed = '"RuntimeDefault" or "Localhost"'
        yield f"seccompProfile (pod or {who} must set securityContext.seccompProfile.type to {allowed})"


def _contexts(spec: Spec) -> Iterator[tuple[str, Spec]]:
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        yield container["name"], container.get("securityContext") or {}


def _listed(kind: str, names: list[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names)
    return f"{kind} {shown}" if len(names) == 1 else f"{kind}s {shown}"
