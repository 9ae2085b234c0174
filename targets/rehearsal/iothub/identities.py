"""Devices and modules as IoT Hub's identity registry has them."""

import re
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from targets.rehearsal.iothub.clock import NEVER, now
from targets.rehearsal.iothub.errors import invalid
from targets.rehearsal.iothub.sas import HOST, key_of
from targets.rehearsal.iothub.twins import Twin

AGENT: Final = "$edgeAgent"
HUB: Final = "$edgeHub"
_ID: Final = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")


@dataclass(slots=True)
class Identity:
    """A device, or a module of one.

    Attributes:
        module: Empty for a device.
        generation: New with each creation under the same name.
        managed_by: Who made it, of modules.
    """

    device: str
    module: str = ""
    edge: bool = False
    managed_by: str = ""
    connected: bool = False
    last_activity: str = NEVER
    state_changed: str = NEVER
    generation: str = field(default_factory=lambda: str(uuid.uuid4().int)[:18])
    version: int = 1
    twin: Twin = field(init=False)

    def __post_init__(self) -> None:
        self.twin = Twin(self.device, self.module)

    @property
    def etag(self) -> str:
        """Of the identity, which is not the twin's."""
        return f"{self.generation}{self.version}"

    def connect(self, connected: bool) -> None:
        """Note whether it is there."""
        if connected != self.connected:
            self.connected, self.state_changed = connected, now()
        self.last_activity = now()

    def key(self, secret: str, *, second: bool = False) -> str:
        """One of its two keys."""
        return key_of(secret, self.device, self.module, self.generation, "2" if second else "1")

    def shown(self, secret: str) -> dict[str, Any]:
        """As the registry shows it, with its keys."""
        state = "Connected" if self.connected else "Disconnected"
        keys = {"primaryKey": self.key(secret), "secondaryKey": self.key(secret, second=True)}
        common = {
            "deviceId": self.device,
            "generationId": self.generation,
            "etag": self.etag,
            "connectionState": state,
            "connectionStateUpdatedTime": self.state_changed,
            "lastActivityTime": self.last_activity,
            "cloudToDeviceMessageCount": 0,
            "authentication": {
                "symmetricKey": keys,
                "x509Thumbprint": {"primaryThumbprint": None, "secondaryThumbprint": None},
                "type": "sas",
            },
        }
        if self.module:
            return {**common, "moduleId": self.module, "managedBy": self.managed_by}
        return {
            **common,
            "status": "enabled",
            "statusReason": None,
            "statusUpdatedTime": NEVER,
            "capabilities": {"iotEdge": self.edge},
            **({"deviceScope": f"ms-azure-iot-edge://{self.device}-{self.generation}"} if self.edge else {}),
            "parentScopes": [],
        }

    def shown_twin(self, configurations: dict[str, Any]) -> dict[str, Any]:
        """Its twin, as the service shows it.

        Args:
            configurations: By id, as they stand on this device.
        """
        twin = self.twin
        tags = {} if self.module else {"tags": twin.tags, "capabilities": {"iotEdge": self.edge}}
        marked = {"configurations": configurations} if configurations else {}
        return {
            "deviceId": self.device,
            **({"moduleId": self.module} if self.module else {}),
            "etag": twin.etag,
            "deviceEtag": self.etag,
            "status": "enabled",
            "statusUpdateTime": NEVER,
            "connectionState": "Connected" if self.connected else "Disconnected",
            "lastActivityTime": self.last_activity,
            "cloudToDeviceMessageCount": 0,
            "authenticationType": "sas",
            "x509Thumbprint": {"primaryThumbprint": None, "secondaryThumbprint": None},
            "modelId": "",
            "version": twin.version,
            **tags,
            "properties": {"desired": twin.desired.shown(), "reported": twin.reported.shown()},
            **marked,
        }


def check_id(name: str) -> str:
    """Raises HubError: not an id of a device or module."""
    if not _ID.fullmatch(name):
        raise invalid(f"{name!r} is no id: up to 128 letters, digits and -:.+%_#*?!(),=@;$'")
    return name


def resource_of(device: str, module: str) -> str:
    """What a module's own signature is about."""
    return f"{HOST}/devices/{device}/modules/{module}"
