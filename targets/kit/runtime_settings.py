"""What every target lets people set of the runtime, whatever it runs in."""

from typing import Annotated, Literal

from pydantic import Field

from packager.core.deployment import TargetSettings


class RuntimeSettings(TargetSettings):
    """Settings of the runtime; one that is left out has the runtime's own default."""

    threads: int | None = Field(None, ge=1, le=1024, description="threads a request may use; the CPUs where left out")
    workers: Annotated[int, Field(ge=1, le=128)] | Literal["auto"] | None = Field(
        None, description="processes that answer, auto for one for each CPU; one where left out"
    )
    max_body_mib: int | None = Field(None, ge=1, le=65536, description="largest request body")
    request_timeout_s: float | None = Field(None, ge=0.01, le=86400, description="longest time a request may take")
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(None, description="of the runtime")

    def environment(self) -> dict[str, str]:
        """The runtime's environment for what is set."""
        given = {
            "DRAY_THREADS": self.threads,
            "DRAY_WORKERS": self.workers,
            "DRAY_MAX_BODY_MIB": self.max_body_mib,
            "DRAY_REQUEST_TIMEOUT_S": self.request_timeout_s,
            "DRAY_LOG_LEVEL": self.log_level,
        }
        return {name: str(value) for name, value in given.items() if value is not None}
