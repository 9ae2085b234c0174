"""What ``--set`` and dray.yaml may say about a container of a Docker engine."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from targets.kit.runtime_settings import RuntimeSettings

Node = Annotated[str, StringConstraints(pattern=r"^/dev/[A-Za-z0-9._/-]+$")]
Mount = Annotated[str, StringConstraints(pattern=r"^/[^:]+:/[^:]+$")]


class DockerSettings(RuntimeSettings):
    """Settings of the docker target.

    Attributes:
        api_keys: Where the keys are that clients must show, one a line: ``env:NAME`` or ``file:PATH``. They are read
            when the container is made, and stand in no plan, label or environment.
        devices: Device nodes of the engine's machine, which the container sees at the same place.
        groups: Ids of groups that the runtime is in, such as the one that owns the nodes.
        mounts: ``HOST:CONTAINER``, files and folders that the container may read.
        drain_timeout_s: How long a container that is replaced or deleted may take to finish what it has accepted.
    """

    host: str = Field("127.0.0.1", pattern=r"^[0-9A-Fa-f:.]+$", description="address to publish the port on")
    port: int | None = Field(None, ge=1, le=65535, description="port; a free one, or the one it has, where left out")
    context: str | None = Field(None, description="Docker context; DOCKER_HOST or the current one where left out")
    cpus: float | None = Field(None, gt=0, le=1024, description="CPU limit")
    memory_mib: int | None = Field(None, ge=32, le=16_777_216, description="memory limit, without swap")
    tmp_mib: int = Field(64, ge=1, le=65536, description="size of /tmp, the only place it can write to")
    restart: Literal["no", "on-failure", "unless-stopped", "always"] = Field(
        "unless-stopped", description="what the engine does when it ends"
    )
    api_keys: str | None = Field(None, pattern=r"^(env|file):.+$", description="keys of clients, by reference")
    devices: tuple[Node, ...] = ()
    groups: tuple[Annotated[int, Field(ge=0)], ...] = ()
    gpus: int | None = Field(None, ge=1, le=64, description="NVIDIA GPUs, by NVIDIA's container toolkit")
    mounts: tuple[Mount, ...] = ()
    drain_timeout_s: float = Field(30.0, gt=0, le=3600, description="time to finish what it has accepted")
