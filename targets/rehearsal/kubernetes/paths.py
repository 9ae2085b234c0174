"""Where resources are: the paths of the API, read into what they name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from targets.rehearsal.kubernetes.errors import unknown_path
from targets.rehearsal.kubernetes.resources import BY_PATH, NAMESPACES, Resource

_BASE: Final = re.compile(r"/(?:api/(?P<core>v\d\w*)|apis/(?P<group>[^/]+)/(?P<version>v\d\w*))/(?P<rest>.+?)/?")
_IN_NAMESPACE: Final = re.compile(r"namespaces/(?P<namespace>[^/]+)/(?P<rest>.+)")
# Of a namespace itself, so that what follows is no resource in it.
_OF_NAMESPACES: Final = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Place:
    """What a path names.

    Attributes:
        watched: Whether it is an old path of a watch.
    """

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watched: bool = False


def place_of(path: str) -> Place:
    """Raises ApiError: nothing is served there."""
    match = _BASE.fullmatch(path)
    if match is None:
        raise unknown_path()
    group, version, rest = match["group"] or "", match["version"] or match["core"], match["rest"]
    watched = rest.startswith("watch/")
    rest = rest.removeprefix("watch/")
    inside = _IN_NAMESPACE.fullmatch(rest)
    namespace = ""
    if inside is not None and not (group == "" and inside["rest"] in _OF_NAMESPACES):
        namespace, rest = inside["namespace"], inside["rest"]
    plural, _, named = rest.partition("/")
    name, _, subresource = named.partition("/")
    resource = BY_PATH.get((group, version, plural))
    if resource is None or (namespace and not resource.namespaced):
        raise unknown_path()
    if subresource and subresource not in resource.subresources:
        raise unknown_path()
    if resource == NAMESPACES and subresource == "finalize":
        raise unknown_path()
    return Place(resource, namespace, name, subresource, watched)


def query_of(pairs: list[tuple[str, str]]) -> Mapping[str, str]:
    """A query's parameters; of those that stand more than once, the first."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
