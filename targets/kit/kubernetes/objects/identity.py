"""Namespace, ServiceAccount and Secrets: where a deployment is, who it is, and what it knows."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Final

from packager.core.image import DEFAULT_REGISTRY, ImageRef
from targets.kit.kubernetes.objects.wanted import DRAY, MANAGED_BY, Object, Wanted, metadata
from targets.kit.referenced_values import PULL, PULL_USER

Resolve = Callable[[str], str]
KEYS: Final = "api-keys"
# The level of the Pod Security Standards that dray's own pods keep. Source: kubernetes.io, "Pod Security Admission".
_LEVEL: Final = "restricted"
_HUB: Final = "https://index.docker.io/v1/"


def namespace(name: str) -> Object:
    """A namespace that dray makes; one that exists keeps its own labels."""
    security = {f"pod-security.kubernetes.io/{mode}": _LEVEL for mode in ("enforce", "audit", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {MANAGED_BY: DRAY, **security}},
    }


def service_account(wanted: Wanted) -> Object:
    """Who the pods are: nobody to the API server, and to Azure the identity that was named, if any."""
    identity = wanted.settings.workload_identity
    annotations = {"azure.workload.identity/client-id": identity} if identity else {}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(wanted, wanted.label, annotations),
        "automountServiceAccountToken": False,
    }


def secret_entries(wanted: Wanted) -> dict[str, str]:
    """References by the key of the Secret that holds their value."""
    keys = {KEYS: wanted.settings.api_keys} if wanted.settings.api_keys else {}
    return {**keys, **wanted.settings.secret_env}


def secret(wanted: Wanted, value: Resolve) -> Object | None:
    """What the runtime needs to know; None where that is nothing.

    Args:
        value: Behind a reference; the reference itself in a plan.
    """
    entries = secret_entries(wanted)
    if not entries:
        return None
    encoded = {key: base64.b64encode(value(reference).encode()).decode() for key, reference in entries.items()}
    return _secret(wanted, wanted.workload, "Opaque", encoded)


def pull_secret_name(wanted: Wanted) -> str | None:
    """The Secret by which nodes pull the image; None where they need none."""
    own = wanted.served.pull or wanted.settings.registry_username
    return f"{wanted.workload}-pull" if own else wanted.settings.pull_secret


def pull_secret(wanted: Wanted, value: Resolve) -> Object | None:
    """The registry's credentials; None where nodes have their own, or the Secret is another's."""
    settings, host = wanted.settings, ImageRef.parse(wanted.served.image).host
    if settings.registry_username and settings.registry_password:
        user, password = value(settings.registry_username), value(settings.registry_password)
    elif wanted.served.pull:
        user, password = value(f"{PULL_USER}:{host}"), value(f"{PULL}:{host}")
    else:
        return None
    server = _HUB if host == DEFAULT_REGISTRY else host
    both = base64.b64encode(f"{user}:{password}".encode()).decode()
    document = json.dumps({"auths": {server: {"auth": both}}}, sort_keys=True)
    encoded = {".dockerconfigjson": base64.b64encode(document.encode()).decode()}
    return _secret(wanted, f"{wanted.workload}-pull", "kubernetes.io/dockerconfigjson", encoded)


def as_planned(made: Object, references: Mapping[str, str]) -> Object:
    """A Secret with references in the places of its values, for people to read; never sent."""
    return {**{key: value for key, value in made.items() if key != "data"}, "stringData": dict(references)}


def _secret(wanted: Wanted, name: str, kind: str, encoded: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(wanted, name),
        "type": kind,
        "data": dict(sorted(encoded.items())),
    }
