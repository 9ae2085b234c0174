"""What Azure finds wrong in a body whose shape is right, and what cannot be changed in place."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator

from targets.rehearsal.arm.bodies import ContainerGroup
from targets.rehearsal.arm.container_bodies import (
    Container,
    ContainerProbe,
    InitContainer,
    ResourceLimits,
    ResourceRequests,
)
from targets.rehearsal.arm.errors import ArmError, label_invalid, no_capacity, not_in_a_rehearsal, update_refused
from targets.rehearsal.arm.regions import MAX_CONTAINERS, MAX_CPU, MAX_GPUS, MAX_MEMORY_GB, MAX_PORTS

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = re.compile(r"[a-z][-a-z0-9]{3,61}[a-z0-9]")
# Source: "Use tags to organize your Azure resources" on Microsoft Learn.
MAX_TAGS, MAX_TAG_NAME, MAX_TAG_VALUE = 50, 512, 256


def judge(name: str, region: str, body: ContainerGroup) -> None:
    """Raises ArmError: the first thing that Azure would refuse."""
    if not _NAME.fullmatch(name.lower()):
        raise _invalid("InvalidContainerGroupName", f"The container group name '{name}' is invalid. {_NAME_RULE}")
    judge_tags(body.tags)
    _rehearsable(body)
    _containers(name, body)
    _resources(name, region, body)
    _ports(name, body)
    _label(name, body)
    _volumes(name, body)


def judge_tags(tags: dict[str, str] | None) -> None:
    """Raises ArmError: too many, or too long."""
    if len(tags or {}) > MAX_TAGS:
        raise _invalid("TagCountExceeded", f"The resource has {len(tags or {})} tags. The maximum is {MAX_TAGS}.")
    for key, value in (tags or {}).items():
        if not key or len(key) > MAX_TAG_NAME or any(each in "<>%&\\?/" for each in key):
            message = f"The tag name '{key[:60]}' is invalid: 1 to {MAX_TAG_NAME} characters, none of <>%&\\?/."
            raise _invalid("InvalidTagNameCharacters", message)
        if len(value) > MAX_TAG_VALUE:
            message = f"The value of the tag '{key[:60]}' has {len(value)} characters. The maximum is {MAX_TAG_VALUE}."
            raise _invalid("InvalidTagValueLength", message)


def judge_update(name: str, old: ContainerGroup, new: ContainerGroup) -> None:
    """Raises ArmError: it changes what stays as it was made.

    Source: "Properties that require container delete" on Microsoft Learn, and MicrosoftDocs/azure-docs#65195.
    """
    changes = [
        f"{what} (old {before}, new {after})"
        for (what, before), (_, after) in zip(_fixed(old), _fixed(new), strict=True)
        if before != after
    ]
    if changes:
        raise update_refused(name, ", ".join(changes))


def _fixed(body: ContainerGroup) -> Iterator[tuple[str, str]]:
    properties = body.properties
    yield "OsType", f'"{properties.os_type}"'
    yield "RestartPolicy", f'"{properties.restart_policy or "Always"}"'
    requests = [container.properties.resources.requests for container in properties.containers]
    yield "CPU", f'"{sum(each.cpu for each in requests):g}"'
    yield "Memory", f'"{sum(each.memory_in_gb for each in requests):g}"'
    gpus = [f"{each.gpu.count} {each.gpu.sku}" for each in requests if each.gpu is not None]
    yield "GPU", f'"{", ".join(gpus)}"'
    yield "SubnetIds", f'"{", ".join(each.id for each in properties.subnet_ids or ())}"'
    yield "Sku", f'"{properties.sku or "Standard"}"'
    yield "Priority", f'"{properties.priority or "Regular"}"'
    yield "Zones", f'"{", ".join(body.zones or ())}"'


_NAME_RULE = "It must be 1 to 63 characters of lowercase letters, numbers and hyphens, no hyphen first or last."


def _invalid(code: str, message: str) -> ArmError:
    return ArmError(400, code, message)


def _rehearsable(body: ContainerGroup) -> None:
    properties = body.properties
    if properties.os_type == "Windows":
        raise not_in_a_rehearsal("a Windows container")
    for volume in properties.volumes or ():
        if volume.azure_file is not None or volume.git_repo is not None or volume.empty_dir is not None:
            raise not_in_a_rehearsal(f"the volume {volume.name!r}, which is not a secret one,")
    for container in properties.containers:
        for probe in _probes(container):
            if probe.exec_ is not None:
                raise not_in_a_rehearsal(f"the exec probe of the container {container.name!r}")


def _probes(container: Container) -> Iterator[ContainerProbe]:
    for probe in (container.properties.liveness_probe, container.properties.readiness_probe):
        if probe is not None:
            yield probe


def _containers(group: str, body: ContainerGroup) -> None:
    containers: list[Container | InitContainer] = [
        *body.properties.containers,
        *(body.properties.init_containers or ()),
    ]
    if not body.properties.containers or len(containers) > MAX_CONTAINERS:
        message = f"The container group '{group}' must have 1 to {MAX_CONTAINERS} containers."
        raise _invalid("InvalidContainerCount", message)
    for container in containers:
        where = f"container '{container.name}' in container group '{group}'"
        if not _NAME.fullmatch(container.name):
            raise _invalid("InvalidContainerName", f"The name of {where} is invalid. {_NAME_RULE}")
        if not container.properties.image:
            raise _invalid("MissingImage", f"The image of {where} is missing.")
        for variable in container.properties.environment_variables or ():
            if not _VARIABLE.fullmatch(variable.name):
                message = (
                    f"The environment variable name '{variable.name}' of {where} is invalid. It must start with an "
                    "alphabetic character or '_', followed by a string of alphanumeric characters or '_' "
                    "(e.g. 'my_name',  or 'MY_NAME',  or 'MyName')."
                )
                raise _invalid("InvalidEnvironmentVariableName", message)
            if variable.value is not None and variable.secure_value is not None:
                message = f"The environment variable '{variable.name}' of {where} has both a value and a secure value."
                raise _invalid("InvalidEnvironmentVariable", message)
    _unique(
        (each.name for each in containers), f"container name in container group '{group}'", "DuplicateContainerName"
    )
    for container in body.properties.containers:
        for probe in _probes(container):
            if probe.http_get is None:
                message = f"A probe of container '{container.name}' in container group '{group}' has no action."
                raise _invalid("InvalidProbe", message)


def _resources(group: str, region: str, body: ContainerGroup) -> None:
    requests = [container.properties.resources.requests for container in body.properties.containers]
    for container in body.properties.containers:
        wanted, limits = container.properties.resources.requests, container.properties.resources.limits
        where = f"container '{container.name}' in container group '{group}'"
        if wanted.cpu <= 0 or wanted.memory_in_gb <= 0:
            raise _invalid("InvalidResourceRequest", f"The CPU and memory requests of {where} must be greater than 0.")
        if limits is not None and _below(limits, wanted):
            raise _invalid("InvalidResourceLimit", f"The resource limits of {where} are below its requests.")
        if wanted.gpu is not None and wanted.gpu.count not in (1, 2, MAX_GPUS):
            raise _invalid("InvalidGpuCount", f"The GPU count of {where} must be 1, 2 or {MAX_GPUS}.")
    cpu, memory = sum(each.cpu for each in requests), sum(each.memory_in_gb for each in requests)
    if cpu > MAX_CPU or memory > MAX_MEMORY_GB:
        raise no_capacity(region, cpu=cpu, memory=memory, system=body.properties.os_type)


def _below(limits: ResourceLimits, wanted: ResourceRequests) -> bool:
    cpu, memory = limits.cpu, limits.memory_in_gb
    return (cpu is not None and cpu < wanted.cpu) or (memory is not None and memory < wanted.memory_in_gb)


def _ports(group: str, body: ContainerGroup) -> None:
    inside = [port.port for container in body.properties.containers for port in container.properties.ports or ()]
    address = body.properties.ip_address
    outside = [port.port for port in address.ports] if address is not None else []
    for port in (*inside, *outside):
        if not 1 <= port <= 65535:
            raise _invalid("InvalidPort", f"The port '{port}' in container group '{group}' must be from 1 to 65535.")
    _unique(map(str, inside), f"container port in container group '{group}'", "DuplicateContainerPorts")
    _unique(map(str, outside), f"port of the IP address in container group '{group}'", "DuplicatePorts")
    if address is None:
        return
    if not outside:
        message = f"The ports in the 'ipAddress' of container group '{group}' cannot be empty."
        raise _invalid("MissingIpAddressPorts", message)
    if len(outside) > MAX_PORTS:
        message = f"The 'ipAddress' of container group '{group}' has {len(outside)} ports. The maximum is {MAX_PORTS}."
        raise _invalid("TooManyPorts", message)
    strange = next((port for port in outside if port not in inside), None)
    if strange is not None:
        message = f"The port '{strange}' of the IP address in container group '{group}' is exposed by no container."
        raise _invalid("PortNotExposed", message)


def _label(group: str, body: ContainerGroup) -> None:
    address = body.properties.ip_address
    if address is None or address.dns_name_label is None:
        return
    if not _LABEL.fullmatch(address.dns_name_label):
        raise label_invalid(address.dns_name_label, group)
    if address.type == "Private":
        message = f"The DNS name label in container group '{group}' cannot be set for a private IP address."
        raise _invalid("DnsNameLabelNotSupported", message)


def _volumes(group: str, body: ContainerGroup) -> None:
    volumes = body.properties.volumes or []
    _unique((each.name for each in volumes), f"volume name in container group '{group}'", "DuplicateVolumeName")
    for volume in volumes:
        for key, value in (volume.secret or {}).items():
            try:
                base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                message = (
                    f"The secret '{key}' of the volume '{volume.name}' in container group '{group}' is not base64."
                )
                raise _invalid("InvalidSecretVolume", message) from None
    names = {volume.name for volume in volumes}
    for container in (*body.properties.containers, *(body.properties.init_containers or ())):
        for mount in container.properties.volume_mounts or ():
            if mount.name not in names:
                message = f"The volume '{mount.name}' that container '{container.name}' mounts is not found."
                raise _invalid("VolumeNotFound", message)
            if ":" in mount.mount_path or not mount.mount_path.strip("/"):
                message = f"The mount path '{mount.mount_path}' of container '{container.name}' is invalid."
                raise _invalid("InvalidMountPath", message)


def _unique(values: Iterable[str], what: str, code: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise _invalid(code, f"The {what} '{value}' is there more than once.")
        seen.add(value)
