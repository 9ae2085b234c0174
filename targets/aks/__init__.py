"""The target ``aks``: Azure Kubernetes Service, and any other Kubernetes."""

from targets.aks.settings import AksSettings
from targets.aks.target import AksTarget

__all__ = ["AksSettings", "AksTarget"]
