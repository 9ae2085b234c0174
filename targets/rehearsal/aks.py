"""The rehearsal of the target ``aks``: its own code, and a stand-in of a Kubernetes API on this machine."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from packager.core.protocols import Target
from targets.aks import AksTarget
from targets.kit.kubernetes.access import token_access
from targets.rehearsal.kubernetes.faults import FAULTS
from targets.rehearsal.kubernetes.kubeconfig import write_kubeconfig
from targets.rehearsal.layout import StageFacts, StageFolder
from targets.rehearsal.opening import OpensStage, StageToken

_POLL_S: Final = 0.1
# What may pass by itself in a cluster passes sooner here: nobody adds nodes, and images come from next door.
_PATIENCE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class AksRehearsal(OpensStage):
    """Kubernetes without a cluster."""

    name = "aks"
    faults = FAULTS
    extra: ClassVar[str] = "kubernetes"
    whole_network: ClassVar[bool] = True

    def connect(self, facts: StageFacts, folder: StageFolder) -> Target[Any]:
        """The target, with the stand-in's token; the cluster's own addresses are reached from here.

        A kubeconfig for ``kubectl`` lies beside the token.
        """
        return aks_target(facts, folder)


def aks_target(facts: StageFacts, folder: StageFolder) -> AksTarget:
    """The target in front of a stand-in's API."""
    write_kubeconfig(facts, folder)
    access = token_access(
        facts.api,
        folder.token(),
        ca_file=folder.ca_file,
        where="the rehearsal",
        reach="rehearsal",
        poll_s=_POLL_S,
        patience_s=_PATIENCE_S,
    )
    return AksTarget(access, StageToken(facts.registry, folder))
