"""What ``--set`` and dray.yaml may say about a local deployment."""

from typing import Annotated, Literal

from pydantic import Field

from packager.core.deployment import TargetSettings


class LocalSettings(TargetSettings):
    """Settings of the local target.

    Attributes:
        drain_timeout_s: How long a process that is replaced or deleted may take to finish what it has accepted.
    """

    host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:_-]+$", description="address to listen on")
    port: int | None = Field(None, ge=1, le=65535, description="port; a free one, or the one it has, where left out")
    threads: int | None = Field(None, ge=1, le=1024, description="threads a request may use; the CPUs where left out")
    workers: Annotated[int, Field(ge=1, le=128)] | Literal["auto"] | None = Field(
        None, description="processes that answer, auto for one for each CPU; one where left out"
    )
    max_body_mib: int | None = Field(None, ge=1, le=65536, description="largest request body")
    request_timeout_s: float | None = Field(None, ge=0.01, le=86400, description="longest time a request may take")
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(None, description="of the runtime")
    drain_timeout_s: float = Field(30.0, gt=0, le=3600, description="time to finish what it has accepted")

    def environment(self) -> dict[str, str]:
        """The runtime's environment for what is set; its own defaults hold for the rest."""
        given = {
            "DRAY_THREADS": self.threads,
            "DRAY_WORKERS": self.workers,
            "DRAY_MAX_BODY_MIB": self.max_body_mib,
            "DRAY_REQUEST_TIMEOUT_S": self.request_timeout_s,
            "DRAY_LOG_LEVEL": self.log_level,
        }
        return {name: str(value) for name, value in given.items() if value is not None}
