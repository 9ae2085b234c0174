"""The module as the device's agent is asked for it: image, create options, environment, routes; pure functions.

Source: learn.microsoft.com, "Properties of the IoT Edge agent and IoT Edge hub module twins"; the Docker Engine API
1.41, "Create a container".
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from packager.core.image import DEFAULT_REGISTRY, ImageRef
from targets.iot_edge.names import credentials_name, module_name, route_name, volume_name
from targets.iot_edge.record import Served
from targets.iot_edge.settings import IotEdgeSettings
from targets.kit.engine.hardening import USER, limits, restrictions
from targets.kit.referenced_values import PULL, PULL_USER

Json = dict[str, Any]
Resolve = Callable[[str], str]
PORT: Final = 8080
KEPT: Final = "/var/lib/dray"
KEYS: Final = "/run/secrets/dray/api-keys"
INPUT: Final = "inference"
SECTION: Final = "dray"
_HUB: Final = "https://index.docker.io/v1/"
# The longest piece of create options that every version takes. Source: the service's own tools, which cut there.
_PIECE: Final = 512


@dataclass(frozen=True, slots=True)
class Wanted:
    """A release that shall run as a module."""

    name: str
    served: Served
    settings: IotEdgeSettings

    @property
    def module(self) -> str:
        """The module's name."""
        return module_name(self.name)

    @property
    def image(self) -> ImageRef:
        """The release's image."""
        return ImageRef.parse(self.served.image)


def wanted_of(name: str, served: Served) -> Wanted:
    """A release that a record holds, as it was asked for."""
    return Wanted(name, served, served.chosen())


def exact(image: ImageRef) -> str:
    """The image by its digest alone where it has one: no tag that moves can lead elsewhere."""
    full = image.full
    return str(ImageRef(full.registry, full.repository, None, full.digest) if full.digest else full)


def module_entry(wanted: Wanted) -> Json:
    """The module among those of ``$edgeAgent``."""
    settings = wanted.settings
    order = {} if settings.startup_order is None else {"startupOrder": settings.startup_order}
    return {
        "version": wanted.served.version,
        "type": "docker",
        "status": "running",
        "restartPolicy": settings.restart_policy,
        **order,
        "env": {name: {"value": value} for name, value in sorted(_environment(settings).items())},
        "settings": {"image": exact(wanted.image), **in_pieces(create_options(wanted))},
    }


def create_options(wanted: Wanted) -> Json:
    """What the device's container engine is asked for."""
    settings = wanted.settings
    logs = {"max-size": f"{settings.log_mib}m", "max-file": str(settings.log_files)}
    host = {
        **restrictions(tmp_mib=settings.tmp_mib, log_files=settings.log_files),
        "LogConfig": {"Type": "json-file", "Config": logs},
        **limits(settings.cpus, settings.memory_mib),
        "Mounts": _mounts(wanted),
    }
    exposed: Json = {}
    if settings.http_port is not None:
        exposed = {"ExposedPorts": {f"{PORT}/tcp": {}}}
        host["PortBindings"] = {f"{PORT}/tcp": [{"HostIp": settings.http_host, "HostPort": str(settings.http_port)}]}
    return {"User": USER, **exposed, "HostConfig": host}


def in_pieces(options: Mapping[str, Any]) -> dict[str, str]:
    """Create options as text, cut where a twin takes no longer one: createOptions, createOptions01 and on."""
    text = json.dumps(options, separators=(",", ":"), sort_keys=True)
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    return {f"createOptions{index:02d}" if index else "createOptions": piece for index, piece in enumerate(pieces)}


def from_pieces(settings: Mapping[str, Any]) -> Json:
    """What ``in_pieces`` wrote; empty where that cannot be read."""
    names = sorted(
        (name for name in settings if name.lower().startswith("createoptions")), key=lambda name: name.lower()
    )
    try:
        options = json.loads("".join(str(settings[name]) for name in names) or "{}")
    except ValueError:
        return {}
    return options if isinstance(options, dict) else {}


def routes_of(wanted: Wanted) -> dict[str, str]:
    """Routes to and from the module, by name."""
    module, settings = wanted.module, wanted.settings
    here = f'BrokeredEndpoint("/modules/{module}/inputs/{INPUT}")'
    made = {
        route_name(module, f"from-{index}"): f"FROM {_source(source)} INTO {here}"
        for index, source in enumerate(settings.sources, start=1)
    }
    if settings.upstream:
        made[route_name(module, "upstream")] = f"FROM /messages/modules/{module}/outputs/* INTO $upstream"
    return {**made, **{route_name(module, f"route-{name}"): text for name, text in sorted(settings.routes.items())}}


def desired(wanted: Wanted, *, hold: str | None) -> Json:
    """Desired properties of the module.

    Args:
        hold: Digest of the package that takes no messages yet, for it is tested first; another that runs there goes on.
    """
    held = {"hold": hold} if hold else {}
    return {SECTION: {**dict(sorted(wanted.settings.twin.items())), **held}}


def credentials_of(wanted: Wanted, secret: Resolve) -> dict[str, Json]:
    """Credentials of the image's registry for the device, by name; they stand there in clear.

    Args:
        secret: The value behind a reference; the reference itself in a plan.
    """
    settings, image = wanted.settings, wanted.image
    if settings.registry_username and settings.registry_password:
        user, password = settings.registry_username, settings.registry_password
    elif wanted.served.pull:
        user, password = f"{PULL_USER}:{image.host}", f"{PULL}:{image.host}"
    else:
        return {}
    entry = {"username": secret(user), "password": secret(password), "address": address_of(image)}
    return {credentials_name(image): entry}


def address_of(image: ImageRef) -> str:
    """An image's registry as credentials name it."""
    return _HUB if image.host == DEFAULT_REGISTRY else image.host


def _environment(settings: IotEdgeSettings) -> dict[str, str]:
    keys = {"DRAY_API_KEYS_FILE": KEYS} if settings.api_keys_file else {}
    return {**settings.environment(), **keys, **settings.env}


def _mounts(wanted: Wanted) -> list[Json]:
    settings = wanted.settings
    kept: Json = {"Type": "volume", "Source": settings.volume or volume_name(wanted.module), "Target": KEPT}
    if settings.folder:
        kept = {"Type": "bind", "Source": settings.folder, "Target": KEPT}
    files = {**settings.mounts, **({settings.api_keys_file: KEYS} if settings.api_keys_file else {})}
    read = [
        {"Type": "bind", "Source": here, "Target": there, "ReadOnly": True} for here, there in sorted(files.items())
    ]
    return [kept, *read]


def _source(source: str) -> str:
    """What stands behind ``FROM``."""
    if source.startswith("/"):
        return source
    module, output = source.split("/", 1)
    return f"/messages/modules/{module}/outputs/{output}"
