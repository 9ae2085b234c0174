"""The target ``aci``: a container group of Azure Container Instances."""

from targets.aci.settings import AciSettings
from targets.aci.target import AciTarget

__all__ = ["AciSettings", "AciTarget"]
