"""What ``--set`` and dray.yaml may say about a deployment to any Kubernetes."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from targets.kit.runtime_settings import RuntimeSettings
from targets.kit.setting_types import AsText, EnvironmentName, Reference, Several, Text, check_environment

DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
HostName = Annotated[str, StringConstraints(pattern=r"^(\*\.)?[a-z0-9]([a-z0-9.-]{0,240}[a-z0-9])?$")]
LabelKey = Annotated[str, StringConstraints(pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$"), AsText]
Strategy = Literal["rolling", "blue-green", "canary"]
# Extended resources are of a domain. Source: kubernetes.io, "Extended resources".
ResourceName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$")
]
_WHOLE: Final = 100


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Toleration(_Part):
    """A taint of nodes that pods stand."""

    key: LabelKey | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError(f"operator=Exists takes no value, and {self.value!r} is one")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("operator=Equal compares a key")
        return self


class Trigger(_Part):
    """What KEDA scales by."""

    type: str = Field(pattern=r"^[a-z0-9-]+$", description="of the scaler, such as prometheus")
    metadata: Mapping[str, Text] = {}


class Autoscale(_Part):
    """How many pods there may be, and what decides.

    Attributes:
        triggers: With any, KEDA's ScaledObject stands in the place of a HorizontalPodAutoscaler.
    """

    min: int = Field(2, ge=1, le=1000, description="fewest pods")
    max: int = Field(10, ge=1, le=10000, description="most pods")
    cpu_percent: int = Field(70, ge=1, le=1000, description="of the CPU request, that pods shall use on average")
    triggers: tuple[Trigger, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min={self.min} is more than max={self.max}")
        return self


class KubernetesSettings(RuntimeSettings):
    """Settings of every target that deploys to Kubernetes; secrets are references: ``env:NAME`` or ``file:PATH``.

    Attributes:
        replicas: Left out, nobody is told a number: the cluster begins with one and keeps what others scale it to.
        cpu_limit_millicores: The runtime's threads follow it; whole cores above the request where left out.
        resources: Extended resources of a pod, such as ``amd.com/fpga``, which a device plugin of the nodes offers.
        tolerations: Taints of the nodes that the pods stand.
        groups: Ids of further groups of the runtime, such as the one that owns a card's device nodes.
        route: How clients outside the cluster get there: a Gateway with an HTTPRoute, or an Ingress.
        gateway: One that exists, as NAME or NAMESPACE/NAME; dray makes one of ``gateway_class`` where left out.
        pull_secret: Name of a Secret that exists and holds the registry's credentials.
        send_credentials: Whether this machine's credentials for the registry go into a Secret of the deployment's;
            left out, they do where there are some, but for registries of Azure, which nodes pull from by themselves.
        workload_identity: Client id of a managed identity that the pods may act as.
        steps: Shares of the traffic, in percent, that a canary gets before it gets all.
        step_s: How long each is watched.
        drain_s: How long the old pods live on after traffic went to the new ones.
        allow_from: Namespaces that may reach the pods; all where left out.
        kserve: Write an InferenceService of KServe in the place of Deployment and Service.
    """

    context: str | None = Field(None, description="of the kubeconfig; its current one where left out")
    kubeconfig: str | None = Field(None, description="file; KUBECONFIG or ~/.kube/config where left out")
    namespace: DnsLabel | None = Field(None, description="that of the context where left out; made where it is not")
    replicas: int | None = Field(None, ge=1, le=10000, description="pods, where nothing scales them")
    autoscale: Autoscale | None = None
    cpu_millicores: int | None = Field(None, ge=1, le=1_000_000, description="request; as measured where left out")
    cpu_limit_millicores: int | None = Field(None, ge=1, le=1_000_000, description="limit")
    memory_mib: int | None = Field(None, ge=32, le=16_777_216, description="request and limit; as measured, doubled")
    gpu: int | None = Field(None, ge=1, le=64, description="NVIDIA GPUs of a pod")
    tmp_mib: int = Field(64, ge=1, le=65536, description="size of /tmp, the only place it can write to")
    architecture: Literal["amd64", "arm64"] = Field("amd64", description="of the nodes")
    node_selector: Mapping[LabelKey, LabelValue] = {}
    resources: Mapping[ResourceName, Annotated[int, Field(ge=1, le=64)]] = {}
    tolerations: tuple[Toleration, ...] = ()
    groups: tuple[Annotated[int, Field(ge=1)], ...] = ()
    port: int = Field(80, ge=1, le=65535, description="port of the Service")
    service: Literal["ClusterIP", "LoadBalancer"] = Field("ClusterIP", description="type of the Service")
    internal: bool = Field(False, description="the load balancer's address is one of the virtual network")
    route: Literal["gateway", "ingress"] | None = None
    host: HostName | None = Field(None, description="name that clients outside use")
    gateway: str | None = Field(None, pattern=r"^([a-z0-9-]+/)?[a-z0-9.-]+$")
    gateway_class: DnsName = Field("approuting-istio", description="of a Gateway that dray makes")
    ingress_class: DnsName | None = Field(None, description="the cluster's default one where left out")
    tls_secret: DnsName | None = Field(None, description="Secret with the route's certificate, which exists")
    pull_secret: DnsName | None = None
    registry_username: Reference | None = None
    registry_password: Reference | None = None
    send_credentials: bool | None = None
    workload_identity: str | None = Field(None, pattern=r"^[0-9a-fA-F-]{36}$")
    env: Mapping[EnvironmentName, Text] = {}
    secret_env: Mapping[EnvironmentName, Reference] = {}
    api_keys: Reference | None = Field(None, description="keys of clients, by reference")
    strategy: Strategy = Field("rolling", description="how an update replaces what serves")
    steps: Annotated[tuple[Annotated[int, Field(ge=1, lt=_WHOLE)], ...], Several] = (10, 50)
    step_s: float = Field(30.0, ge=0, le=86400, description="time that each step of a canary is watched")
    drain_s: float = Field(5.0, ge=0, le=3600, description="time that old pods live on beside the new ones")
    drain_timeout_s: float = Field(30.0, gt=0, le=3600, description="time to finish what a pod has accepted")
    startup_s: float | None = Field(None, gt=0, le=3600, description="time to start; five times the measured one")
    network_policy: bool = Field(True, description="let nothing in but requests, and nothing out")
    allow_from: Annotated[tuple[DnsLabel, ...], Several] = ()
    egress: bool = Field(False, description="let the pods reach others")
    force_conflicts: bool = Field(False, description="take fields that others own")
    kserve: bool = False

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.autoscale and self.replicas:
            raise ValueError("replicas and autoscale exclude each other: the autoscaler decides")
        if (self.registry_username is None) != (self.registry_password is None):
            raise ValueError("registry_username and registry_password go together")
        if self.pull_secret and (self.registry_username or self.send_credentials):
            raise ValueError("pull_secret and other credentials of the registry exclude each other")
        if self.cpu_millicores and self.cpu_limit_millicores and self.cpu_millicores > self.cpu_limit_millicores:
            limit = self.cpu_limit_millicores
            raise ValueError(f"cpu_millicores={self.cpu_millicores} is more than its limit, {limit}")
        if self.internal and self.service != "LoadBalancer":
            raise ValueError("internal is for service=LoadBalancer")
        return self

    @model_validator(mode="after")
    def _routed(self) -> Self:
        if (self.host or self.tls_secret) and not self.route:
            raise ValueError("host and tls_secret belong to a route: route=gateway or route=ingress")
        if self.gateway and self.route != "gateway":
            raise ValueError(f"gateway={self.gateway} belongs to route=gateway")
        if self.ingress_class and self.route != "ingress":
            raise ValueError(f"ingress_class={self.ingress_class} belongs to route=ingress")
        if self.allow_from and not self.network_policy:
            raise ValueError("allow_from is what the NetworkPolicy lets in, and network_policy=false makes none")
        if self.strategy == "canary" and self.route != "gateway":
            raise ValueError("strategy=canary splits the traffic by the weights of an HTTPRoute: route=gateway")
        if list(self.steps) != sorted(set(self.steps)):
            raise ValueError(f"steps grow: {list(self.steps)}")
        if self.kserve and (self.route or self.strategy != "rolling"):
            raise ValueError("with kserve, routes and strategies are KServe's own")
        return self

    @model_validator(mode="after")
    def _own_environment(self) -> Self:
        check_environment(self.env, self.secret_env, "secret_env")
        return self

    def references(self) -> dict[str, str]:
        """Every secret's reference, by the setting that has it."""
        single = {
            "api_keys": self.api_keys,
            "registry_username": self.registry_username,
            "registry_password": self.registry_password,
        }
        secret = {f"secret_env.{name}": reference for name, reference in self.secret_env.items()}
        return {name: reference for name, reference in {**single, **secret}.items() if reference}
