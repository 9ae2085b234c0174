"""The rehearsal of the target ``aci``: its own code, and a stand-in of Azure's management API on this machine."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from packager.core.protocols import Target
from targets.aci import AciTarget
from targets.kit.azure.access import AzureAccess, FixedToken
from targets.rehearsal.arm.cloud import HOME_REGION, RESOURCE_GROUP
from targets.rehearsal.arm.faults import FAULTS
from targets.rehearsal.layout import StageFacts, StageFolder
from targets.rehearsal.opening import OpensStage, StageToken

# No subscription of anybody's.
_SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000000"
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class AciRehearsal(OpensStage):
    """Azure Container Instances without an account."""

    name = "aci"
    faults = FAULTS
    extra: ClassVar[str] = "azure"

    def connect(self, facts: StageFacts, folder: StageFolder) -> Target[Any]:
        """The target, which signs in with the stand-in's token and reaches groups by their loopback addresses."""
        access = AzureAccess(
            facts.api,
            _SUBSCRIPTION,
            FixedToken(folder.token()),
            ca_file=folder.ca_file,
            poll_s=_POLL_S,
            reach="ip",
            resource_group=RESOURCE_GROUP,
            region=HOME_REGION,
        )
        return AciTarget(access, StageToken(facts.registry, folder))
