"""What every target lets people set of the runtime, whatever it runs in."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from packager.core.deployment import ProviderAsked, TargetSettings
from targets.kit.providers import ProviderName, refuse_misspelt_option


class RuntimeSettings(TargetSettings):
    """Settings of the runtime; one that is left out has the runtime's own default.

    Attributes:
        provider: ONNX Runtime's execution provider for the host's card, such as ``CUDAExecutionProvider``.
        provider_options: As ONNX Runtime names them: ``config_file``, ``cache_dir``, ``device_type``.
        fallback: ``forbid`` refuses to serve where the CPU would compute what the provider should; ``allow`` says so.
        made_for: The target that a deployment was made for, where that uses this one's code; never set by hand.
    """

    threads: int | None = Field(None, ge=1, le=1024, description="threads a request may use; the CPUs where left out")
    workers: Annotated[int, Field(ge=1, le=128)] | Literal["auto"] | None = Field(
        None, description="processes that answer, auto for one for each CPU; one where left out"
    )
    max_body_mib: int | None = Field(None, ge=1, le=65536, description="largest request body")
    request_timeout_s: float | None = Field(None, ge=0.01, le=86400, description="longest time a request may take")
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(None, description="of the runtime")
    provider: ProviderName | None = Field(None, description="execution provider; the CPU where left out")
    provider_options: Mapping[str, str | int | float | bool] = {}
    fallback: Literal["forbid", "allow"] = Field("forbid", description="whether the CPU may do the provider's work")
    made_for: Literal["fpga"] | None = Field(None, description="the target it was made for; never set by hand")

    @model_validator(mode="after")
    def _provided(self) -> Self:
        if self.provider is not None:
            refuse_misspelt_option(self.provider, self.provider_options)
        if self.provider == "CPUExecutionProvider":
            raise ValueError("the CPU's provider needs no name: leave provider out")
        if self.provider is None and (self.provider_options or self.fallback == "allow"):
            raise ValueError("provider_options and fallback belong to a provider: provider=NAMEExecutionProvider")
        return self

    @property
    def provider_asked(self) -> ProviderAsked | None:
        """The card's."""
        return ProviderAsked(self.provider, must=self.fallback == "forbid") if self.provider else None

    def environment(self) -> dict[str, str]:
        """The runtime's environment for what is set."""
        given = {
            "DRAY_THREADS": self.threads,
            "DRAY_WORKERS": self.workers,
            "DRAY_MAX_BODY_MIB": self.max_body_mib,
            "DRAY_REQUEST_TIMEOUT_S": self.request_timeout_s,
            "DRAY_LOG_LEVEL": self.log_level,
            **self._contract(),
        }
        return {name: str(value) for name, value in given.items() if value is not None}

    def _contract(self) -> dict[str, str | None]:
        if self.provider is None:
            return {}
        options = {self.provider: dict(self.provider_options)}
        return {
            "DRAY_PROVIDERS": self.provider,
            "DRAY_FALLBACK": self.fallback,
            "DRAY_PROVIDER_OPTIONS": json.dumps(options, sort_keys=True) if self.provider_options else None,
        }
