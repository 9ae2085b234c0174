"""The restricted Pod Security Standard as rules, each with the control that it is of.

Source: kubernetes.io, "Pod Security Standards", of Kubernetes 1.30 and later.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SECCOMP = {"RuntimeDefault", "Localhost"}
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
}  # fmt: skip


def violations(spec: Mapping[str, Any]) -> list[str]:
    """What of a pod's spec the restricted level refuses."""
    return [*_of_pod(spec), *(found for each in _containers(spec) for found in _of_container(spec, each))]


def _containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        yield from spec.get(kind) or ()


def _of_pod(spec: Mapping[str, Any]) -> Iterator[str]:
    for host in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(host):
            yield f"host namespaces: {host}"
    for volume in spec.get("volumes") or ():
        if kinds := set(volume) - {"name"} - _VOLUMES:
            yield f"volume types: {sorted(kinds)}"
    context = spec.get("securityContext") or {}
    if others := {each["name"] for each in context.get("sysctls") or ()} - _SYSCTLS:
        yield f"sysctls: {sorted(others)}"
    if context.get("runAsUser") == 0:
        yield "running as non-root user: pod"


def _of_container(spec: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    name, own = container["name"], container.get("securityContext") or {}
    pod = spec.get("securityContext") or {}
    merged = {**pod, **own}
    if own.get("privileged"):
        yield f"privileged containers: {name}"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"privilege escalation: {name}"
    if merged.get("runAsNonRoot") is not True:
        yield f"running as non-root: {name}"
    if merged.get("runAsUser") == 0:
        yield f"running as non-root user: {name}"
    if (merged.get("seccompProfile") or {}).get("type") not in _SECCOMP:
        yield f"seccomp: {name}"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield f"capabilities, drop: {name}"
    if added := set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield f"capabilities, add: {name} {sorted(added)}"
    if own.get("procMount", "Default") != "Default":
        yield f"proc mount: {name}"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield f"host ports: {name}"
