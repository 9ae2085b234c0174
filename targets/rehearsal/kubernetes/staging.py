"""Where faults strike what runs: pods' runners, and another manager that changes fields."""

from collections.abc import Mapping
from typing import Any, Final

from targets.rehearsal.doomed import ENDS, DoomedRunner
from targets.rehearsal.kubernetes.calls import Call
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.ownership import Writer, updated
from targets.rehearsal.kubernetes.resources import DEPLOYMENTS
from targets.rehearsal.kubernetes.shapes import shape_of
from targets.rehearsal.kubernetes.store import Object
from targets.rehearsal.tamper import TamperedRunner, Way
from targets.rehearsal.workload import Runner

INTRUDER: Final = "kubectl-edit"
# What the other manager may change: numbers that two managers can want otherwise.
_CONTESTED: Final = ("progressDeadlineSeconds", "revisionHistoryLimit", "minReadySeconds", "replicas")
_TAMPERED: Final[Mapping[str, Way]] = {"wrong-answer": "wrong", "slow": "unready"}
_PULLS: Final = ("image-pull", "pull-auth", "image-missing")


def take_over(cluster: Cluster, call: Call, live: Object, config: Mapping[str, Any]) -> Object:
    """The object, after another manager changed a field of it that is about to be applied, where that fault is due."""
    asked = config.get("spec") or {}
    name = next((each for each in _CONTESTED if each in asked), None)
    if call.resource != DEPLOYMENTS or call.subresource or name is None or not cluster.world.faults.due("conflict"):
        return live
    spec = {**live["spec"], name: asked[name] + 1}
    changed = updated(live, {**live, "spec": spec}, shape_of(DEPLOYMENTS.definition), Writer(INTRUDER))
    changed["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
    return cluster.store.put(DEPLOYMENTS, changed)


def runner_for(cluster: Cluster, pod: Object) -> Runner:
    """What runs a pod: the world's own runner, or one in front of it that a fault has put there."""
    runner = cluster.world.runner
    for name, end in ENDS.items():
        if cluster.strikes.at_pod(pod, name):
            return DoomedRunner(runner, end)
    for name, way in _TAMPERED.items():
        if cluster.strikes.at_pod(pod, name):
            return TamperedRunner(runner, cluster.addresses, way)
    return runner


def pull_fault(cluster: Cluster, pod: Object) -> str:
    """The fault that strikes this pull; empty for none."""
    return next((name for name in _PULLS if cluster.strikes.at_pod(pod, name)), "")
