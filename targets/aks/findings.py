"""What would stop a deployment to a cluster, or is worth knowing before it: found without changing anything."""

from packager.core.artifact import Release
from packager.core.deployment import Finding, Findings
from packager.core.errors import DrayError, Forbidden
from targets.aks.settings import AksSettings
from targets.kit.kubernetes.cluster import Cluster
from targets.kit.kubernetes.course import Course
from targets.kit.kubernetes.kinds import words_for
from targets.kit.kubernetes.objects.pods import memory_mib
from targets.kit.referenced_values import looked_up


def early(settings: AksSettings) -> Findings:
    """What the settings alone show."""
    return (*_exposure(settings), *looked_up(settings.references())[1], *_kserve(settings))


def late(chosen: Course, release: Release) -> Findings:
    """What the release and what is there show."""
    return (*_image(release), *_memory(chosen), *_single(chosen), *_way(chosen))


def absent(cluster: Cluster, settings: AksSettings) -> Findings:
    """Objects that the settings name and that are not there yet: another may make them later, as cert-manager does."""
    named = [("Secret", settings.tls_secret, "the route has no certificate")]
    named.append(("Secret", settings.pull_secret, "nodes have no credentials for the registry"))
    if settings.gateway and "/" not in settings.gateway:
        named.append(("Gateway", settings.gateway, "nothing leads to the route"))
    found = []
    for kind, name, without in named:
        if name and _lacks(cluster, kind, name):
            message = f"{words_for(kind, name)} of namespace {cluster.namespace!r} is not there: {without} until it is"
            found.append(Finding("E-NOT-THERE", message, f"make it, or check its name: kubectl get {kind.lower()}s"))
    return tuple(found)


def of_error(error: DrayError) -> Finding:
    """An error that would stop the deployment."""
    return Finding(error.code, error.message, error.hint, blocking=True)


def _lacks(cluster: Cluster, kind: str, name: str) -> bool:
    try:
        return cluster.get(kind, name) is None
    except Forbidden:  # who may not look is told nothing
        return False


def _exposure(settings: AksSettings) -> Findings:
    public = bool(settings.route) or (settings.service == "LoadBalancer" and not settings.internal)
    if not public or (settings.api_keys and settings.tls_secret):
        return ()
    without = [what for what, there in (("no key", settings.api_keys), ("no TLS", settings.tls_secret)) if not there]
    message = f"whoever reaches the cluster's address can reach the model: {' and '.join(without)}"
    hint = (
        "--set api_keys=env:NAME or file:PATH, and route=gateway with tls_secret=NAME; or no route: inside the cluster"
    )
    return (Finding("E-PUBLIC-ENDPOINT", message, hint),)


def _kserve(settings: AksSettings) -> Findings:
    if not settings.kserve:
        return ()
    message = "an InferenceService is written for `dray plan -o yaml`, and not deployed: its rollout is KServe's own"
    return (Finding("E-KSERVE", message, "dray plan … -o yaml | kubectl apply --server-side -f -"),)


def _image(release: Release) -> Findings:
    if release.image is None or release.image.pinned:
        return ()
    message = f"{release.image} is named by its tag: whoever moves that changes what new pods run"
    return (Finding("E-IMAGE-UNPINNED", message, "name it by its digest: image@sha256:…"),)


def _memory(chosen: Course) -> Findings:
    hint, asked = chosen.wanted.served.hint, memory_mib(chosen.wanted)
    if hint is None or asked >= hint.memory_mib:
        return ()
    message = f"memory_mib={asked}, and serving took {hint.memory_mib:.0f} MiB when measured"
    return (Finding("E-MEMORY", message, "raise --set memory_mib=N"),)


def _single(chosen: Course) -> Findings:
    settings = chosen.wanted.settings
    if chosen.way != "create" or settings.kserve or settings.autoscale or (settings.replicas or 1) > 1:
        return ()
    message = "one pod serves: while its node is replaced, nothing does"
    return (Finding("E-ONE-POD", message, "--set replicas=2, or autoscale.min=2"),)


def _way(chosen: Course) -> Findings:
    strategy = chosen.wanted.settings.strategy
    if chosen.way != "in-place" or strategy == "rolling":
        return ()
    message = f"nothing of the pods changes, or an update was cut short, so that this one is rolling and not {strategy}"
    return (Finding("E-STRATEGY", message),)
