"""The settings of ``mode: ep`` as those of the target that serves: nothing is rendered here."""

from typing import Any

from targets.aks import AksSettings
from targets.docker import DockerSettings
from targets.fpga.ep.host import Host
from targets.fpga.ep.needs import Needs, resource_of
from targets.fpga.ep.settings import EpSettings
from targets.fpga.hosted import MADE_FOR
from targets.local import LocalSettings

_SIZE = "node.kubernetes.io/instance-type"


def on_docker(settings: EpSettings, needs: Needs, host: Host) -> DockerSettings:
    """A container that gets the card's device nodes, and is in the groups that own them."""
    given = settings.docker
    named = settings.devices if settings.devices is not None else host.nodes
    # A device that is not there keeps the engine from starting the container at all.
    missing = host.seen and settings.fallback == "allow" and not host.has_card
    # Nodes that somebody names are given as they are, without NVIDIA's toolkit.
    toolkit = needs.gpus and not settings.devices
    devices = () if missing or toolkit else tuple(node for node in named if not host.seen or node in host.nodes)
    own = tuple(node for node in given.devices if not missing or node not in (settings.devices or ()))
    more: dict[str, Any] = {
        "devices": tuple(dict.fromkeys((*own, *devices))),
        "groups": tuple(dict.fromkeys((*given.groups, *(host.groups if devices else ())))),
        "mounts": tuple(dict.fromkeys((*given.mounts, *settings.mounts))),
        "gpus": given.gpus or (settings.cards if toolkit and not missing else None),
    }
    return DockerSettings.model_validate({**_given(given), **_contract(settings), **more})


def on_kubernetes(settings: EpSettings, host: Host) -> AksSettings:
    """Pods that ask for the card by its extended resource, on nodes of the size."""
    given = settings.kubernetes
    missing = host.seen and settings.fallback == "allow" and not host.has_card
    size = {_SIZE: settings.vm_size} if settings.vm_size and not missing else {}
    resource = resource_of(settings)
    card = {resource: settings.cards} if resource and not missing else {}
    more = {"resources": {**given.resources, **card}, "node_selector": {**size, **given.node_selector}}
    return AksSettings.model_validate({**_given(given), **_contract(settings), **more})


def on_this_machine(settings: EpSettings) -> LocalSettings:
    """A process, which sees what its user sees."""
    return LocalSettings.model_validate({**_given(settings.local), **_contract(settings)})


def _contract(settings: EpSettings) -> dict[str, Any]:
    return {
        "provider": settings.provider,
        "provider_options": dict(settings.provider_options),
        "fallback": settings.fallback,
        "made_for": MADE_FOR,
    }


def _given(host: DockerSettings | AksSettings | LocalSettings) -> dict[str, Any]:
    return host.model_dump(exclude_unset=True)
