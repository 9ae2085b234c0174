"""Settings that all modes of the target ``fpga`` have in common: a mode, and what runs on the host."""

from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from packager.core.deployment import TargetSettings
from targets.aks import AksSettings
from targets.docker import DockerSettings
from targets.local import LocalSettings

NAME: Final = "fpga"
# How the targets of the hosts know what was deployed through them.
MADE_FOR: Final = "fpga"
Mode = Literal["rtl", "ep"]
On = Literal["docker", "kubernetes", "local"]
# Where nobody says it: a card is given to a container, a circuit is simulated by a process here.
_USUAL: Final[Mapping[Mode, On]] = {"ep": "docker", "rtl": "local"}


class HostedSettings(TargetSettings):
    """Settings of every mode.

    Attributes:
        mode: ``rtl`` makes a circuit of the model, ``ep`` runs it on an accelerator card.
        host: What runs on it: a Docker engine, Kubernetes, or a process of this machine.
        docker, kubernetes, local: Further settings of the host's own target.
    """

    mode: Mode | None = Field(None, description="rtl: a circuit; ep: an accelerator card")
    host: On | None = Field(None, description="what runs on the host; docker for ep, local for rtl where left out")
    docker: DockerSettings = DockerSettings()
    kubernetes: AksSettings = AksSettings()
    local: LocalSettings = LocalSettings()

    @property
    def where(self) -> On:
        """What runs on the host."""
        return self.host or (_USUAL[self.mode] if self.mode else "docker")

    @model_validator(mode="after")
    def _one_host(self) -> Self:
        for name, host in (("docker", self.docker), ("kubernetes", self.kubernetes), ("local", self.local)):
            if name != self.where and host.model_fields_set:
                raise ValueError(f"{name}.{min(host.model_fields_set)} is set, and host={self.where}")
            if "made_for" in host.model_fields_set:
                raise ValueError(f"{name}.made_for is set by the target itself")
        return self
