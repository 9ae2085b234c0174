"""Automatic deployments: which devices each is for, and what modules a device gets of all that are for it.

Source: "Understand IoT Edge automatic deployments for single devices or at scale", Microsoft.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from targets.rehearsal.iothub.clock import now
from targets.rehearsal.iothub.errors import HubError, invalid
from targets.rehearsal.iothub.expressions import MISSING, Condition, ExpressionInvalid, at, condition
from targets.rehearsal.iothub.identities import Identity
from targets.rehearsal.iothub.manifests import check_content, properties_of

Json = dict[str, Any]
_ID: Final = re.compile(r"[a-z0-9\-:+%_*!']{1,128}")
_FIELDS: Final = frozenset(
    {"id", "schemaVersion", "labels", "content", "targetCondition", "priority", "metrics", "systemMetrics", "etag",
     "createdTimeUtc", "lastUpdatedTimeUtc", "contentType"}
)  # fmt: skip
_MOST_METRICS: Final = 5
_MOST_LABELS: Final = 100


@dataclass(slots=True)
class Configuration:
    """One automatic deployment.

    Attributes:
        modules: Its ``modulesContent``.
        condition: None where it is for no device.
        number: In the order of creation.
    """

    id: str
    modules: Json
    layered: bool
    number: int
    labels: Json = field(default_factory=dict)
    target: str = ""
    condition: Condition | None = None
    priority: int = 0
    metrics: dict[str, str] = field(default_factory=dict)
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)
    version: int = 1

    @property
    def etag(self) -> str:
        """Changes with each update."""
        return f"MQ{self.number}-{self.version}"

    def is_for(self, device: Identity) -> bool:
        """Whether a device meets its condition."""
        if not device.edge:
            return False
        return self.condition is not None and self.condition.holds(lambda path: of_device(device, path))

    def change(self, body: Mapping[str, Any]) -> None:
        """Take labels, condition, priority and metrics from a body; its content never changes.

        Raises:
            HubError: They are not allowed.
        """
        _refuse_unknown(body)
        content = (body.get("content") or {}).get("modulesContent")
        if content is not None and content != self.modules:
            raise invalid("Configuration content cannot be updated: create another configuration")
        settings = _Settings.of(body)
        self.labels, self.metrics, self.priority = settings.labels, settings.metrics, settings.priority
        self.target, self.condition = settings.target, settings.condition
        self.version += 1
        self.updated = now()

    def shown(self, system: Mapping[str, int], own: Mapping[str, int]) -> Json:
        """As the service shows it, with counts by metric."""
        return {
            "id": self.id,
            "schemaVersion": "1.0",
            "labels": self.labels,
            "content": {"modulesContent": self.modules},
            "targetCondition": self.target,
            "createdTimeUtc": self.created,
            "lastUpdatedTimeUtc": self.updated,
            "priority": self.priority,
            "systemMetrics": {"results": dict(system), "queries": self._system_queries()},
            "metrics": {"results": dict(own), "queries": self.metrics},
            "etag": self.etag,
        }

    def _system_queries(self) -> dict[str, str]:
        applied = f"configurations.[[{self.id}]].status = 'Applied'"
        agents = f"select deviceId from devices.modules where moduleId = '$edgeAgent' and {applied}"  # noqa: S608
        version = f"{agents} and properties.desired.$version = properties.reported.lastDesiredVersion"
        where = " and ".join(part for part in ("capabilities.iotEdge = true", self.target) if part)
        return {
            "targetedCount": f"select deviceId from devices where {where}",  # noqa: S608 - not a database's
            "appliedCount": agents,
            "reportedSuccessfulCount": f"{version} and properties.reported.lastDesiredStatus.code = 200",
            "reportedFailedCount": f"{version} and properties.reported.lastDesiredStatus.code != 200",
        }


def configuration_of(id: str, body: Mapping[str, Any], number: int) -> Configuration:  # noqa: A002 - the field's own name
    """A new one.

    Raises:
        HubError: It is not allowed.
    """
    if not _ID.fullmatch(id):
        raise invalid(f"{id!r} is no id of a configuration: lower-case letters, digits and -:+%_*!', at most 128")
    if body.get("id", id) != id:
        raise invalid("the id in the body is not the id in the path")
    _refuse_unknown(body)
    content = body.get("content")
    if not isinstance(content, dict) or set(content) - {"modulesContent", "deviceContent", "moduleContent"}:
        raise invalid("content must be an object with modulesContent")
    if "modulesContent" not in content:
        raise HubError("NotInARehearsal", "a rehearsal has configurations with modulesContent, of edge devices, only")
    layered = check_content(content["modulesContent"], layered_allowed=True)
    settings = _Settings.of(body)
    return Configuration(
        id, content["modulesContent"], layered, number, settings.labels, settings.target, settings.condition,
        settings.priority, settings.metrics,
    )  # fmt: skip


def standing_for(
    device: Identity, all_of_them: Iterable[Configuration]
) -> tuple[list[Configuration], list[Configuration]]:
    """The configurations that are for a device, and those of them that make up its modules, the lowest layer first."""
    targeted = [each for each in all_of_them if each.is_for(device)]
    bases = [each for each in targeted if not each.layered]
    if not bases:
        return targeted, []
    base = max(bases, key=_rank)
    layers = sorted((each for each in targeted if each.layered and each.priority >= base.priority), key=_rank)
    return targeted, [base, *layers]


def content_of(layers: Sequence[Configuration]) -> dict[str, Json]:
    """Desired properties by module, of layers on top of each other."""
    properties: dict[str, Json] = {}
    for each in layers:
        for name, given in each.modules.items():
            properties[name] = properties_of(given, properties.get(name))
    return properties


def of_device(device: Identity, path: tuple[str, ...]) -> Any:
    """What a name in a target condition stands for."""
    match path[0].lower():
        case "tags":
            return at(device.twin.tags, path[1:])
        case "deviceid":
            return device.device
        case "capabilities":
            return at({"iotEdge": device.edge}, path[1:])
        case "properties":
            return at(device.twin.reported.properties, path[2:]) if path[1:2] == ("reported",) else MISSING
    return MISSING


def _rank(each: Configuration) -> tuple[int, int]:
    return each.priority, each.number


@dataclass(frozen=True, slots=True)
class _Settings:
    labels: Json
    target: str
    condition: Condition | None
    priority: int
    metrics: dict[str, str]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "_Settings":
        labels, priority = body.get("labels") or {}, body.get("priority", 0)
        if not isinstance(labels, dict) or len(labels) > _MOST_LABELS or not all(map(_is_text, labels.values())):
            raise invalid(f"labels must be an object of at most {_MOST_LABELS} strings")
        if not isinstance(priority, int) or isinstance(priority, bool) or priority < 0:
            raise invalid(f"priority is {priority!r}, not a whole number from 0")
        target = body.get("targetCondition") or ""
        if not isinstance(target, str):
            raise invalid("targetCondition must be a string")
        return cls(labels, target, condition_of(target), priority, _metrics(body))


def condition_of(target: str) -> Condition | None:
    """A target condition; None for an empty one, which no device meets.

    Raises:
        HubError: It cannot be read.
    """
    if not target.strip():
        return None
    try:
        return condition("true" if target.strip() == "*" else target)
    except ExpressionInvalid as error:
        raise invalid(f"Invalid target condition: {error}") from error


def _metrics(body: Mapping[str, Any]) -> dict[str, str]:
    metrics = body.get("metrics") or {}
    queries = metrics.get("queries") or {} if isinstance(metrics, dict) else None
    if not isinstance(queries, dict) or len(queries) > _MOST_METRICS or not all(map(_is_text, queries.values())):
        raise invalid(f"metrics.queries must be an object of at most {_MOST_METRICS} queries")
    return queries


def _refuse_unknown(body: Mapping[str, Any]) -> None:
    if unknown := sorted(set(body) - _FIELDS):
        raise invalid(f"a configuration has no field {unknown[0]!r}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
