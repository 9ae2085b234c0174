"""What can be made to go wrong in a rehearsal on Azure Container Instances, and where it strikes."""

from collections.abc import Mapping
from types import MappingProxyType

FAULTS: Mapping[str, str] = MappingProxyType({})
