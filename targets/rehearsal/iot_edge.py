"""The rehearsal of the target ``iot-edge``: its own code, and a stand-in of IoT Hub with a fleet of edge devices."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from packager.core.edge import MessageLine
from packager.core.protocols import Target
from targets.iot_edge import IotEdgeTarget
from targets.kit.iothub.access import connection_access
from targets.rehearsal.iothub.faults import FAULTS
from targets.rehearsal.iothub.messages import StageMessages
from targets.rehearsal.iothub.sas import connection_string
from targets.rehearsal.layout import StageFacts, StageFolder
from targets.rehearsal.opening import OpensStage, StageToken

DEVICE: Final = "edge-1"
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class IotEdgeRehearsal(OpensStage):
    """IoT Edge without a hub and without devices."""

    name = "iot-edge"
    faults = FAULTS
    extra: ClassVar[str] = "iot"

    def connect(self, facts: StageFacts, folder: StageFolder) -> Target[Any]:
        """The target, with the key of the stand-in's hub, and a device for those who name none."""
        access = connection_access(
            connection_string(folder.token()), base_url=facts.api, ca_file=folder.ca_file, poll_s=_POLL_S, device=DEVICE
        )
        return IotEdgeTarget(access, StageToken(facts.registry, folder))

    def messages(self, facts: StageFacts, folder: StageFolder) -> MessageLine:
        """Of the fleet's edge hubs."""
        return StageMessages(facts, folder)
