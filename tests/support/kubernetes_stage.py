"""The stand-in of a cluster as a process of its own, for tests that do without the target."""

from dataclasses import dataclass
from typing import Any, ClassVar

from packager.core.protocols import Target
from targets.rehearsal.kubernetes.faults import FAULTS
from targets.rehearsal.layout import StageFacts, StageFolder
from targets.rehearsal.opening import OpensStage
from tests.support.toy_cloud import ToyTarget


@dataclass(frozen=True, slots=True)
class ClusterRehearsal(OpensStage):
    name: ClassVar[str] = "aks"
    faults: ClassVar[Any] = FAULTS
    extra: ClassVar[str] = "kubernetes"

    def connect(self, facts: StageFacts, folder: StageFolder) -> Target[Any]:
        return ToyTarget(facts=facts, folder=folder)
