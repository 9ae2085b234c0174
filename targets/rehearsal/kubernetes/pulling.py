"""Images, had as a kubelet has them: with the pod's pull secrets, and its own words where that fails."""

import base64
import json
from typing import Final

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.staging import pull_fault
from targets.rehearsal.kubernetes.store import Object
from targets.rehearsal.kubernetes.workloads import contents
from targets.rehearsal.workload import PullCredential, PullRefused

DOCKER_HUB: Final = "index.docker.io"
_CONFIG: Final = ".dockerconfigjson"
_KINDS: Final = {"image-pull": "unreachable", "pull-auth": "denied", "image-missing": "missing"}
_WORDS: Final = {
    "denied": (
        "code = Unknown",
        "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized",
    ),
    "missing": ("code = NotFound", "not found"),
    "unreachable": ("code = Unavailable", "failed to do request: dial tcp: i/o timeout"),
}


class NotPulled(Exception):
    """The image could not be had; its words are the kubelet's."""


def staged_refusal(cluster: Cluster, pod: Object, image: str) -> None:
    """Raises NotPulled: a fault strikes this pull."""
    fault = pull_fault(cluster, pod)
    if fault:
        raise NotPulled(_words(image, _KINDS[fault], ""))


def refused(image: str, refusal: PullRefused) -> NotPulled:
    """A runner's refusal in a kubelet's words."""
    return NotPulled(_words(image, refusal.kind, str(refusal)))


def credential_for(cluster: Cluster, pod: Object, image: str) -> PullCredential | None:
    """Of the image's registry, from the secrets of the pod and of its account."""
    namespace, registry = pod["metadata"]["namespace"], registry_of(image)
    account = cluster.store.get(
        resources.SERVICE_ACCOUNTS, namespace, pod["spec"].get("serviceAccountName") or "default"
    )
    named = [*(pod["spec"].get("imagePullSecrets") or ()), *((account or {}).get("imagePullSecrets") or ())]
    for reference in named:
        secret = cluster.store.get(resources.SECRETS, namespace, reference.get("name", ""))
        found = _credential(secret, registry) if secret is not None else None
        if found is not None:
            return found
    return None


def registry_of(image: str) -> str:
    """The host that an image's name begins with; without one it is Docker Hub's."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else DOCKER_HUB


def _credential(secret: Object, registry: str) -> PullCredential | None:
    try:
        entries = json.loads(contents(secret).get(_CONFIG, b"{}")).get("auths", {})
        entry = next((each for host, each in entries.items() if _host(host) == registry), None)
        if entry is None:
            return None
        both = base64.b64decode(entry.get("auth", "")).decode().partition(":")
    except (ValueError, AttributeError):
        return None
    return PullCredential(registry, entry.get("username", both[0]), entry.get("password", both[2]))


def _host(server: str) -> str:
    return server.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _words(image: str, kind: str, why: str) -> str:
    code, end = _WORDS[kind]
    more = f": {why}" if why else ""
    reference = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}"'
    return f"rpc error: {code} desc = {reference}: {end}{more}"
