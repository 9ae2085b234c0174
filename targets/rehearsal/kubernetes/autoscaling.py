"""The controllers that only watch numbers: autoscalers within their bounds, and disruption budgets."""

from typing import Final

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster, deleting
from targets.rehearsal.kubernetes.conditions import with_condition
from targets.rehearsal.kubernetes.loops import Loop
from targets.rehearsal.kubernetes.ownership import Writer, updated
from targets.rehearsal.kubernetes.quantities import share
from targets.rehearsal.kubernetes.replica_sets import is_ready
from targets.rehearsal.kubernetes.selectors import Selector
from targets.rehearsal.kubernetes.shapes import shape_of
from targets.rehearsal.kubernetes.store import Event, Key, Object, key_of

_MANAGER: Final = "kube-controller-manager"


class Autoscalers:
    """Keep a Deployment's replicas between the bounds; there are no metrics here by which to choose between them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._by_target: dict[Key, dict[Key, None]] = {}
        self.loop = Loop("autoscalers", self._reconcile)
        cluster.store.listen(resources.AUTOSCALERS, self._heard)
        cluster.store.listen(resources.DEPLOYMENTS, self._target_heard)

    def _heard(self, event: Event) -> None:
        key = key_of(event.found)
        for found, there in ((event.before, False), (event.found, event.change != "DELETED")):
            if found is None:
                continue
            known = self._by_target.setdefault((key[0], found["spec"]["scaleTargetRef"]["name"]), {})
            if there:
                known[key] = None
            else:
                known.pop(key, None)
        self.loop.want(key)

    def _target_heard(self, event: Event) -> None:
        for key in self._by_target.get(key_of(event.found), ()):
            self.loop.want(key)

    def _reconcile(self, key: Key) -> None:
        scaler = self._cluster.store.get(resources.AUTOSCALERS, *key)
        if scaler is None:
            return
        reference = scaler["spec"]["scaleTargetRef"]
        target = None
        if reference["kind"] == "Deployment":
            target = self._cluster.store.get(resources.DEPLOYMENTS, key[0], reference["name"])
        if target is None or deleting(target):
            self._tell(scaler, target, 0)
            return
        has, spec = target["spec"]["replicas"], scaler["spec"]
        wanted = min(max(has, spec["minReplicas"]), spec["maxReplicas"]) if has else 0
        if wanted != has:
            self._scale(target, wanted)
        self._tell(scaler, target, wanted)

    def _scale(self, target: Object, wanted: int) -> None:
        shape = shape_of(resources.DEPLOYMENTS.definition)
        new = {**target, "spec": {**target["spec"], "replicas": wanted}}
        new = updated(target, new, shape, Writer(_MANAGER, "scale"))
        new["metadata"]["generation"] = target["metadata"]["generation"] + 1
        self._cluster.store.put(resources.DEPLOYMENTS, new)

    def _tell(self, scaler: Object, target: Object | None, wanted: int) -> None:
        conditions = scaler.get("status", {}).get("conditions")
        able = target is not None
        conditions = with_condition(
            conditions,
            "AbleToScale",
            holds=able,
            reason="SucceededGetScale" if able else "FailedGetScale",
            message="the HPA controller was able to get the target's current scale" if able else "the target is absent",
        )
        message = "there are no metrics in a rehearsal: replicas are only kept within their bounds"
        conditions = with_condition(
            conditions, "ScalingActive", holds=False, reason="FailedGetResourceMetric", message=message
        )
        current = (target or {}).get("status", {}).get("replicas", 0)
        self._cluster.set_status(
            resources.AUTOSCALERS,
            scaler,
            currentReplicas=current,
            desiredReplicas=wanted,
            currentMetrics=None,
            conditions=conditions,
        )


class Budgets:
    """Count how many pods of a budget may go."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._by_label: dict[tuple[str, tuple[str, str]], dict[Key, None]] = {}
        self.loop = Loop("disruption budgets", self._reconcile)
        cluster.store.listen(resources.BUDGETS, self._heard)
        cluster.store.listen(resources.PODS, self._pod_heard)

    def _heard(self, event: Event) -> None:
        key = key_of(event.found)
        for found, there in ((event.before, False), (event.found, event.change != "DELETED")):
            for label in _labels(found):
                known = self._by_label.setdefault((key[0], label), {})
                if there:
                    known[key] = None
                else:
                    known.pop(key, None)
        self.loop.want(key)

    def _pod_heard(self, event: Event) -> None:
        if event.before is not None and is_ready(event.before) == is_ready(event.found) and event.change != "DELETED":
            return
        namespace = event.found["metadata"]["namespace"]
        for label in (event.found["metadata"].get("labels") or {}).items():
            for key in self._by_label.get((namespace, label), ()):
                self.loop.want(key)

    def _reconcile(self, key: Key) -> None:
        budget = self._cluster.store.get(resources.BUDGETS, *key)
        if budget is None:
            return
        spec = budget.get("spec") or {}
        selector = Selector.of(spec.get("selector"))
        pods = [
            pod
            for pod in self._cluster.store.select(resources.PODS, key[0], selector.equal)
            if selector.matches(pod["metadata"].get("labels") or {}) and not deleting(pod)
        ]
        healthy, total = sum(is_ready(pod) for pod in pods), len(pods)
        if "maxUnavailable" in spec:
            wanted = total - share(spec["maxUnavailable"], total, up=True)
        else:
            wanted = share(spec.get("minAvailable", 1), total, up=True)
        self._cluster.set_status(
            resources.BUDGETS,
            budget,
            currentHealthy=healthy,
            desiredHealthy=wanted,
            expectedPods=total,
            disruptionsAllowed=max(healthy - wanted, 0),
            observedGeneration=budget["metadata"]["generation"],
        )


def _labels(budget: Object | None) -> list[tuple[str, str]]:
    """By one of them a budget is found; the one that tells most apart."""
    selector = Selector.of(((budget or {}).get("spec") or {}).get("selector"))
    return sorted(selector.equal, key=lambda each: each[0] == "app.kubernetes.io/managed-by")[:1]
