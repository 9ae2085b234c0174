"""What ``--set`` and dray.yaml may say about a local deployment."""

from pydantic import Field

from targets.kit.runtime_settings import RuntimeSettings


class LocalSettings(RuntimeSettings):
    """Settings of the local target.

    Attributes:
        drain_timeout_s: How long a process that is replaced or deleted may take to finish what it has accepted.
    """

    host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:_-]+$", description="address to listen on")
    port: int | None = Field(None, ge=1, le=65535, description="port; a free one, or the one it has, where left out")
    drain_timeout_s: float = Field(30.0, gt=0, le=3600, description="time to finish what it has accepted")
