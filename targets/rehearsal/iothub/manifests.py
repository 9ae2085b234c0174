"""What a deployment of modules must look like: the content of ``applyConfigurationContent`` and of configurations.

Source: "Properties of the IoT Edge agent and IoT Edge hub module twins", Microsoft, and the JSON schemas of its tools;
written anew, and stricter than the service where a device would refuse later.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from targets.rehearsal.iothub import twins
from targets.rehearsal.iothub.errors import HubError, invalid
from targets.rehearsal.iothub.identities import AGENT, HUB
from targets.rehearsal.iothub.routes import RouteInvalid, route_of

Json = dict[str, Any]
_Check = Callable[[str, Any], None]

DESIRED: Final = "properties.desired"
_OPTIONS_BYTES: Final = 4 << 10
_OPTION_PARTS: Final = 16
_MODULE_NAME: Final = re.compile(r"[A-Za-z0-9_\-]{1,128}")
_ROUTE_NAME: Final = re.compile(r"[^.$# ]{1,128}")
_AGENT_VERSIONS: Final = ("1.0", "1.1")
_HUB_VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3")
_MOST_MODULES: Final = 50
_CREDENTIALS: Final = "runtime.settings.registryCredentials"


def check_content(content: Any, *, layered_allowed: bool) -> bool:
    """Judge the content of a deployment; whether it is layered.

    Args:
        layered_allowed: Of an automatic deployment; one device's own cannot be layered.

    Raises:
        HubError: With the path of what is wrong.
    """
    modules = _object("modulesContent", content)
    if not modules:
        raise invalid("modulesContent is empty")
    if len(modules) > _MOST_MODULES + 2:
        raise invalid(f"a deployment has at most {_MOST_MODULES} modules")
    agent = modules.get(AGENT)
    layered = not (isinstance(agent, dict) and DESIRED in agent)
    if layered and not layered_allowed:
        raise invalid(f"modulesContent.{AGENT} lacks {DESIRED!r}, which a device's own deployment must have")
    if not layered and HUB not in modules:
        raise invalid(f"modulesContent lacks {HUB}")
    for name, given in modules.items():
        where = f"modulesContent.{name}"
        for path, value in _object(where, given).items():
            _check_part(name, where, path, value, layered=layered)
    return layered


def properties_of(given: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> Json:
    """Desired properties of one module's content, on top of those of a lower layer."""
    properties: Json = twins.merged_with(dict(base or {}), {})
    for path, value in given.items():
        if path == DESIRED:
            properties = twins.merged_with({}, value)
        else:
            properties = _with(properties, path.removeprefix(f"{DESIRED}.").split("."), value)
    return properties


def create_options(settings: Mapping[str, Any]) -> Json:
    """The options of a module's settings, put together where they are written in parts.

    Raises:
        ValueError: They are no JSON object.
    """
    text = "".join(str(settings[name]) for name in _option_names(settings))
    if not text.strip():
        return {}
    options = json.loads(text)
    if not isinstance(options, dict):
        raise ValueError("createOptions are no JSON object")  # noqa: TRY004 - as for what is no JSON at all
    return options


def _check_part(name: str, where: str, path: str, value: Any, *, layered: bool) -> None:
    if path != DESIRED and not path.startswith(f"{DESIRED}."):
        raise invalid(f"{where} has {path!r}; only {DESIRED!r} or a path below it can stand there")
    below = path.removeprefix(DESIRED).removeprefix(".")
    if below and not layered and name in (AGENT, HUB):
        raise invalid(f"{where}.{path}: a path below {DESIRED!r} is for layered deployments")
    if not below:
        _object(f"{where}.{path}", value)
    if name == AGENT:
        _check_agent(f"{where}.{path}", below, value)
    elif name == HUB:
        _check_hub(f"{where}.{path}", below, value)
    else:
        _name(_MODULE_NAME, where, name)
        twins.check(_with({}, below.split("."), value) if below else value)


