"""Containers as requests hold them, API version 2023-05-01."""

from typing import Literal

from pydantic import Field

from targets.rehearsal.arm.shape import Body, Number, Whole


class GpuResource(Body):
    """GPUs."""

    count: Whole
    sku: Literal["K80", "P100", "V100"]


class ResourceRequests(Body):
    """What a container gets."""

    cpu: Number
    memory_in_gb: Number = Field(alias="memoryInGB")
    gpu: GpuResource | None = None


class ResourceLimits(Body):
    """What a container may take of what others leave."""

    cpu: Number | None = None
    memory_in_gb: Number | None = Field(default=None, alias="memoryInGB")
    gpu: GpuResource | None = None


class ResourceRequirements(Body):
    """Of one container."""

    requests: ResourceRequests
    limits: ResourceLimits | None = None


class EnvironmentVariable(Body):
    """Shown or, as secureValue, never shown again."""

    name: str
    value: str | None = None
    secure_value: str | None = Field(default=None, repr=False)


class ContainerPort(Body):
    """That a container listens on."""

    port: Whole
    protocol: Literal["TCP", "UDP"] | None = None


class HttpHeader(Body):
    """Of a probe's request."""

    name: str | None = None
    value: str | None = None


class ContainerHttpGet(Body):
    """A probe's request."""

    port: Whole
    path: str | None = None
    scheme: Literal["http", "https"] | None = None
    http_headers: list[HttpHeader] | None = None


class ContainerExec(Body):
    """A probe's command."""

    command: list[str] | None = None


class ContainerProbe(Body):
    """How it is found out whether a container lives, or is ready."""

    exec_: ContainerExec | None = Field(default=None, alias="exec")
    http_get: ContainerHttpGet | None = None
    initial_delay_seconds: Whole | None = None
    period_seconds: Whole | None = None
    failure_threshold: Whole | None = None
    success_threshold: Whole | None = None
    timeout_seconds: Whole | None = None


class VolumeMount(Body):
    """Where a volume lies in a container."""

    name: str
    mount_path: str
    read_only: bool | None = None


class SecurityContextCapabilities(Body):
    """Linux capabilities."""

    add: list[str] | None = None
    drop: list[str] | None = None


class SecurityContext(Body):
    """What a container's processes may."""

    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    capabilities: SecurityContextCapabilities | None = None
    run_as_group: Whole | None = None
    run_as_user: Whole | None = None
    seccomp_profile: str | None = None


class ContainerProperties(Body):
    """A container, without its name."""

    image: str
    resources: ResourceRequirements
    command: list[str] | None = None
    ports: list[ContainerPort] | None = None
    environment_variables: list[EnvironmentVariable] | None = None
    volume_mounts: list[VolumeMount] | None = None
    liveness_probe: ContainerProbe | None = None
    readiness_probe: ContainerProbe | None = None
    security_context: SecurityContext | None = None


class Container(Body):
    """A container of the group."""

    name: str
    properties: ContainerProperties


class InitContainerProperties(Body):
    """A container that runs to its end before the others start, without its name."""

    image: str | None = None
    command: list[str] | None = None
    environment_variables: list[EnvironmentVariable] | None = None
    volume_mounts: list[VolumeMount] | None = None
    security_context: SecurityContext | None = None


class InitContainer(Body):
    """A container that runs to its end before the others start."""

    name: str
    properties: InitContainerProperties
