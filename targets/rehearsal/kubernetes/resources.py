"""The resources that the stand-in serves, each in one version."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource.

    Attributes:
        definition: Its type's name among the schemas.
        subresources: Beside itself, such as ``status``.
    """

    group: str
    version: str
    kind: str
    plural: str
    definition: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _VERBS

    @property
    def api_version(self) -> str:
        """As objects name it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As messages name it, such as ``deployments.apps``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """One of it."""
        return self.kind.lower()


def _core(kind: str, plural: str, *short: str, namespaced: bool = True, sub: tuple[str, ...] = ()) -> Resource:
    categories = ("all",) if kind in ("Pod", "Service") else ()
    return Resource("", "v1", kind, plural, f"io.k8s.api.core.v1.{kind}", namespaced, short, sub, categories)


def _of(
    group: str, version: str, kind: str, plural: str, *short: str, sub: tuple[str, ...] = (), namespaced: bool = True
) -> Resource:
    named = group.partition(".")[0] if group.endswith(".k8s.io") else group
    categories = ("all",) if group in ("apps", "autoscaling") else ()
    definition = f"io.k8s.api.{named}.{version}.{kind}"
    return Resource(group, version, kind, plural, definition, namespaced, short, sub, categories)


def _custom(group: str, version: str, kind: str, plural: str, *short: str, namespaced: bool = True) -> Resource:
    return Resource(group, version, kind, plural, f"{group}.{version}.{kind}", namespaced, short, ("status",))


NAMESPACES: Final = _core("Namespace", "namespaces", "ns", namespaced=False, sub=("status",))
PODS: Final = _core("Pod", "pods", "po", sub=("status", "log", "portforward"))
SERVICES: Final = _core("Service", "services", "svc", sub=("status",))
SERVICE_ACCOUNTS: Final = _core("ServiceAccount", "serviceaccounts", "sa")
SECRETS: Final = _core("Secret", "secrets")
CONFIG_MAPS: Final = _core("ConfigMap", "configmaps", "cm")
EVENTS: Final = _core("Event", "events", "ev")
NODES: Final = _core("Node", "nodes", "no", namespaced=False, sub=("status",))
QUOTAS: Final = _core("ResourceQuota", "resourcequotas", "quota", sub=("status",))
LIMIT_RANGES: Final = _core("LimitRange", "limitranges", "limits")
DEPLOYMENTS: Final = _of("apps", "v1", "Deployment", "deployments", "deploy", sub=("status", "scale"))
REPLICA_SETS: Final = _of("apps", "v1", "ReplicaSet", "replicasets", "rs", sub=("status", "scale"))
AUTOSCALERS: Final = _of(
    "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", sub=("status",)
)
BUDGETS: Final = _of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", sub=("status",))
NETWORK_POLICIES: Final = _of("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", "netpol")
INGRESSES: Final = _of("networking.k8s.io", "v1", "Ingress", "ingresses", "ing", sub=("status",))
INGRESS_CLASSES: Final = _of("networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False)
SLICES: Final = _of("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
_GATEWAY: Final = "gateway.networking.k8s.io"
GATEWAY_CLASSES: Final = _custom(_GATEWAY, "v1", "GatewayClass", "gatewayclasses", "gc", namespaced=False)
GATEWAYS: Final = _custom(_GATEWAY, "v1", "Gateway", "gateways", "gtw")
ROUTES: Final = _custom(_GATEWAY, "v1", "HTTPRoute", "httproutes")
INFERENCE_SERVICES: Final = _custom("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices", "isvc")
SCALED_OBJECTS: Final = _custom("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", "so")

RESOURCES: Final = (
    NAMESPACES, NODES, PODS, SERVICES, SERVICE_ACCOUNTS, SECRETS, CONFIG_MAPS, EVENTS, QUOTAS, LIMIT_RANGES,
    DEPLOYMENTS, REPLICA_SETS, AUTOSCALERS, BUDGETS, NETWORK_POLICIES, INGRESSES, INGRESS_CLASSES, SLICES,
    GATEWAY_CLASSES, GATEWAYS, ROUTES, INFERENCE_SERVICES, SCALED_OBJECTS,
)  # fmt: skip
BY_PATH: Final[Mapping[tuple[str, str, str], Resource]] = MappingProxyType(
    {(each.group, each.version, each.plural): each for each in RESOURCES}
)
BY_KIND: Final[Mapping[tuple[str, str], Resource]] = MappingProxyType(
    {(each.group, each.kind): each for each in RESOURCES}
)
GROUPS: Final[Mapping[str, str]] = MappingProxyType({each.group: each.version for each in RESOURCES})
