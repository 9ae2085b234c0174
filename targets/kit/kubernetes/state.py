"""A deployment as its objects show it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from packager.core.errors import NameTaken
from targets.kit.kubernetes.cluster import Cluster, Object
from targets.kit.kubernetes.kinds import OF_A_DEPLOYMENT, key_of, words_for
from targets.kit.kubernetes.names import object_name
from targets.kit.kubernetes.objects.wanted import DRAY, INSTANCE, MANAGED_BY
from targets.kit.kubernetes.record import NAME, RECORD, Record

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What there is of one deployment.

    Attributes:
        record: What is known of it; None where there is nothing.
        version: Of the Service that holds the record; empty where there is none.
        objects: All of dray's with its label, by kind and name.
    """

    name: str
    record: Record | None = None
    version: str = ""
    objects: Mapping[Key, Object] = field(default_factory=dict)


def selector(name: str) -> dict[str, str]:
    """Labels of all objects of a deployment."""
    return {INSTANCE: object_name(name), MANAGED_BY: DRAY}


def record_of(service: Mapping[str, Any]) -> tuple[str, Record] | None:
    """The deployment's name and record that a Service holds; None for one that is none of dray's."""
    annotations = service["metadata"].get("annotations") or {}
    name, text = annotations.get(NAME), annotations.get(RECORD)
    return (name, Record.parse(text, name)) if name and text else None


def read(cluster: Cluster, name: str, kinds: Iterable[str] = OF_A_DEPLOYMENT) -> Deployed:
    """A deployment as it is now.

    Args:
        kinds: To look for, beside the Service with the record.

    Raises:
        NameTaken: Its name is another's in the namespace.
    """
    label = object_name(name)
    service = cluster.get("Service", label)
    found = record_of(service) if service else None
    if service and (found is None or found[0] != name):
        raise _taken(cluster, ("Service", label))
    objects: dict[Key, Object] = {key_of({**service, "kind": "Service"}): service} if service else {}
    for kind in kinds:
        objects |= {key_of(each): each for each in cluster.list(kind, selector(name))}
    version = str(service["metadata"].get("resourceVersion") or "") if service else ""
    return Deployed(name, found[1] if found else None, version, objects)


def refuse_if_taken(cluster: Cluster, keys: Iterable[Key]) -> None:
    """Look for objects that dray is about to make: one that is there is somebody else's.

    An apply would share such an object without a word where their fields differ, as a ServiceAccount's do, and the
    deployment's end would delete it.

    Raises:
        NameTaken: One is there.
    """
    for key in keys:
        if cluster.get(*key) is not None:
            raise _taken(cluster, key)


def _taken(cluster: Cluster, key: Key) -> NameTaken:
    return NameTaken(
        f"{words_for(*key)} of namespace {cluster.namespace!r} is there and is not dray's",
        hint="choose another name (-n NAME) or another namespace",
    )
