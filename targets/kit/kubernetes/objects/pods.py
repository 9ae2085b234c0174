"""The pods of a release: what runs, with what, and what it may do; under the restricted Pod Security Standard."""

import math
from typing import Any, Final

from packager.core.image import ImageRef
from targets.kit.kubernetes.objects.identity import KEYS, pull_secret_name, secret_entries
from targets.kit.kubernetes.objects.wanted import (
    CONTAINER,
    PORT,
    PORT_NAME,
    USER,
    Object,
    Wanted,
    cores,
    labels,
    mebibytes,
)
from targets.kit.kubernetes.record import NAME, PACKAGE

SECRETS: Final = "/run/secrets/dray"
_TMP, _FILES = "tmp", "secrets"
# Where nothing was measured.
_MEMORY_MIB, _MILLICORES = 512, 250
_LEAST_MEMORY_MIB, _LEAST_MILLICORES = 256, 100
_CORE: Final = 1000
# Room above what was measured: traffic is not what was measured with.
_MORE_MEMORY: Final = 2.0
_STEP_MIB: Final = 64
# A pod starts slower than it was measured to on a machine that did nothing else.
_SLOWER: Final = 5.0
_SHORTEST_START_S: Final = 30
# A pod that ends still gets requests until every node knows. Source: kubernetes.io, "Pod termination".
LINGER_S: Final = 5
_AFTER_S: Final = 5


def pod_template(wanted: Wanted) -> Object:
    """The template of a Deployment's pods."""
    identity = {"azure.workload.identity/use": "true"} if wanted.settings.workload_identity else {}
    return {
        "metadata": {
            "labels": {**labels(wanted), **wanted.selector, **identity},
            "annotations": {NAME: wanted.name, PACKAGE: wanted.served.package},
        },
        "spec": {
            **pod_spec(wanted),
            "serviceAccountName": wanted.label,
            "topologySpreadConstraints": [
                _spread(wanted, "kubernetes.io/hostname"),
                _spread(wanted, "topology.kubernetes.io/zone"),
            ],
        },
    }


def pod_spec(wanted: Wanted) -> Object:
    """What pods are, whatever makes them."""
    settings = wanted.settings
    pull = pull_secret_name(wanted)
    tolerations = [each.model_dump(exclude_none=True) for each in settings.tolerations]
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container(wanted)],
        **({"imagePullSecrets": [{"name": pull}]} if pull else {}),
        "nodeSelector": {
            "kubernetes.io/arch": settings.architecture,
            "kubernetes.io/os": "linux",
            **settings.node_selector,
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            **({"supplementalGroups": list(settings.groups)} if settings.groups else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"tolerations": tolerations} if tolerations else {}),
        "terminationGracePeriodSeconds": LINGER_S + math.ceil(settings.drain_timeout_s) + _AFTER_S,
        "volumes": _volumes(wanted),
    }


def container(wanted: Wanted) -> Object:
    """The runtime."""
    mounts = [{"name": _TMP, "mountPath": "/tmp"}]  # noqa: S108 - its own
    if wanted.settings.api_keys:
        mounts.append({"name": _FILES, "mountPath": SECRETS, "readOnly": True})  # type: ignore[dict-item]
    return {
        "name": CONTAINER,
        "image": exact(ImageRef.parse(wanted.served.image)),
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": PORT_NAME, "containerPort": PORT, "protocol": "TCP"}],
        "env": _environment(wanted),
        "resources": _resources(wanted),
        "startupProbe": _probe("/livez", period_s=1, failures=startup_s(wanted)),
        "livenessProbe": _probe("/livez", period_s=10, failures=3),
        "readinessProbe": _probe("/readyz", period_s=2, failures=3),
        "lifecycle": {"preStop": {"sleep": {"seconds": LINGER_S}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": mounts,
    }


def exact(image: ImageRef) -> str:
    """The image by its digest alone where it has one: no tag that moves can lead elsewhere."""
    full = image.full
    return str(ImageRef(full.registry, full.repository, None, full.digest) if full.digest else full)


def startup_s(wanted: Wanted) -> int:
    """How long a pod may take until it answers, from what its start was measured to take."""
    if wanted.settings.startup_s is not None:
        return math.ceil(wanted.settings.startup_s)
    hint = wanted.served.hint
    return max(_SHORTEST_START_S, math.ceil(_SLOWER * hint.startup_s) if hint else 0)


def memory_mib(wanted: Wanted) -> int:
    """Request and limit: what a pod is not promised, it should not use."""
    if wanted.settings.memory_mib is not None:
        return wanted.settings.memory_mib
    hint = wanted.served.hint
    measured = _MORE_MEMORY * hint.memory_mib if hint else _MEMORY_MIB
    return max(_LEAST_MEMORY_MIB, _STEP_MIB * math.ceil(measured / _STEP_MIB))


def _resources(wanted: Wanted) -> Object:
    settings, hint = wanted.settings, wanted.served.hint
    measured = max(_LEAST_MILLICORES, hint.cpu_millicores) if hint else _MILLICORES
    limit = settings.cpu_limit_millicores
    request = settings.cpu_millicores or min(measured, limit or measured)
    most = limit or _CORE * math.ceil(request / _CORE)
    memory = mebibytes(memory_mib(wanted))
    gpus = {"nvidia.com/gpu": str(settings.gpu)} if settings.gpu else {}
    cards = {**gpus, **{name: str(count) for name, count in settings.resources.items()}}
    return {
        "requests": {"cpu": cores(request), "memory": memory, **cards},
        "limits": {"cpu": cores(most), "memory": memory, **cards},
    }


def _environment(wanted: Wanted) -> list[Object]:
    settings = wanted.settings
    keys = {"DRAY_API_KEYS_FILE": f"{SECRETS}/{KEYS}"} if settings.api_keys else {}
    plain = {**settings.environment(), **keys, **settings.env}
    given: dict[str, Any] = {name: {"name": name, "value": value} for name, value in plain.items()}
    for name in settings.secret_env:
        reference = {"secretKeyRef": {"name": wanted.workload, "key": name}}
        given[name] = {"name": name, "valueFrom": reference}
    return [given[name] for name in sorted(given)]


def _volumes(wanted: Wanted) -> list[Object]:
    tmp = {"name": _TMP, "emptyDir": {"sizeLimit": mebibytes(wanted.settings.tmp_mib)}}
    if KEYS not in secret_entries(wanted):
        return [tmp]
    # Owner and group alone may read it: the group is the pod's.
    files = {"secretName": wanted.workload, "defaultMode": 0o440, "items": [{"key": KEYS, "path": KEYS}]}
    return [tmp, {"name": _FILES, "secret": files}]


def _probe(path: str, *, period_s: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": PORT_NAME, "scheme": "HTTP"},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
        "successThreshold": 1,
    }


def _spread(wanted: Wanted, key: str) -> Object:
    """Over nodes and zones, as well as it goes: a cluster of one node still gets its pods."""
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": wanted.selector},
    }
