"""A second look while a model is being loaded: Python itself reports every name that an unpickler asks for."""

import _compat_pickle
import sys
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass

from packager.core.errors import UnsafeModel


@dataclass(slots=True)
class _Limit:
    """What may be imported while ``active``; None for anything."""

    allowed: AbstractSet[tuple[str, str]] | None = None
    active: bool = False
    hooked: bool = False


_limit = _Limit()


def limit_unpickling(allowed: AbstractSet[tuple[str, str]]) -> None:
    """From now on, loading inside ``limited_unpickling`` may import these (module, name) pairs only."""
    _limit.allowed = allowed
    if not _limit.hooked:
        sys.addaudithook(_audit)  # there is no way to take it back, which is the purpose
        _limit.hooked = True


def unpickling_limit() -> AbstractSet[tuple[str, str]] | None:
    """What may be imported while a model is loaded; None where the file is trusted."""
    return _limit.allowed


@contextmanager
def limited_unpickling() -> Iterator[None]:
    """Keep to what ``limit_unpickling`` allowed, in whatever way something is unpickled.

    Raises:
        UnsafeModel: Something else was asked for, which is not imported.
    """
    _limit.active = True
    try:
        yield
    finally:
        _limit.active = False


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event != "pickle.find_class" or not _limit.active or _limit.allowed is None:
        return
    module, name = str(arguments[0]), str(arguments[1])
    if (module, name) in _limit.allowed or _current(module, name) in _limit.allowed:
        return
    raise UnsafeModel(f"loading the model asked for {module}.{name}, which no list of harmless names holds")


def _current(module: str, name: str) -> tuple[str, str]:
    """The pair under its name in Python 3; the event comes before the unpickler translates it."""
    translated = _compat_pickle.NAME_MAPPING.get((module, name))
    return translated or (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
