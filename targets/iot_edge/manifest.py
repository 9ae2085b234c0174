"""Deployment manifests: one module in and out of a device's present one, and layers for many devices; pure functions.

What others put into a manifest stays as it is.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

from targets.iot_edge.module import Json, Resolve, Wanted, credentials_of, desired, in_pieces, module_entry, routes_of
from targets.iot_edge.settings import IotEdgeSettings
from targets.kit.iothub.hub import AGENT, HUB

DESIRED: Final = "properties.desired"
_OF_A_RELEASE: Final = ("hold", "package")
# Of a device's hub: AMQP, MQTT, and both over web sockets.
_PORTS: Final = (443, 5671, 8883)
_OLD_SCHEMA, _SCHEMA = "1.0", "1.1"


def device_manifest(
    present: Mapping[str, Json], wanted: Wanted, secret: Resolve, *, hold: str | None, gone: Iterable[str]
) -> Json:
    """What a device's modules shall be, as ``applyConfigurationContent`` takes it.

    Args:
        present: Desired properties by module: of ``$edgeAgent``, ``$edgeHub``, and of the module itself.
        hold: Digest of the package that takes no messages for now.
        gone: Routes that an earlier release had.
    """
    agent, hub = _system(present, wanted.settings)
    agent["modules"][wanted.module] = module_entry(wanted)
    if wanted.settings.startup_order is not None and agent.get("schemaVersion") == _OLD_SCHEMA:
        agent["schemaVersion"] = _SCHEMA  # the first that knows the order
    if credentials := credentials_of(wanted, secret):
        known = agent["runtime"].setdefault("settings", {}).setdefault("registryCredentials", {})
        known.update(credentials)
    kept = {name: route for name, route in hub["routes"].items() if name not in set(gone)}
    hub["routes"] = {**kept, **routes_of(wanted)}
    return {
        AGENT: {DESIRED: agent},
        HUB: {DESIRED: hub},
        wanted.module: {DESIRED: _own(present.get(wanted.module) or {}, desired(wanted, hold=hold))},
    }


def without(present: Mapping[str, Json], wanted: Wanted, *, gone: Iterable[str], credentials: Iterable[str]) -> Json:
    """A device's manifest without the module, its routes, and those of its credentials that nothing else needs."""
    agent, hub = _system(present, wanted.settings)
    agent["modules"].pop(wanted.module, None)
    known = (agent["runtime"].get("settings") or {}).get("registryCredentials") or {}
    for name in credentials:
        known.pop(name, None)
    hub["routes"] = {name: route for name, route in hub["routes"].items() if name not in set(gone)}
    return {AGENT: {DESIRED: agent}, HUB: {DESIRED: hub}}


def layer(wanted: Wanted, secret: Resolve) -> Json:
    """A layered deployment's content: what it adds to the manifests of devices."""
    credentials = credentials_of(wanted, secret)
    names = {f"{DESIRED}.runtime.settings.registryCredentials.{name}": entry for name, entry in credentials.items()}
    routes = {f"{DESIRED}.routes.{name}": route for name, route in routes_of(wanted).items()}
    tuned = desired(wanted, hold=None)
    own = {f"{DESIRED}.{name}": value for name, value in tuned.items() if value}
    return {
        AGENT: {f"{DESIRED}.modules.{wanted.module}": module_entry(wanted), **names},
        HUB: routes,
        **({wanted.module: own} if own else {}),
    }


def part_of(wanted: Wanted) -> Json:
    """The module's own part of a device's manifest, as a plan shows it: the rest may hold secrets of others."""
    content = layer(wanted, str)
    content[wanted.module] = {f"{DESIRED}.{name}": value for name, value in desired(wanted, hold=None).items()}
    return content


def system_modules(settings: IotEdgeSettings) -> Json:
    """``$edgeAgent`` of a device that has no deployment yet."""
    ports = {f"{port}/tcp": [{"HostPort": str(port)}] for port in _PORTS}
    options = in_pieces({"HostConfig": {"PortBindings": ports}})
    hub = {"image": settings.edge_hub_image, **options}
    return {
        "schemaVersion": _SCHEMA,
        "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25"}},
        "systemModules": {
            "edgeAgent": {"type": "docker", "settings": {"image": settings.edge_agent_image, "createOptions": "{}"}},
            "edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always", "settings": hub},
        },
        "modules": {},
    }


def has_deployment(agent: Mapping[str, Any]) -> bool:
    """Whether a device was ever given modules."""
    return bool(agent.get("systemModules"))


def _system(present: Mapping[str, Json], settings: IotEdgeSettings) -> tuple[Json, Json]:
    agent, hub = copy.deepcopy(present.get(AGENT) or {}), copy.deepcopy(present.get(HUB) or {})
    if not has_deployment(agent):
        agent = system_modules(settings)
    agent.setdefault("modules", {})
    agent.setdefault("runtime", {"type": "docker", "settings": {}})
    fresh: Json = {"schemaVersion": _SCHEMA, "routes": {}, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}
    hub = hub or fresh
    hub.setdefault("routes", {})
    return agent, hub


def _own(present: Json, wished: Json) -> Json:
    """The module's desired properties with those wished; others', and such as were set while it ran, stay.

    But for what would let another package answer than the release's own.
    """
    made = copy.deepcopy(present)
    for section, values in wished.items():
        before = made.get(section)
        kept = {
            name: value
            for name, value in (before if isinstance(before, dict) else {}).items()
            if name not in _OF_A_RELEASE
        }
        made[section] = {**kept, **values}
    return made
