"""The target ``iot-edge`` against a scripted hub with a few devices."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from packager.core.artifact import ModelPackage, Release
from packager.core.credentials import Anonymous, CredentialSource
from packager.core.image import ImageRef, Platform
from runtime.contract.package import read_package
from targets.iot_edge import IotEdgeTarget
from targets.kit.iothub.access import connection_access
from tests.support.scripted_device import ModelOnDevice
from tests.support.scripted_hub import AGENT, CONNECTION_STRING, ROUTER, ScriptedHub

REGISTRY = "registry.example"


def _module(image: str, options: str = "{}") -> dict[str, Any]:
    """A module of others'."""
    return {
        "version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always",
        "settings": {"image": image, "createOptions": options},
    }  # fmt: skip


OTHERS = {
    "schemaVersion": "1.1",
    "runtime": {
        "type": "docker",
        "settings": {
            "registryCredentials": {
                "theirs": {"username": "u", "password": "their secret", "address": "theirs.example"}
            }
        },
    },
    "systemModules": {
        "edgeAgent": {"type": "docker", "settings": {"image": "agent", "createOptions": "{}"}},
        "edgeHub": {key: value for key, value in _module("hub").items() if key != "version"},
    },
    "modules": {"sensor": _module("sensor:1", '{"z": 1,"a":2}')},
}
ROUTES = {
    "schemaVersion": "1.2",
    "routes": {"theirs": {"route": "FROM /messages/* INTO $upstream", "priority": 1}},
    "storeAndForwardConfiguration": {"timeToLiveSecs": 100},
}
_FLEET: dict[str, dict[str, Any]] = {
    "edge-1": {},
    "edge-2": {},
    "edge-arm64": {"platform": "aarch64"},
    "edge-offline": {"connected": False},
}


@dataclass
class EdgeCloud:
    """A scripted hub with devices, and the target that speaks to it."""

    hub: ScriptedHub

    def release(self, package: ModelPackage, **facts: Any) -> Release:
        """A release whose image the devices can run."""
        image = ImageRef(REGISTRY, f"team/{package.manifest.name}", None, package.digest)
        self.hub.images.setdefault(str(image), ModelOnDevice(package))
        return Release(package, image, **{"built_for": (Platform("linux", "amd64"),), **facts})

    def image(self, package: ModelPackage) -> str:
        return str(self.release(package).image)

    def held(self, image: ImageRef) -> ModelPackage:
        found = self.hub.images[str(image)]
        assert isinstance(found, ModelOnDevice)
        return read_package(found.package.root)

    def target(
        self, credentials: CredentialSource | None = None, before: Callable[[str, str], None] | None = None
    ) -> IotEdgeTarget:
        """The target, which makes releases for the suite of all targets; ``before`` is told of every request."""
        access = replace(connection_access(CONNECTION_STRING, base_url=self.hub.url, poll_s=0.01), before=before)
        cloud = self

        class Tested(IotEdgeTarget):
            def release_for_tests(self, package: ModelPackage) -> Release:
                return cloud.release(package)

        return Tested(access, credentials or Anonymous())

    def furnish(self) -> None:
        """Devices with a module and a route of others'; nothing of what was before."""
        hub = self.hub
        for each in (hub.devices, hub.images, hub.configurations, hub.requests, hub.refusals, hub.applied):
            each.clear()  # type: ignore[attr-defined]
        hub.on_request = lambda line: None
        hub.without_base, hub.slow = set(), False
        hub.add("plain", edge=False)
        hub.add("new")
        for name, facts in _FLEET.items():
            device = hub.add(name, **facts)
            device.modules[AGENT].desired = json.loads(json.dumps(OTHERS))
            device.modules[ROUTER].desired = json.loads(json.dumps(ROUTES))
            hub.report(device)
            device.twin.tags = {"site": "one"} if name in ("edge-1", "edge-2") else {"site": name}
