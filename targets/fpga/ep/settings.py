"""Settings of ``mode: ep``; what is of the host alone stands below the host's own name."""

from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from targets.docker.settings import Mount, Node
from targets.fpga.hosted import HostedSettings
from targets.kit.kubernetes.settings import ResourceName

VITIS_AI: Final = "VitisAIExecutionProvider"
# What the contract sets, and the host's own settings therefore may not.
_OURS: Final = ("provider", "provider_options", "fallback")


class EpSettings(HostedSettings):
    """Settings of ``mode: ep``.

    Attributes:
        provider_options: Under ONNX Runtime's names; Vitis AI has ``config_file``, ``cache_dir``, ``cache_key`` and
            ``xclbin``.
        fallback: ``forbid`` refuses where the CPU would do the card's work, ``allow`` serves and says so everywhere.
        quantize: The form that a model is packaged in where ``--quantize`` says none; Vitis AI's is ``int8-static``.
        devices: Device nodes that a container gets; those that are found where left out.
        mounts: ``HOST:CONTAINER`` that a container may read, such as the firmware of a card.
        resource: Extended resource of Kubernetes that stands for a card; ``cards`` is how many a pod gets.
        vm_size: Azure's size of the host, which selects nodes of Kubernetes.
        unchecked: Take the host as the settings describe it, without a look: for a plan that is made elsewhere.
    """

    provider: str = Field(VITIS_AI, pattern=r"^[A-Za-z0-9]+ExecutionProvider$", description="execution provider")
    provider_options: Mapping[str, str | int | float | bool] = {}
    fallback: Literal["forbid", "allow"] = Field("forbid", description="whether the CPU may do the card's work")
    quantize: Literal["int8-static", "int8", "none"] | None = Field(None, description="form of the model")
    devices: tuple[Node, ...] | None = None
    mounts: tuple[Mount, ...] = ()
    resource: ResourceName | None = None
    cards: int = Field(1, ge=1, le=64, description="cards of a pod")
    vm_size: str | None = Field(None, pattern=r"^Standard_[A-Za-z0-9_-]+$", description="Azure's size of the host")
    unchecked: bool = Field(False, description="plan for a host without looking at it")

    @model_validator(mode="after")
    def _carded(self) -> Self:
        if self.mode == "rtl":
            return self
        for name, host in (("docker", self.docker), ("kubernetes", self.kubernetes), ("local", self.local)):
            if doubled := sorted(host.model_fields_set & {*_OURS}):
                raise ValueError(f"{name}.{doubled[0]} is the target's own setting: {doubled[0]}")
        if self.provider == "CPUExecutionProvider":
            raise ValueError("provider is the card's, and CPUExecutionProvider is no card's")
        if self.where != "docker" and (self.devices or self.mounts):
            raise ValueError(f"devices and mounts are of a container of Docker, and host={self.where}")
        if self.where != "kubernetes" and self.resource:
            raise ValueError(f"resource is Kubernetes', and host={self.where}")
        return self
