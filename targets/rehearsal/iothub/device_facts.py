"""What an edge agent reports of its machine."""

from collections.abc import Mapping
from typing import Any, Final

from packager.core.image import Platform

_ARCHITECTURES: Final[Mapping[str, str]] = {"amd64": "x86_64", "arm64": "aarch64"}


def facts_of(platform: Platform) -> dict[str, Any]:
    """``systemInfo`` and ``runtime.platform`` of a machine."""
    architecture = _ARCHITECTURES.get(platform.architecture, platform.architecture)
    return {
        "systemInfo": {
            "operatingSystemType": "linux",
            "operatingSystem": "rehearsal",
            "architecture": architecture,
            "version": "1.6.0",
            "provisioning": {"type": "manual", "dynamicReprovisioning": False, "alwaysReprovisionOnStartup": False},
        },
        "platform": {"os": "linux", "architecture": architecture, "version": "1.6.0"},
    }