def _check_agent(where: str, below: str, value: Any) -> None:
    if not below:
        _fields(where, value, _AGENT, required=("schemaVersion", "runtime", "systemModules", "modules"))
        twins.check_size(value, 32 << 10)
        return
    kind, _, name = below.rpartition(".")
    if kind == "modules":
        _name(_MODULE_NAME, where, name)
        _module(where, value)
    elif kind == "systemModules":
        _fields(where, _object(where, value), _SYSTEM_MODULE, required=())
    elif kind == _CREDENTIALS:
        _registries(where.removesuffix(f".{name}"), {name: value})
    else:
        raise invalid(f"{where}: a layered deployment names modules.NAME, systemModules.NAME or {_CREDENTIALS}.NAME")


def _check_hub(where: str, below: str, value: Any) -> None:
    if not below:
        _fields(where, value, _HUB, required=("schemaVersion", "routes"))
        return
    kind, _, route = below.partition(".")
    if kind == "routes" and route and "." not in route:
        _route(where, route, value)
    elif below == "storeAndForwardConfiguration":
        _stored(where, value)
    else:
        raise invalid(f"{where}: a layered deployment names routes.NAME or storeAndForwardConfiguration")


def _module(where: str, value: Any) -> None:
    _fields(where, _object(where, value), _MODULE, required=("type", "status", "restartPolicy", "settings"))


def _modules(where: str, value: Any) -> None:
    for name, module in _object(where, value).items():
        _name(_MODULE_NAME, where, name)
        _module(f"{where}.{name}", module)


def _system_modules(where: str, value: Any) -> None:
    known = {"edgeAgent", "edgeHub"}
    if set(_object(where, value)) != known:
        raise invalid(f"{where} must have edgeAgent and edgeHub, and nothing else")
    _fields(f"{where}.edgeAgent", _object(where, value["edgeAgent"]), _SYSTEM_MODULE, required=("type", "settings"))
    required = ("type", "settings", "status", "restartPolicy")
    _fields(f"{where}.edgeHub", _object(where, value["edgeHub"]), _SYSTEM_MODULE, required=required)


def _settings(where: str, value: Any) -> None:
    given = _object(where, value)
    if not isinstance(given.get("image"), str) or not given["image"].strip():
        raise invalid(f"{where}.image must be the name of an image")
    options = _option_names(given)
    for name in set(given) - {"image", *options}:
        raise invalid(f"{where} has an unknown field {name!r}")
    for name in options:
        if not isinstance(given[name], str):
            raise invalid(f"{where}.{name} must be a string that holds JSON, not {type(given[name]).__name__}")
        if len(given[name].encode()) > _OPTIONS_BYTES:
            raise invalid(f"{where}.{name} is longer than {_OPTIONS_BYTES} bytes: split it into {name}01, {name}02 …")
    try:
        create_options(given)
    except ValueError as error:
        raise invalid(f"{where}.createOptions hold no JSON object: {error}") from error


def _option_names(settings: Mapping[str, Any]) -> list[str]:
    """In the order in which they are put together."""
    numbered = [f"{number:02}" for number in range(1, _OPTION_PARTS)]
    return [
        f"{name}{end}"
        for name in ("createOptions", "createoptions")
        for end in ("", *numbered)
        if f"{name}{end}" in settings
    ]


def _environment(where: str, value: Any) -> None:
    for name, given in _object(where, value).items():
        if not name or any(each in "+#$. \t\n" for each in name):
            raise invalid(f"{where} has a variable that cannot be one: {name!r}")
        _fields(f"{where}.{name}", _object(f"{where}.{name}", given), {"value": _scalar}, required=("value",))


def _runtime(where: str, value: Any) -> None:
    _fields(
        where,
        _object(where, value),
        {"type": _one_of("docker"), "settings": _runtime_settings},
        required=("type", "settings"),
    )


def _runtime_settings(where: str, value: Any) -> None:
    known = {"minDockerVersion": _text, "loggingOptions": _text, "registryCredentials": _registries}
    _fields(where, _object(where, value), known, required=())


