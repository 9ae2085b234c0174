"""Which mode a deployment is of: the host's own target remembers it by the provider, which only a card has."""

from collections.abc import Mapping
from typing import Any

from targets.aks import AksSettings
from targets.docker import DockerSettings
from targets.fpga.hosted import Mode
from targets.fpga.settings import FpgaSettings
from targets.local import LocalSettings

Made = DockerSettings | AksSettings | LocalSettings
_CONTRACT = ("provider", "provider_options", "fallback")


def mode_of(settings: Mapping[str, Any]) -> Mode:
    """The mode, by the settings in a deployment's detail."""
    return "ep" if settings.get("provider") else "rtl"


def asked_again(on: str, made: Made) -> FpgaSettings:
    """The settings that lead to these of the host's target.

    A circuit's own (``bits`` and the like) are about a package that is to be made, and here there is one.
    """
    given = made.model_dump(exclude_unset=True, exclude={*_CONTRACT, "made_for"})
    if made.provider is None:
        return FpgaSettings.model_validate({"mode": "rtl", "host": on, on: given})
    contract = {name: getattr(made, name) for name in _CONTRACT}
    return FpgaSettings.model_validate({"mode": "ep", "host": on, **contract, **_card(made), on: given})


def _card(made: Made) -> dict[str, Any]:
    if isinstance(made, DockerSettings) and made.devices:
        return {"devices": made.devices}
    if isinstance(made, AksSettings) and made.resources:
        *_, (name, count) = made.resources.items()  # those of the user's own come before it
        return {"resource": name, "cards": count}
    return {}
