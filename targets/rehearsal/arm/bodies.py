"""A container group as requests hold it, API version 2023-05-01: what is not of this shape is refused.

The names and types are those of Microsoft's ARM schema, with cpu and memoryInGB as numbers, as the service has them.
"""

from typing import Annotated, Any, Literal

from pydantic import AliasGenerator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

API_VERSION = "2023-05-01"


class Body(BaseModel):
    """One object of a request: known names only, and no null."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=AliasGenerator(validation_alias=to_camel, serialization_alias=to_camel),
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _no_null(cls, value: object) -> object:
        if isinstance(value, dict):
            for key, each in value.items():
                if each is None:
                    raise ValueError(f"null:{key}")
        return value


def _whole(value: object) -> object:
    """JSON knows one kind of number: 80.0 is the integer 80."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole), Field(ge=-(2**31), lt=2**31)]
Number = Annotated[float, Field(allow_inf_nan=False)]


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


class ImageRegistryCredential(Body):
    """What a registry wants to see."""

    server: str
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    identity: str | None = None
    identity_url: str | None = None


class Port(Body):
    """That the group's address answers on."""

    port: Whole
    protocol: Literal["TCP", "UDP"] | None = None


class IpAddress(Body):
    """How the group is reached."""

    ports: list[Port]
    type: Literal["Public", "Private"]
    ip: str | None = None
    dns_name_label: str | None = None
    auto_generated_domain_name_label_scope: (
        Literal["Unsecure", "TenantReuse", "SubscriptionReuse", "ResourceGroupReuse", "Noreuse"] | None
    ) = None


class AzureFileVolume(Body):
    """A share of a storage account."""

    share_name: str
    storage_account_name: str
    storage_account_key: str | None = Field(default=None, repr=False)
    read_only: bool | None = None


class GitRepoVolume(Body):
    """A clone of a repository."""

    repository: str
    directory: str | None = None
    revision: str | None = None


class Volume(Body):
    """What containers can mount; the values of a secret one are base64."""

    name: str
    azure_file: AzureFileVolume | None = None
    empty_dir: Any = None
    secret: dict[str, str] | None = Field(default=None, repr=False)
    git_repo: GitRepoVolume | None = None


class LogAnalytics(Body):
    """Where logs go besides."""

    workspace_id: str
    workspace_key: str = Field(repr=False)
    log_type: Literal["ContainerInsights", "ContainerInstanceLogs"] | None = None
    metadata: dict[str, str] | None = None
    workspace_resource_id: str | None = None


class ContainerGroupDiagnostics(Body):
    """What is kept of a group's life."""

    log_analytics: LogAnalytics | None = None


class DnsConfiguration(Body):
    """How containers find names."""

    name_servers: list[str]
    search_domains: str | None = None
    options: str | None = None


class EncryptionProperties(Body):
    """A key of the customer's."""

    vault_base_url: str
    key_name: str
    key_version: str
    identity: str | None = None


class ContainerGroupSubnetId(Body):
    """A subnet that the group is in."""

    id: str
    name: str | None = None


class DeploymentExtensionProperties(Body):
    """Of a virtual kubelet's extension."""

    extension_type: str
    version: str
    settings: Any = None
    protected_settings: Any = Field(default=None, repr=False)


class DeploymentExtension(Body):
    """A virtual kubelet's extension."""

    name: str
    properties: DeploymentExtensionProperties | None = None


class ConfidentialComputeProperties(Body):
    """What a confidential group may run."""

    cce_policy: str | None = None


class ContainerGroupProperties(Body):
    """A container group, without what every resource has."""

    containers: list[Container]
    os_type: Literal["Windows", "Linux"]
    init_containers: list[InitContainer] | None = None
    image_registry_credentials: list[ImageRegistryCredential] | None = None
    restart_policy: Literal["Always", "OnFailure", "Never"] | None = None
    ip_address: IpAddress | None = None
    volumes: list[Volume] | None = None
    diagnostics: ContainerGroupDiagnostics | None = None
    subnet_ids: list[ContainerGroupSubnetId] | None = None
    dns_config: DnsConfiguration | None = None
    sku: Literal["Standard", "Dedicated", "Confidential"] | None = None
    encryption_properties: EncryptionProperties | None = None
    extensions: list[DeploymentExtension] | None = None
    confidential_compute_properties: ConfidentialComputeProperties | None = None
    priority: Literal["Regular", "Spot"] | None = None


class ContainerGroupIdentity(Body):
    """Who the group is to other services."""

    type: Literal["SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned", "None"] | None = None
    user_assigned_identities: dict[str, dict[str, Any]] | None = None


class ContainerGroup(Body):
    """A container group, as PUT takes it."""

    properties: ContainerGroupProperties
    location: str | None = None
    tags: dict[str, str] | None = None
    identity: ContainerGroupIdentity | None = None
    zones: list[str] | None = None
    # What a template holds besides; in a request the address says it.
    name: str | None = None
    type: Literal["Microsoft.ContainerInstance/containerGroups"] | None = None
    api_version: Literal["2023-05-01"] | None = None


class GroupUpdate(Body):
    """A container group, as PATCH takes it: the tags of all, the zones of all."""

    location: str | None = None
    tags: dict[str, str] | None = None
    zones: list[str] | None = None


class ResourceGroup(Body):
    """A resource group, as PUT takes it."""

    location: str
    tags: dict[str, str] | None = None
    name: str | None = None
    managed_by: str | None = None
    properties: dict[str, Any] | None = None
