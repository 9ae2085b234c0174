"""A container group as requests hold it, API version 2023-05-01: what is not of this shape is refused.

The names and types are those of Microsoft's ARM schema, with cpu and memoryInGB as numbers, as the service has them.
"""

from typing import Any, Literal

from pydantic import Field

from targets.rehearsal.arm.container_bodies import Container, InitContainer
from targets.rehearsal.arm.shape import Body, Whole

API_VERSION = "2023-05-01"


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
    empty_dir: dict[str, Any] | None = None
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
    settings: dict[str, Any] | None = None
    protected_settings: dict[str, Any] | None = Field(default=None, repr=False)


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


class UserAssignedIdentity(Body):
    """Its ids are for answers only."""


class ContainerGroupIdentity(Body):
    """Who the group is to other services."""

    type: Literal["SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned", "None"] | None = None
    user_assigned_identities: dict[str, UserAssignedIdentity] | None = None


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
