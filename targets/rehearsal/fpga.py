"""The rehearsal of the target ``fpga`` in Kubernetes: its own code, and a cluster whose node has no card."""

from dataclasses import dataclass, replace
from typing import Any

from packager.core.protocols import Target
from targets.fpga import FpgaTarget
from targets.fpga.ep import places as cards
from targets.fpga.hosted import MADE_FOR
from targets.fpga.rtl import places as simulations
from targets.fpga.target import ways_of
from targets.rehearsal.aks import AksRehearsal, aks_target
from targets.rehearsal.layout import StageFacts, StageFolder


@dataclass(frozen=True, slots=True)
class FpgaRehearsal(AksRehearsal):
    """Cards in a cluster, without one: what is asked for, refused, and served by the CPU where that is allowed."""

    name = "fpga"

    def connect(self, facts: StageFacts, folder: StageFolder) -> Target[Any]:
        """The target, whose only ways are to the stand-in's cluster."""
        cluster = replace(aks_target(facts, folder), made_for=MADE_FOR)
        return FpgaTarget(ways_of(cards.OnKubernetes(inner=cluster), simulations.OnKubernetes(inner=cluster)))
