"""The devices that a rehearsal has from its beginning, and the layer below layered deployments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from packager.core.image import Platform
from targets.rehearsal.iothub.hub import Hub

BASE: Final = "rehearsal-base"
_ARM64: Final = Platform("linux", "arm64")


@dataclass(frozen=True, slots=True)
class Fitting:
    """A device as it comes.

    Attributes:
        platform: None for this machine's.
    """

    name: str
    tags: Mapping[str, Any] = field(default_factory=dict)
    platform: Platform | None = None
    online: bool = True


FLEET: Final = (
    Fitting("edge-1", {"site": "rehearsal"}),
    Fitting("edge-2", {"site": "rehearsal"}),
    Fitting("edge-3", {"site": "rehearsal"}),
    Fitting("edge-arm64", {"site": "rehearsal"}, _ARM64),
    Fitting("edge-offline", {"site": "rehearsal"}, online=False),
    Fitting("line-1", {"line": "a"}),
    Fitting("line-2", {"line": "a"}),
)


def furnish(hub: Hub) -> None:
    """Register the fleet; those with the tag ``line`` get an automatic deployment, on which layers can lie."""
    for each in FLEET:
        hub.add_device(each.name, edge=True).twin.patch({"tags": dict(each.tags)})
    image = {"edgeAgent": "azureiotedge-agent", "edgeHub": "azureiotedge-hub"}
    settings = {name: {"image": f"mcr.microsoft.com/{each}:1.6", "createOptions": "{}"} for name, each in image.items()}
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25"}},
        "systemModules": {
            "edgeAgent": {"type": "docker", "settings": settings["edgeAgent"]},
            "edgeHub": {
                "type": "docker",
                "status": "running",
                "restartPolicy": "always",
                "settings": settings["edgeHub"],
            },
        },
        "modules": {},
    }
    edge_hub = {"schemaVersion": "1.1", "routes": {}, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}
    content = {"$edgeAgent": {"properties.desired": agent}, "$edgeHub": {"properties.desired": edge_hub}}
    body = {"content": {"modulesContent": content}, "targetCondition": "is_defined(tags.line)", "priority": 0}
    hub.put_configuration(BASE, body)
