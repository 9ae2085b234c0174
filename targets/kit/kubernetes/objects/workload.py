"""What keeps a release's pods running, and their number right."""

from typing import Final

from targets.kit.kubernetes.objects.pods import pod_template, startup_s
from targets.kit.kubernetes.objects.wanted import INSTANCE, Object, Wanted, metadata

# Pulling an image of some hundred MiB to a fresh node, beside the start itself.
_PULL_S: Final = 300
_HISTORY: Final = 5
_CALM_S: Final = 300


def deployment(wanted: Wanted) -> Object:
    """Pods of one slot: a new one is ready before an old one goes. With an autoscaler, no number is ever said."""
    replicas = wanted.settings.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(wanted, wanted.workload),
        "spec": {
            **({"replicas": replicas} if replicas else {}),
            "revisionHistoryLimit": _HISTORY,
            "progressDeadlineSeconds": _PULL_S + startup_s(wanted),
            "selector": {"matchLabels": wanted.selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "template": pod_template(wanted),
        },
    }


def disruption_budget(wanted: Wanted) -> Object:
    """One pod at a time may be moved; sick ones always, or a node with them could never be emptied."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(wanted, wanted.label),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {INSTANCE: wanted.label}},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def autoscaler(wanted: Wanted) -> Object | None:
    """What decides how many pods there are; None where nothing does."""
    wish = wanted.settings.autoscale
    if wish is None:
        return None
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": wanted.workload}
    if wish.triggers:
        return {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": metadata(wanted, wanted.label),
            "spec": {
                "scaleTargetRef": target,
                "minReplicaCount": wish.min,
                "maxReplicaCount": wish.max,
                "triggers": [{"type": each.type, "metadata": dict(each.metadata)} for each in wish.triggers],
            },
        }
    share = {"type": "Utilization", "averageUtilization": wish.cpu_percent}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(wanted, wanted.label),
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": wish.min,
            "maxReplicas": wish.max,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": share}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": _CALM_S}},
        },
    }
