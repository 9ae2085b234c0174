"""Rehearsals on Azure Container Instances: the target's own code against the stand-in's ARM API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from packager.core.protocols import Target
from targets.aci import AciTarget
from targets.kit.azure.access import AzureAccess, FixedToken
from targets.rehearsal.arm.cloud import RESOURCE_GROUP
from targets.rehearsal.arm.faults import FAULTS
from targets.rehearsal.layout import StageFacts, StageFolder
from targets.rehearsal.opening import OpensStage, StageToken

# A subscription that nobody has; the stand-in takes any.
_SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000000"
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class AciRehearsal(OpensStage):
    """The stand-in of the target ``aci``."""

    name: ClassVar[str] = "aci"
    faults: ClassVar[Mapping[str, str]] = FAULTS
    extra: ClassVar[str] = "azure"

    def connect(self, facts: StageFacts, folder: StageFolder) -> Target[Any]:
        """The target, signed in to the stand-in and to nothing else."""
        access = AzureAccess(
            facts.api,
            _SUBSCRIPTION,
            FixedToken(folder.token()),
            ca_file=folder.ca_file,
            poll_s=_POLL_S,
            reach="ip",
            resource_group=RESOURCE_GROUP,
            looks_everywhere=True,
        )
        return AciTarget(access, StageToken(facts.registry, folder))
