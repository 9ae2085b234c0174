"""What ``--set`` and dray.yaml may say about a container group of Azure Container Instances."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from targets.kit.runtime_settings import RuntimeSettings
from targets.kit.setting_types import EnvironmentName, Reference, Several, Text, check_environment

ResourceId = Annotated[str, StringConstraints(pattern=r"^/subscriptions/[^/]+/resource[gG]roups/[^/]+/providers/.+$")]
TagName = Annotated[str, StringConstraints(pattern=r"^[^<>%&\\?/]{1,512}$")]
TagValue = Annotated[Text, StringConstraints(max_length=256)]
Zone = Annotated[Text, StringConstraints(pattern=r"^[1-9]$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gpu(_Part):
    """GPUs of the container."""

    count: Literal[1, 2, 4] = 1
    sku: Literal["K80", "P100", "V100"] = "V100"


class LogAnalytics(_Part):
    """Where logs and events go: a workspace, and its key by reference."""

    workspace: str = Field(pattern=r"^[0-9a-fA-F-]{36}$", description="id of the workspace")
    key: Reference
    kind: Literal["ContainerInsights", "ContainerInstanceLogs"] = "ContainerInsights"


class AciSettings(RuntimeSettings):
    """Settings of the target ``aci``; secrets are references, read when a body is sent: ``env:NAME`` or ``file:PATH``.

    Attributes:
        dns_label: First part of the public name; one of the deployment's own where left out.
        identity: ``system``, and resource ids of managed identities.
        registry_identity: Resource id of a managed identity that may pull the image.
        update: Whether an update restarts the group in place, or puts a new one beside it and takes the old one away.
        drain_s: How long a replaced group goes on serving beside the new one.
        startup_s: How long after its start the container's liveness is first asked for; from the measured start where
            left out.
    """

    resource_group: str | None = Field(None, pattern=r"^[\w().-]{1,90}$", description="resource group, which exists")
    subscription: str | None = Field(None, pattern=r"^[0-9a-zA-Z-]{1,36}$", description="id of the subscription")
    region: str | None = Field(None, pattern=r"^[A-Za-z0-9 ]+$", description="that of the resource group if left out")
    cpu: float = Field(1.0, gt=0, le=64, description="cores")
    memory_gb: float = Field(1.5, gt=0, le=512, description="memory")
    gpu: Gpu | None = None
    port: int = Field(8080, ge=1, le=65535, description="port, the same inside and outside")
    ip: Literal["public", "private"] = "public"
    dns_label: str | None = Field(None, pattern=r"^[a-z][a-z0-9-]{3,61}[a-z0-9]$")
    dns_reuse: Literal["Unsecure", "TenantReuse", "SubscriptionReuse", "ResourceGroupReuse", "Noreuse"] | None = Field(
        None, description="who may take the label over when it is free"
    )
    subnet_ids: Annotated[tuple[ResourceId, ...], Several] = ()
    identity: Annotated[tuple[Literal["system"] | ResourceId, ...], Several] = ()
    registry_identity: ResourceId | None = None
    registry_username: Reference | None = None
    registry_password: Reference | None = None
    env: Mapping[EnvironmentName, Text] = {}
    secure_env: Mapping[EnvironmentName, Reference] = {}
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    log_analytics: LogAnalytics | None = None
    tags: Mapping[TagName, TagValue] = {}
    zones: Annotated[tuple[Zone, ...], Several, Field(max_length=1)] = ()
    priority: Literal["Regular", "Spot"] | None = None
    api_keys: Reference | None = None
    tls_cert: Reference | None = None
    tls_key: Reference | None = None
    update: Literal["in-place", "replace"] = "in-place"
    drain_s: float = Field(0.0, ge=0, le=3600, description="time that a replaced group goes on serving")
    startup_s: float | None = Field(None, gt=0, le=3600, description="time until liveness is first asked for")

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if (self.registry_username is None) != (self.registry_password is None):
            raise ValueError("registry_username and registry_password go together")
        if self.registry_identity and self.registry_username:
            raise ValueError("registry_identity and registry_username exclude each other")
        if (self.ip == "private") != bool(self.subnet_ids):
            raise ValueError(
                "ip=private and subnet_ids go together: a group has a public address or stands in a subnet"
            )
        if self.ip == "private" and (self.dns_label or self.dns_reuse):
            raise ValueError("dns_label and dns_reuse are for ip=public")
        check_environment(self.env, self.secure_env, "secure_env")
        if any(name.startswith("dray-") for name in self.tags):
            raise ValueError("tags that begin with dray- are dray's own")
        return self

    @property
    def scheme(self) -> Literal["http", "https"]:
        """Of the endpoint."""
        return "https" if self.tls_cert else "http"

    def references(self) -> dict[str, str]:
        """Every secret's reference, by the setting that has it."""
        single = {
            "api_keys": self.api_keys,
            "tls_cert": self.tls_cert,
            "tls_key": self.tls_key,
            "registry_username": self.registry_username,
            "registry_password": self.registry_password,
            "log_analytics.key": self.log_analytics.key if self.log_analytics else None,
        }
        secure = {f"secure_env.{name}": reference for name, reference in self.secure_env.items()}
        return {name: reference for name, reference in {**single, **secure}.items() if reference}
