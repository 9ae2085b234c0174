"""The installed converters, targets and rehearsals, found by entry point; dray's own register in the same way."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import metadata
from typing import Any, Generic, TypeVar

from packager.core.errors import ConverterMissing, PluginBroken, UsageError
from packager.core.protocols import Converter, Target
from packager.core.rehearsal import Rehearsal

CONVERTERS = "dray.converters"
TARGETS = "dray.targets"
REHEARSALS = "dray.rehearsals"

P = TypeVar("P")
Check = Callable[[object], bool]


class Registry(Mapping[str, P], Generic[P]):
    """The plugins of one group by name; a plugin's code is imported when it is first asked for.

    Raises:
        PluginBroken: Two distributions claim one name (on creation), or a plugin cannot be used (on access).
    """

    def __init__(self, group: str, entry_points: tuple[metadata.EntryPoint, ...], accepts: Check) -> None:
        self._group = group
        self._accepts = accepts
        self._entry_points = _by_name(group, entry_points)
        self._loaded: dict[str, P] = {}

    def __getitem__(self, name: str) -> P:
        if name not in self._loaded:
            self._loaded[name] = _load(self._entry_points[name], self._accepts)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entry_points)

    def __len__(self) -> int:
        return len(self._entry_points)

    def __contains__(self, name: object) -> bool:
        return name in self._entry_points  # Mapping's own would import the plugin to find out


@cache
def converters() -> Mapping[str, Converter]:
    """Every installed converter by the name of its framework, in alphabetical order."""
    return Registry[Converter](CONVERTERS, _installed(CONVERTERS), lambda plugin: isinstance(plugin, Converter))


@cache
def targets() -> Mapping[str, Target[Any]]:
    """Every installed target by name, in alphabetical order."""
    return Registry[Target[Any]](TARGETS, _installed(TARGETS), lambda plugin: isinstance(plugin, Target))


@cache
def rehearsals() -> Mapping[str, Rehearsal]:
    """Every installed stand-in of a cloud by the name of its target, in alphabetical order."""
    return Registry[Rehearsal](REHEARSALS, _installed(REHEARSALS), lambda plugin: isinstance(plugin, Rehearsal))


def converter(name: str) -> Converter:
    """The converter of a framework.

    Raises:
        ConverterMissing: None of this name is installed.
    """
    known = converters()
    if name not in known:
        raise ConverterMissing(
            f"no converter named {name!r} is installed", hint=_nearest(name, known), detail={"known": list(known)}
        )
    return known[name]


def target(name: str) -> Target[Any]:
    """The target of this name.

    Raises:
        UsageError: None of this name is installed.
    """
    known = targets()
    if name not in known:
        raise UsageError(
            f"no target named {name!r} is installed", hint=_nearest(name, known), detail={"known": list(known)}
        )
    return known[name]


def rehearsal(name: str) -> Rehearsal:
    """The stand-in of a target.

    Raises:
        UsageError: There is none, or no such target.
    """
    known = rehearsals()
    if name not in known:
        chosen = target(name)
        listed = f"; there are stand-ins of: {', '.join(known)}" if known else ""
        raise UsageError(
            f"{chosen.name!r} has no stand-in and needs none: it deploys without an account",
            hint=f"leave --rehearse out{listed}",
            detail={"known": list(known)},
        )
    return known[name]


def absent_requirements(plugin: Converter) -> tuple[str, ...]:
    """Distributions that a converter needs and this environment lacks."""
    return tuple(name for name in plugin.requires if not _is_installed(name))


def _installed(group: str) -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group=group))


def _by_name(group: str, entry_points: tuple[metadata.EntryPoint, ...]) -> dict[str, metadata.EntryPoint]:
    found: dict[str, metadata.EntryPoint] = {}
    for entry in sorted(entry_points, key=lambda entry: (entry.name, _owner(entry), entry.value)):
        other = found.setdefault(entry.name, entry)
        if (_owner(other), other.value) != (_owner(entry), entry.value):
            raise PluginBroken(
                f"{_owner(other)} and {_owner(entry)} both install {entry.name!r} in the group {group!r}",
                hint="uninstall one of the two",
                detail={"group": group, "name": entry.name, "values": [other.value, entry.value]},
            )
    return found


def _load(entry: metadata.EntryPoint, accepts: Check) -> Any:
    """An instance of the class that the entry point names."""
    where = f"{entry.name!r} of {_owner(entry)} ({entry.value})"
    try:
        plugin = entry.load()()
    except Exception as error:  # a plugin's module may fail in any way; it is named here, once
        raise PluginBroken(
            f"the plugin {where} cannot be loaded: {type(error).__name__}: {error}",
            hint=f"reinstall or upgrade {_owner(entry)}, or uninstall it",
        ) from error
    if not accepts(plugin) or plugin.name != entry.name:
        raise PluginBroken(
            f"the plugin {where} does not follow the interface of {entry.group!r}",
            hint=f"upgrade {_owner(entry)}: packager.core has the interfaces; its name is the entry point's",
        )
    return plugin


def _owner(entry: metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown distribution"


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    listed = f"installed are: {', '.join(known)}" if known else "none is installed"
    return f"did you mean {close[0]!r}? {listed}" if close else listed
