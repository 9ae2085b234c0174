"""The container group as it is asked for: the SDK's model and its JSON, pure functions of what is wanted.

Source: Microsoft.ContainerInstance/containerGroups, API version 2023-05-01.
"""

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from packager.core.artifact import ModelPackage
from packager.core.image import DEFAULT_REGISTRY, ImageRef
from targets.aci.settings import AciSettings
from targets.kit.referenced_values import PULL, PULL_USER

if TYPE_CHECKING:
    from azure.mgmt.containerinstance import models as sdk

CONTAINER: Final = "runtime"
SECRETS: Final = "/run/secrets/dray"
_VOLUME: Final = "dray-secrets"
_HUB: Final = "index.docker.io"
# A container starts slower than it was measured to on a machine that did nothing else.
_SLOWER: Final = 5.0
_SHORTEST_START_S: Final = 30

Resolve = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A group that shall be.

    Attributes:
        label: DNS label; None for a private address.
        liveness_s: How long after its start the container is first asked whether it lives.
        tags: Those that say what it is, and the user's.
        pull: Whether the credentials of this machine for the image's registry are sent along.
    """

    image: ImageRef
    settings: AciSettings
    region: str
    label: str | None
    liveness_s: int
    tags: Mapping[str, str]
    pull: bool = False


def container_group(wanted: Wanted, secret: Resolve, file: Resolve | None = None) -> "sdk.ContainerGroup":
    """The model that is sent.

    Args:
        secret: The value behind a reference.
        file: What a file of a secret volume holds, base64, behind a reference; of ``secret`` where left out.
    """
    from azure.mgmt.containerinstance import models as sdk  # kept out of start-up

    settings = wanted.settings
    files = secret_files(settings)
    packed = file or (lambda reference: base64.b64encode(secret(reference).encode()).decode())
    volumes = [sdk.Volume(name=_VOLUME, secret={name: packed(ref) for name, ref in files.items()})] if files else None
    return sdk.ContainerGroup(
        location=wanted.region,
        tags=dict(wanted.tags),
        zones=list(settings.zones) or None,
        identity=_identity(settings),
        containers=[_container(wanted, secret)],
        image_registry_credentials=_pull_credentials(wanted, secret),
        restart_policy=settings.restart_policy,
        ip_address=_address(wanted),
        os_type="Linux",
        volumes=volumes,
        diagnostics=_diagnostics(settings, secret),
        subnet_ids=[sdk.ContainerGroupSubnetId(id=each) for each in settings.subnet_ids] or None,
        priority=settings.priority,
    )


def as_planned(wanted: Wanted) -> dict[str, Any]:
    """The JSON that is sent, with references in the places of secrets."""
    return dict(container_group(wanted, str, str).serialize())


def secret_files(settings: AciSettings) -> dict[str, str]:
    """References by the name of the file that holds the secret."""
    files = {"api-keys": settings.api_keys, "tls-cert": settings.tls_cert, "tls-key": settings.tls_key}
    return {name: reference for name, reference in files.items() if reference}


def registry_server(image: ImageRef) -> str:
    """The registry as Azure's body names it."""
    return _HUB if image.host == DEFAULT_REGISTRY else image.host


def exact(image: ImageRef) -> str:
    """The image by its digest alone where it has one: no tag that moves can lead elsewhere."""
    full = image.full
    return str(ImageRef(full.registry, full.repository, None, full.digest) if full.digest else full)


def liveness_delay_s(settings: AciSettings, package: ModelPackage) -> int:
    """When the container is first asked whether it lives: well after the time that its start was measured to take."""
    if settings.startup_s is not None:
        return math.ceil(settings.startup_s)
    hint = package.certificate.resources
    return max(_SHORTEST_START_S, math.ceil(_SLOWER * hint.startup_s) if hint else 0)


