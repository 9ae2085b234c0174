"""What ``--set`` and dray.yaml may say about a deployment to Azure Kubernetes Service, or to any Kubernetes."""

from typing import Self

from pydantic import Field, model_validator

from targets.kit.kubernetes.settings import KubernetesSettings


class AksSettings(KubernetesSettings):
    """Settings of the target ``aks``.

    Attributes:
        cluster: Whose credentials are asked for at Azure's management API, in the place of a kubeconfig.
    """

    resource_group: str | None = Field(None, pattern=r"^[\w().-]{1,90}$", description="of the cluster")
    cluster: str | None = Field(None, pattern=r"^[A-Za-z0-9][\w-]{0,62}$", description="its name at Azure")
    subscription: str | None = Field(None, pattern=r"^[0-9a-zA-Z-]{1,36}$", description="id of the subscription")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.resource_group is None) != (self.cluster is None):
            raise ValueError("resource_group and cluster go together")
        if self.cluster and (self.kubeconfig or self.context):
            raise ValueError("a cluster of Azure's and a kubeconfig or context exclude each other")
        return self
