"""What ``--set`` and dray.yaml may say about a deployment to Azure IoT Edge."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from targets.kit.runtime_settings import RuntimeSettings

Reference = Annotated[str, StringConstraints(pattern=r"^(env|file):.+$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
RouteName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
LabelKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Label = Annotated[str, StringConstraints(max_length=255)]
MetricName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
HostPath = Annotated[str, StringConstraints(pattern=r"^/[^:]*$")]
Architecture = Literal["amd64", "arm64"]
# Desired properties of the module that may be changed while it runs.
Tunable = Literal["max_batch", "max_delay_us", "min_confidence", "sample_rate"]
# A source of messages: another module's output as MODULE/OUTPUT, or what stands behind FROM, a condition included.
_SHORT: Final = re.compile(r"[A-Za-z0-9_-]{1,128}/[^\s/]{1,128}")
_SOURCE: Final = re.compile(r"/messages(/\S*)?(\s+WHERE\s+\S.*)?", re.IGNORECASE | re.DOTALL)
_ROUTE: Final = re.compile(
    r"\s*FROM\s+/\S+(\s+WHERE\s+.+)?\s+INTO\s+(\$upstream|BrokeredEndpoint\(\s*[\"'].+[\"']\s*\))\s*",
    re.IGNORECASE | re.DOTALL,
)
# The runtime's own, which settings of their own set.
_OURS: Final = "DRAY_"
# What the module takes of each: lowest, highest, and whether it is a whole number.
_TUNED: Final[Mapping[str, tuple[float, float, bool]]] = {
    "max_batch": (1, 65536, True),
    "max_delay_us": (0, 10_000_000, True),
    "min_confidence": (0, 1, False),
    "sample_rate": (0, 1, False),
}
_LEAF_DEVICES: Final = "/messages/* WHERE NOT IS_DEFINED($connectionModuleId)"


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _folder(value: str) -> str:
    return value.rstrip("/") or "/"


class IotEdgeSettings(RuntimeSettings):
    """Settings of the target ``iot-edge``; secrets are references: ``env:NAME`` or ``file:PATH``.

    Attributes:
        device: One device that gets the module; or
        target_condition: Which devices get it, as a layered deployment.
        sample: How many of the devices of a layered deployment are waited for and tested.
        architecture: What images are built for; as the devices report it where left out.
        memory_mib: Limit; no limit where left out.
        volume: Named volume for what must outlive the container; one of the module's own where left out.
        folder: Folder of the device in place of a volume; user 65532 must be able to write there.
        sources: What is routed to the input ``inference``: ``MODULE/OUTPUT``, or what stands behind ``FROM``.
        upstream: Whether what the module puts out goes to the hub.
        routes: More routes, by name, in full.
        http_port: Port of the device at which the runtime's HTTP answers; none where left out.
        twin: Desired properties of the module, which may be changed at the hub while it runs; those that are left out
            stay as they are there.
        api_keys_file: File of the device with the keys that clients must show there.
        send_credentials: Whether this machine's credentials for the image's registry go to the device, in clear.
        hub: Whose key is asked for at Azure's management API, in the place of a connection string.
        edge_agent_image, edge_hub_image: Of a device that has no deployment yet.
    """

    device: str | None = Field(
        None, pattern=r"^[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}$", description="its id at the hub"
    )
    target_condition: str | None = Field(None, min_length=1, max_length=4096)
    priority: int = Field(10, ge=0, le=2_000_000_000, description="of a first layered deployment; each update is above")
    metrics: Mapping[MetricName, str] = Field(default={}, max_length=5, description="queries of a layered deployment")
    labels: Mapping[LabelKey, Label] = Field(default={}, max_length=20, description="of a layered deployment")
    sample: int = Field(3, ge=1, le=100)
    architecture: Annotated[tuple[Architecture, ...] | None, BeforeValidator(_several)] = None
    memory_mib: int | None = Field(None, ge=32, le=16_777_216, description="limit")
    cpus: float | None = Field(None, ge=0.01, le=1024, description="limit; the runtime's threads follow it")
    tmp_mib: int = Field(64, ge=1, le=65536, description="size of /tmp")
    log_mib: int = Field(10, ge=1, le=10_000, description="size of a log file that the device keeps")
    log_files: int = Field(3, ge=1, le=100, description="log files that the device keeps")
    restart_policy: Literal["always", "on-unhealthy", "on-failure", "never"] = "always"
    startup_order: int | None = Field(None, ge=0, le=4_294_967_295, description="modules of lower numbers start first")
    volume: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
    folder: Annotated[HostPath, BeforeValidator(_folder)] | None = None
    mounts: Mapping[HostPath, HostPath] = Field(
        default={}, description="read-only, folder of the device by that inside"
    )
    sources: Annotated[tuple[str, ...], BeforeValidator(_several)] = (_LEAF_DEVICES,)
    upstream: bool = True
    routes: Mapping[RouteName, str] = {}
    http_port: int | None = Field(None, ge=1, le=65535)
    http_host: str = Field("127.0.0.1", pattern=r"^[0-9A-Fa-f.:]{2,45}$", description="address of the device for it")
    api_keys_file: HostPath | None = None
    env: Mapping[EnvironmentName, str] = {}
    twin: Mapping[Tunable, int | float] = Field(default={}, description="desired properties of the module")
    registry_username: Reference | None = None
    registry_password: Reference | None = None
    send_credentials: bool | None = None
    edge_agent_image: str = Field("mcr.microsoft.com/azureiotedge-agent:1.6", pattern=r"^[!-~]+$")
    edge_hub_image: str = Field("mcr.microsoft.com/azureiotedge-hub:1.6", pattern=r"^[!-~]+$")
    hub: str | None = Field(
        None, pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{1,48}[A-Za-z0-9]$", description="its name at Azure"
    )
    resource_group: str | None = Field(None, pattern=r"^[\w().-]{1,90}$", description="of the hub")
    subscription: str | None = Field(None, pattern=r"^[0-9a-zA-Z-]{1,36}$", description="id of the subscription")
    offline: Literal["wait", "refuse"] = Field("wait", description="what to do with a device that is not connected")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.device is not None and self.target_condition is not None:
            raise ValueError("device and target_condition exclude each other: one device, or a layered deployment")
        if self.target_condition is None and (self.metrics or self.labels):
            raise ValueError("metrics and labels are of a layered deployment: target_condition says of which devices")
        return self

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.hub is None) != (self.resource_group is None):
            raise ValueError("hub and resource_group go together")
        if (self.registry_username is None) != (self.registry_password is None):
            raise ValueError("registry_username and registry_password go together")
        if self.registry_username and self.send_credentials:
            raise ValueError("registry_username and send_credentials exclude each other")
        if self.volume and self.folder:
            raise ValueError("volume and folder exclude each other")
        if self.api_keys_file and self.http_port is None:
            raise ValueError("api_keys_file is for http_port: messages carry no keys")
        if self.workers not in (None, 1, "auto"):
            raise ValueError(f"workers: {self.workers} processes cannot be one module of a device; it is one")
        if ours := [name for name in self.env if name.startswith((_OURS, "IOTEDGE_"))]:
            raise ValueError(f"{ours[0]} is the runtime's: it has a setting of its own, or the device sets it")
        return self

    @model_validator(mode="after")
    def _routed(self) -> Self:
        for source in self.sources:
            if not _SHORT.fullmatch(source) and not _SOURCE.fullmatch(source):
                raise ValueError(f"sources: {source!r} is neither MODULE/OUTPUT nor /messages/… [WHERE …]")
        for name, route in self.routes.items():
            if not _ROUTE.fullmatch(route):
                raise ValueError(f'routes.{name}: {route!r} is not FROM … INTO $upstream or BrokeredEndpoint("…")')
        return self

    @model_validator(mode="after")
    def _tuned(self) -> Self:
        for name, value in self.twin.items():
            low, high, whole = _TUNED[name]
            if not low <= value <= high or (whole and value != int(value)):
                kind = "a whole number" if whole else "a number"
                raise ValueError(f"twin.{name}: {value!r} is not {kind} from {low} to {high}")
        return self

    @property
    def layered(self) -> bool:
        """Whether many devices are meant."""
        return self.target_condition is not None

    def references(self) -> dict[str, str]:
        """Every secret's reference, by the setting that has it."""
        both = {"registry_username": self.registry_username, "registry_password": self.registry_password}
        return {name: reference for name, reference in both.items() if reference}