def _container(wanted: Wanted, secret: Resolve) -> "sdk.Container":
    from azure.mgmt.containerinstance import models as sdk

    settings = wanted.settings
    gpu = sdk.GpuResource(count=settings.gpu.count, sku=settings.gpu.sku) if settings.gpu else None
    requests = sdk.ResourceRequests(cpu=settings.cpu, memory_in_gb=settings.memory_gb, gpu=gpu)
    mounts = [sdk.VolumeMount(name=_VOLUME, mount_path=SECRETS, read_only=True)] if secret_files(settings) else None
    return sdk.Container(
        name=CONTAINER,
        image=exact(wanted.image),
        resources=sdk.ResourceRequirements(requests=requests),
        ports=[sdk.ContainerPort(port=settings.port, protocol="TCP")],
        environment_variables=_environment(settings, secret),
        volume_mounts=mounts,
        liveness_probe=_probe(settings, "/livez", delay_s=wanted.liveness_s, period_s=10, failures=3),
        readiness_probe=_probe(settings, "/readyz", delay_s=1, period_s=5, failures=3),
    )


def _environment(settings: AciSettings, secret: Resolve) -> "list[sdk.EnvironmentVariable]":
    from azure.mgmt.containerinstance import models as sdk

    files = {"api-keys": "DRAY_API_KEYS_FILE", "tls-cert": "DRAY_TLS_CERT_FILE", "tls-key": "DRAY_TLS_KEY_FILE"}
    own = {variable: f"{SECRETS}/{name}" for name, variable in files.items() if name in secret_files(settings)}
    plain = {**settings.environment(), "DRAY_PORT": str(settings.port), **own, **settings.env}
    variables = [sdk.EnvironmentVariable(name=name, value=value) for name, value in sorted(plain.items())]
    secure = sorted(settings.secure_env.items())
    return [*variables, *(sdk.EnvironmentVariable(name=name, secure_value=secret(ref)) for name, ref in secure)]


def _probe(settings: AciSettings, path: str, *, delay_s: int, period_s: int, failures: int) -> "sdk.ContainerProbe":
    from azure.mgmt.containerinstance import models as sdk

    return sdk.ContainerProbe(
        http_get=sdk.ContainerHttpGet(path=path, port=settings.port, scheme=settings.scheme),
        initial_delay_seconds=delay_s,
        period_seconds=period_s,
        failure_threshold=failures,
        success_threshold=1,
        timeout_seconds=5,
    )


def _address(wanted: Wanted) -> "sdk.IpAddress":
    from azure.mgmt.containerinstance import models as sdk

    settings = wanted.settings
    reuse: Any = (
        settings.dns_reuse
    )  # None leaves it out; the SDK's own default would be sent with private addresses too
    return sdk.IpAddress(
        ports=[sdk.Port(port=settings.port, protocol="TCP")],
        type="Public" if settings.ip == "public" else "Private",
        dns_name_label=wanted.label,
        auto_generated_domain_name_label_scope=reuse,
    )


def _identity(settings: AciSettings) -> "sdk.ContainerGroupIdentity | None":
    from azure.mgmt.containerinstance import models as sdk

    own = "system" in settings.identity
    named = sorted({each for each in (*settings.identity, settings.registry_identity) if each and each != "system"})
    kinds = [kind for kind, wanted in (("SystemAssigned", own), ("UserAssigned", named)) if wanted]
    if not kinds:
        return None
    users = {each: sdk.UserAssignedIdentities() for each in named} or None
    return sdk.ContainerGroupIdentity(type=", ".join(kinds), user_assigned_identities=users)


def _pull_credentials(wanted: Wanted, secret: Resolve) -> "list[sdk.ImageRegistryCredential] | None":
    from azure.mgmt.containerinstance import models as sdk

    settings, server = wanted.settings, registry_server(wanted.image)
    if settings.registry_identity:
        return [sdk.ImageRegistryCredential(server=server, identity=settings.registry_identity)]
    if settings.registry_username and settings.registry_password:
        user, password = settings.registry_username, settings.registry_password
    elif wanted.pull:
        user, password = f"{PULL_USER}:{wanted.image.host}", f"{PULL}:{wanted.image.host}"
    else:
        return None
    return [sdk.ImageRegistryCredential(server=server, username=secret(user), password=secret(password))]


def _diagnostics(settings: AciSettings, secret: Resolve) -> "sdk.ContainerGroupDiagnostics | None":
    from azure.mgmt.containerinstance import models as sdk

    wanted = settings.log_analytics
    if wanted is None:
        return None
    return sdk.ContainerGroupDiagnostics(
        log_analytics=sdk.LogAnalytics(
            workspace_id=wanted.workspace, workspace_key=secret(wanted.key), log_type=wanted.kind
        )
    )
