"""Settings of ``mode: ep``; what is of the host alone stands below the host's own name."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from packager.core.deployment import ProviderAsked
from targets.docker.settings import Mount, Node
from targets.fpga.hosted import HostedSettings
from targets.kit.kubernetes.settings import ResourceName
from targets.kit.providers import ProviderName, refuse_misspelt_option

VITIS_AI: Final = "VitisAIExecutionProvider"
# What the contract sets, and the host's own settings therefore may not.
_OURS: Final = ("provider", "provider_options", "fallback")
# NVIDIA's toolkit gives a container so many.
_COUNTED: Final = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
_SIZE: Final = re.compile(r"(?:standard_)?(np)?([a-z0-9_-]+)", re.IGNORECASE)


def _size(value: object) -> object:
    """As Azure and labels of nodes spell it; Azure takes any case."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    return f"Standard_NP{found[2].lower()}" if found[1] else f"Standard_{found[2]}"


Size = Annotated[str, StringConstraints(pattern=r"^Standard_[A-Za-z0-9_-]+$"), BeforeValidator(_size)]


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

    provider: ProviderName = Field(VITIS_AI, description="execution provider")
    provider_options: Mapping[str, str | int | float | bool] = {}
    fallback: Literal["forbid", "allow"] = Field("forbid", description="whether the CPU may do the card's work")
    quantize: Literal["int8-static", "int8", "none"] | None = Field(None, description="form of the model")
    devices: tuple[Node, ...] | None = None
    mounts: tuple[Mount, ...] = ()
    resource: ResourceName | None = None
    cards: int = Field(1, ge=1, le=64, description="cards of a pod")
    vm_size: Size | None = Field(None, description="Azure's size of the host")
    unchecked: bool = Field(False, description="plan for a host without looking at it")

    @property
    def provider_asked(self) -> ProviderAsked | None:
        """The card's; a circuit has none."""
        return ProviderAsked(self.provider, must=self.fallback == "forbid") if self.mode == "ep" else None

    @model_validator(mode="after")
    def _carded(self) -> Self:
        if self.mode == "rtl":
            return self
        for name, host in (("docker", self.docker), ("kubernetes", self.kubernetes), ("local", self.local)):
            if doubled := sorted(host.model_fields_set & {*_OURS}):
                raise ValueError(f"{name}.{doubled[0]} is the target's own setting: {doubled[0]}")
        refuse_misspelt_option(self.provider, self.provider_options)
        if self.provider == "CPUExecutionProvider":
            raise ValueError("provider is the card's, and CPUExecutionProvider is no card's")
        if self.where != "docker" and (self.devices or self.mounts):
            raise ValueError(f"devices and mounts are of a container of Docker, and host={self.where}")
        counted = self.where == "kubernetes" or (self.where == "docker" and self.provider in _COUNTED)
        if "cards" in self.model_fields_set and not counted:
            raise ValueError(
                "cards is how many Kubernetes or NVIDIA's toolkit give; devices names those of a container"
            )
        if self.where != "kubernetes" and self.resource:
            raise ValueError(f"resource is Kubernetes', and host={self.where}")
        return self
