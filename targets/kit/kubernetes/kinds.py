"""Kinds of objects that dray touches, and where an API server has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind.

    Attributes:
        api: Group and version, as ``apiVersion`` has it.
        optional: Not every cluster knows it.
    """

    api: str
    plural: str
    namespaced: bool = True
    optional: bool = False

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Of one object, or of all in a namespace; of all everywhere where none is named."""
        root = "/api" if "/" not in self.api else "/apis"
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}/{self.api}{place}/{self.plural}" + (f"/{name}" if name else "")


KINDS: Final[Mapping[str, Kind]] = {
    "Namespace": Kind("v1", "namespaces", namespaced=False),
    "Node": Kind("v1", "nodes", namespaced=False),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services"),
    "Pod": Kind("v1", "pods"),
    "Event": Kind("v1", "events"),
    "Deployment": Kind("apps/v1", "deployments"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": Kind("autoscaling/v2", "horizontalpodautoscalers"),
    "NetworkPolicy": Kind("networking.k8s.io/v1", "networkpolicies"),
    "Ingress": Kind("networking.k8s.io/v1", "ingresses"),
    "Gateway": Kind("gateway.networking.k8s.io/v1", "gateways", optional=True),
    "HTTPRoute": Kind("gateway.networking.k8s.io/v1", "httproutes", optional=True),
    "ScaledObject": Kind("keda.sh/v1alpha1", "scaledobjects", optional=True),
    "InferenceService": Kind("serving.kserve.io/v1beta1", "inferenceservices", optional=True),
}
# What a deployment may be made of, in the order in which it is taken away: what leads to the pods first, and last the
# Services, one of which has the record.
OF_A_DEPLOYMENT: Final = (
    "HTTPRoute", "Gateway", "Ingress", "ScaledObject", "HorizontalPodAutoscaler", "InferenceService", "Deployment",
    "PodDisruptionBudget", "NetworkPolicy", "Secret", "ServiceAccount", "Service",
)  # fmt: skip


def key_of(made: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and name."""
    return str(made["kind"]), str(made["metadata"]["name"])


def words_for(kind: str, name: str) -> str:
    """An object as kubectl names it."""
    return f"{kind.lower()}/{name}"
