"""Where container groups can be, and how much of what there is."""

from dataclasses import dataclass

# A sample of Azure's regions for container groups; `az provider show -n Microsoft.ContainerInstance` lists all.
REGIONS = (
    *("australiaeast", "brazilsouth", "canadacentral", "centralindia", "centralus", "eastasia", "eastus", "eastus2"),
    *("francecentral", "germanywestcentral", "italynorth", "japaneast", "koreacentral", "northcentralus"),
    *("northeurope", "norwayeast", "polandcentral", "southafricanorth", "southcentralus", "southeastasia"),
    *("swedencentral", "switzerlandnorth", "uaenorth", "uksouth", "ukwest", "westcentralus", "westeurope"),
    *("westindia", "westus", "westus2", "westus3"),
)

# Source: "Resource availability & quota limits for ACI" on Microsoft Learn: one group, without asking for more.
MAX_CPU = 4
MAX_MEMORY_GB = 16
MAX_GPUS = 4
MAX_CONTAINERS = 60
MAX_PORTS = 5


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of one thing a subscription may have in a region."""

    name: str
    shown: str
    limit: int


QUOTAS = (
    Quota("ContainerGroups", "Container Groups", 100),
    Quota("StandardCores", "Standard Cores", 100),
    Quota("StandardSpotCores", "Standard Spot Cores", 100),
    Quota("StandardK80Cores", "Standard K80 Cores", MAX_GPUS),
    Quota("StandardP100Cores", "Standard P100 Cores", MAX_GPUS),
    Quota("StandardV100Cores", "Standard V100 Cores", MAX_GPUS),
)


def normal(location: str) -> str:
    """``West US`` and ``westus`` are one region."""
    return "".join(location.split()).lower()
