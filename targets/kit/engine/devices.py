"""What of its host's hardware a container may use. Source: the Docker Engine API 1.41, "Create a container"."""

from typing import Any


def device_access(
    devices: tuple[str, ...], groups: tuple[int, ...], gpus: int | None, mounts: tuple[str, ...]
) -> dict[str, Any]:
    """Of its ``HostConfig``; empty where it may use none.

    Args:
        devices: Device nodes, inside as outside.
        groups: That own them: the runtime is no user of theirs.
        gpus: Of NVIDIA, by their container toolkit.
        mounts: ``HOST:CONTAINER``, to be read only.
    """
    nodes = [{"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rw"} for path in devices]
    request = {"Driver": "nvidia", "Count": gpus, "Capabilities": [["gpu"]]}
    made: dict[str, Any] = {
        "Devices": nodes,
        "GroupAdd": [str(group) for group in groups],
        "DeviceRequests": [request] if gpus else [],
        "Binds": [f"{mount}:ro" for mount in mounts],
    }
    return {key: value for key, value in made.items() if value}