def _registries(where: str, value: Any) -> None:
    fields = {"address": _text, "username": _text, "password": _text}
    for name, given in _object(where, value).items():
        _name(_ROUTE_NAME, where, name)
        _fields(f"{where}.{name}", _object(where, given), fields, required=tuple(fields))


def _routes(where: str, value: Any) -> None:
    for name, route in _object(where, value).items():
        _route(f"{where}.{name}", name, route)


def _route(where: str, name: str, value: Any) -> None:
    _name(_ROUTE_NAME, where, name)
    if not isinstance(value, str):
        fields = {"route": _text, "priority": _number(0, 9), "timeToLiveSecs": _number(0, 4294967295)}
        _fields(where, _object(where, value), fields, required=("route",))
    try:
        route_of(name, value)
    except RouteInvalid as error:
        raise invalid(f"{where}: {error}") from error


def _stored(where: str, value: Any) -> None:
    _fields(where, _object(where, value), {"timeToLiveSecs": _number(-1, 4294967295)}, required=("timeToLiveSecs",))


def _one_of(*choices: str) -> _Check:
    def check(where: str, value: Any) -> None:
        if value not in choices:
            raise invalid(f"{where} is {value!r}, allowed: {', '.join(choices)}")

    return check


def _number(least: int, most: int) -> _Check:
    def check(where: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise invalid(f"{where} is {value!r}, allowed: a whole number from {least} to {most}")

    return check


def _text(where: str, value: Any) -> None:
    if not isinstance(value, str):
        raise invalid(f"{where} must be a string, not {type(value).__name__}")


def _scalar(where: str, value: Any) -> None:
    if not isinstance(value, str | int | float | bool):
        raise invalid(f"{where} must be a string, a number or a boolean")


def _anything(where: str, value: Any) -> None:
    _object(where, value)


def _object(where: str, value: Any) -> Json:
    if not isinstance(value, dict):
        raise invalid(f"{where} must be an object")
    return value


def _name(pattern: re.Pattern[str], where: str, name: str) -> None:
    if not pattern.fullmatch(name):
        raise invalid(f"{where}: {name!r} cannot be a name there")


def _fields(where: str, value: Mapping[str, Any], known: Mapping[str, _Check], *, required: tuple[str, ...]) -> None:
    for name in required:
        if name not in value:
            raise invalid(f"{where} lacks {name!r}")
    for name, given in value.items():
        if name not in known:
            raise invalid(f"{where} has an unknown field {name!r}")
        known[name](f"{where}.{name}", given)


def _with(properties: Mapping[str, Any], path: list[str], value: Any) -> Json:
    first, *rest = path
    if not first:
        raise HubError("ArgumentInvalid", f"a path below {DESIRED!r} has an empty part")
    inner = properties.get(first)
    return {**properties, first: _with(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}


_COMMON: Final[Mapping[str, _Check]] = {
    "type": _one_of("docker"),
    "settings": _settings,
    "env": _environment,
    "imagePullPolicy": _one_of("on-create", "never"),
    "status": _one_of("running", "stopped"),
    "restartPolicy": _one_of("always", "on-failure", "on-unhealthy", "never"),
    "startupOrder": _number(0, 4294967295),
}
_MODULE: Final[Mapping[str, _Check]] = {**_COMMON, "version": _text}
_SYSTEM_MODULE: Final[Mapping[str, _Check]] = _COMMON
_AGENT: Final[Mapping[str, _Check]] = {
    "schemaVersion": _one_of(*_AGENT_VERSIONS),
    "runtime": _runtime,
    "systemModules": _system_modules,
    "modules": _modules,
}
_HUB: Final[Mapping[str, _Check]] = {
    "schemaVersion": _one_of(*_HUB_VERSIONS),
    "routes": _routes,
    "storeAndForwardConfiguration": _stored,
    "mqttBroker": _anything,
}
