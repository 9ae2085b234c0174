"""The rehearsal of the target ``fpga`` in Kubernetes: its own code, and a cluster whose node has no card."""

from dataclasses import dataclass, replace
from typing import Any

from packager.core.protocols import Target
from targets.fpga import FpgaTarget
from targets.fpga.ep.hosts import MADE_FOR
from targets.fpga.ep.places import OnKubernetes
from targets.rehearsal.aks import AksRehearsal, aks_target
from targets.rehearsal.layout import StageFacts, StageFolder


@dataclass(frozen=True, slots=True)
class FpgaRehearsal(AksRehearsal):
    """Cards in a cluster, without one: what is asked for, refused, and served by the CPU where that is allowed."""

    name = "fpga"

    def connect(self, facts: StageFacts, folder: StageFolder) -> Target[Any]:
        """The target, whose only way is the stand-in's cluster."""
        cluster = replace(aks_target(facts, folder), made_for=MADE_FOR)
        return FpgaTarget({("ep", "kubernetes"): OnKubernetes(inner=cluster)})
