"""Layered deployments: a module for every device that meets a condition, as configurations of the hub.

The content of a configuration can never be changed, so that each release has one of its own, above the one before.
The record stands in the labels of the one that serves, or of the first. Where one is taken away, the devices fall back
to the one before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from packager.core.deployment import Action, Change
from packager.core.errors import NameTaken
from targets.iot_edge.course import release_changes
from targets.iot_edge.manifest import layer
from targets.iot_edge.module import Json, Resolve, Wanted, wanted_of
from targets.iot_edge.names import configuration_name
from targets.iot_edge.record import NAME_LABEL, Record, as_labels, of_labels
from targets.kit.changes import changes_between
from targets.kit.iothub.hub import CONNECTED, Hub

# What a configuration is told of, and nothing of its own making.
_FIELDS: Final = ("id", "schemaVersion", "labels", "content", "targetCondition", "priority", "metrics")
_SYSTEM: Final = ("targetedCount", "appliedCount", "reportedSuccessfulCount", "reportedFailedCount")
# So many devices of a condition are looked at for their processor.
_LOOK: Final = 50


FleetWay = Literal["create", "update", "tidy", "keep"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """A layered deployment as the hub shows it.

    Attributes:
        found: Its configurations by serial, oldest first.
        record: None where there is none.
        holder_of: Serial of the configuration whose labels hold the record.
    """

    name: str
    found: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    record: Record | None = None
    record_serial: int = 0

    @property
    def serial(self) -> int:
        """Of the newest one."""
        return max(self.found, default=0)

    @property
    def live_serial(self) -> int:
        """Of the one that serves; 0 for none."""
        return self.record_serial if self.record and self.record.live else 0

    @property
    def trial_serial(self) -> int:
        """Of the one that is tried, or would be."""
        if self.record is None or self.record.trial is None:
            return self.serial + 1
        return self.record.trial_serial

    def priority(self, wanted: Wanted) -> int:
        """Above every other one of the deployment's, so that the newest release counts on every device."""
        others = [int(each.get("priority") or 0) for serial, each in self.found.items() if serial != self.trial_serial]
        return max([wanted.settings.priority, *(number + 1 for number in others)])


def read_fleet(hub: Hub, name: str) -> Fleet:
    """A layered deployment as it is now.

    Raises:
        NameTaken: A configuration of its name is not dray's.
    """
    return next((each for each in fleets(hub) if each.name == name), None) or _fresh(hub, name)


def fleets(hub: Hub) -> Iterator[Fleet]:
    """All of dray's layered deployments, by name."""
    by_name: dict[str, dict[int, Mapping[str, Any]]] = {}
    for each in hub.configurations():
        name = str((each.get("labels") or {}).get(NAME_LABEL) or "")
        if name:
            by_name.setdefault(name, {})[_serial(each)] = each
    for name, found in sorted(by_name.items()):
        ordered = dict(sorted(found.items()))
        records = {
            serial: known for serial, each in ordered.items() if (known := of_labels(each["labels"], each["id"]))
        }
        holder = max(records, default=0)
        yield Fleet(name, ordered, records.get(holder), holder)


def configuration(fleet: Fleet, wanted: Wanted, secret: Resolve, record: Record | None) -> Json:
    """A release's configuration as it is sent.

    Args:
        record: For its labels, where they hold it.
    """
    labels = {**wanted.settings.labels, NAME_LABEL: wanted.name}
    return {
        "id": configuration_name(wanted.name, fleet.trial_serial),
        "schemaVersion": "1.0",
        "labels": as_labels(record, labels) if record else labels,
        "content": {"modulesContent": layer(wanted, secret)},
        "targetCondition": wanted.settings.target_condition or "",
        "priority": fleet.priority(wanted),
        "metrics": {"queries": dict(wanted.settings.metrics)},
    }


def relabelled(found: Mapping[str, Any], record: Record) -> Json:
    """A configuration with another record among its labels, all else as it is."""
    kept = {key: value for key, value in found.items() if key in _FIELDS}
    labels = {
        key: str(value) for key, value in (found.get("labels") or {}).items() if not key.startswith("dray-record-")
    }
    metrics = {"queries": (found.get("metrics") or {}).get("queries") or {}}
    return {**kept, "labels": as_labels(record, labels), "metrics": metrics}


