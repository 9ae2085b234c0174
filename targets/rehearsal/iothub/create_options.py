"""Of a module's settings: what its container gets, as an edge agent hands it to the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from targets.rehearsal.iothub.manifests import create_options

_MIB: Final = 1 << 20
# Rehearsals start nothing privileged; the rest of what would give a container the machine is refused as well.
_FORBIDDEN: Final = (
    "Privileged",
    "CapAdd",
    "Devices",
    "DeviceRequests",
    "PidMode",
    "IpcMode",
    "UsernsMode",
    "VolumesFrom",
)


class OptionsRefused(Exception):
    """The engine would take them; a rehearsal does not."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a rehearsal heeds of create options.

    Attributes:
        volumes: Names by where they are mounted.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    cpus: float | None = None
    memory_mib: int | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)


def options_of(settings: Mapping[str, Any]) -> Options:
    """Of a module's settings, which were judged before.

    Raises:
        OptionsRefused: They want what a rehearsal does not give, or no engine would understand them.
    """
    try:
        return _options_of(settings)
    except (TypeError, ValueError, AttributeError) as error:
        raise OptionsRefused(f"createOptions are not understood: {error}") from error


def _options_of(settings: Mapping[str, Any]) -> Options:
    given = create_options(settings)
    host = given.get("HostConfig") or {}
    for name in _FORBIDDEN:
        if host.get(name):
            raise OptionsRefused(f"HostConfig.{name} is not given in a rehearsal, which starts nothing privileged")
    nano, memory = host.get("NanoCpus") or host.get("NanoCPUs"), host.get("Memory")
    return Options(
        environment=dict(one.partition("=")[::2] for one in given.get("Env") or ()),
        command=(*_words(given.get("Entrypoint")), *_words(given.get("Cmd"))),
        cpus=nano / 1e9 if nano else None,
        memory_mib=max(1, memory // _MIB) if memory else None,
        volumes=_volumes(host),
    )


def _volumes(host: Mapping[str, Any]) -> dict[str, str]:
    volumes = {}
    for bind in host.get("Binds") or ():
        source, _, rest = str(bind).partition(":")
        volumes[_absolute(rest.partition(":")[0])] = _volume(source)
    for mount in host.get("Mounts") or ():
        if mount.get("Type") == "tmpfs":
            continue
        if mount.get("Type") != "volume":
            raise OptionsRefused(f"a mount of type {mount.get('Type')!r} is not given in a rehearsal: name a volume")
        volumes[_absolute(str(mount.get("Target", "")))] = _volume(str(mount.get("Source", "")))
    return volumes


def _volume(source: str) -> str:
    if "/" in source or not source:
        raise OptionsRefused(f"a rehearsal mounts no folder of this machine ({source!r}): name a volume")
    return source


def _absolute(target: str) -> str:
    path = PurePosixPath(target)
    if not path.is_absolute() or ".." in path.parts or str(path) == "/":
        raise OptionsRefused(f"{target!r} is no place for a volume")
    return str(path)


def _words(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())