def fleet_course(fleet: Fleet, wanted: Wanted) -> tuple[FleetWay, tuple[Change, ...]]:
    """Whether a release is new, an update or there already, and what changes.

    ``tidy`` where it is there, and a command that was killed left the one before beside it.
    """
    record = fleet.record
    if record is None:
        return "create", ()
    there = fleet.found.get(fleet.live_serial)
    changes = tuple(_differences(there, wanted)) if there else ()
    same = wanted.served.same_release(record.live) and record.trial is None and there is not None
    if same and not changes:
        return ("keep" if len(fleet.found) == 1 else "tidy"), ()
    return "update", changes


def fleet_actions(fleet: Fleet, wanted: Wanted) -> tuple[Action, ...]:
    """What is sent, with references in the places of secrets."""
    way, changes = fleet_course(fleet, wanted)
    record = fleet.record or Record(name=wanted.name)
    if way in ("keep", "tidy"):
        return (_kept(fleet.found[fleet.live_serial], wanted), *_gone(fleet, fleet.live_serial, {}))
    final = record.begun(wanted.served, "").taken().model_copy(update={"trial_serial": 0})
    body = configuration(fleet, wanted, str, final)
    untested = (Change("tests", "never ended", "passed"),) if record.trial else ()
    found = (*release_changes(record.live, wanted.served), *untested, *changes)
    put = Action("create" if way == "create" else "update", f"configuration/{body['id']}", body, found)
    return (put, *_gone(fleet, fleet.trial_serial, {"after": "the tests have passed"}))


def members(hub: Hub, condition: str, *, most: int = _LOOK) -> list[tuple[str, bool]]:
    """Devices that meet a target condition, and whether each is connected."""
    where = "capabilities.iotEdge = true" + ("" if condition.strip() == "*" else f" AND ({condition})")
    rows = hub.query(f"SELECT * FROM devices WHERE {where}", most=most)  # noqa: S608 - the user's own condition
    return [(str(row["deviceId"]), str(row.get("connectionState")) == CONNECTED) for row in rows]


def counts(found: Mapping[str, Any]) -> dict[str, int]:
    """How many devices a configuration is for, has reached, and works on."""
    results = (found.get("systemMetrics") or {}).get("results") or {}
    own = (found.get("metrics") or {}).get("results") or {}
    return {**{name: int(results[name]) for name in _SYSTEM if name in results}, **{k: int(v) for k, v in own.items()}}


def _gone(fleet: Fleet, kept: int, body: Json) -> list[Action]:
    """Every configuration but one."""
    return [Action("delete", f"configuration/{each['id']}", body) for n, each in fleet.found.items() if n != kept]


def _kept(there: Mapping[str, Any], wanted: Wanted) -> Action:
    """A configuration as it is, its content with references in the places of secrets."""
    shown = {key: there[key] for key in _FIELDS if key in there}
    return Action("keep", f"configuration/{there['id']}", {**shown, "content": {"modulesContent": layer(wanted, str)}})


def _differences(there: Mapping[str, Any], wanted: Wanted) -> Iterator[Change]:
    """What of a configuration is not as wanted; others may not change its content, but the rest."""
    settings = wanted.settings
    before = {
        "targetCondition": there.get("targetCondition"),
        "metrics": (there.get("metrics") or {}).get("queries") or {},
        "labels": {name: (there.get("labels") or {}).get(name) for name in settings.labels},
    }
    after = {
        "targetCondition": settings.target_condition,
        "metrics": dict(settings.metrics),
        "labels": dict(settings.labels),
    }
    yield from changes_between(before, after)
    if int(there.get("priority") or 0) < settings.priority:
        yield Change("priority", there.get("priority"), settings.priority)
    present = (there.get("content") or {}).get("modulesContent") or {}
    yield from changes_between(_comparable(present), _comparable(layer(wanted, str)), "content")


def _comparable(content: Mapping[str, Any]) -> dict[str, Any]:
    """Content without what cannot be compared: credentials stand there in clear, and in a plan as references."""
    return {
        module: {path: value for path, value in properties.items() if "registryCredentials" not in path}
        for module, properties in content.items()
    }


def _fresh(hub: Hub, name: str) -> Fleet:
    first = configuration_name(name, 1)
    if hub.configuration(first) is not None:
        raise NameTaken(f"configuration {first!r} is there and is not dray's", hint="choose another name: -n NAME")
    return Fleet(name)


def _serial(found: Mapping[str, Any]) -> int:
    last = str(found["id"]).rpartition("-")[2]
    return int(last) if last.isdecimal() else 0


def live_of(fleet: Fleet) -> Wanted | None:
    """The release that serves, as it was asked for."""
    live = fleet.record.live if fleet.record else None
    return wanted_of(fleet.name, live) if live else None
