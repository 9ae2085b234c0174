"""From what a device has to what is wanted: which fields change, and what a plan shows of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from packager.core.deployment import Action, Change
from packager.core.image import DEFAULT_REGISTRY
from targets.iot_edge.manifest import DESIRED, has_deployment, part_of, system_modules
from targets.iot_edge.module import SECTION, Json, Wanted, credentials_of, desired, from_pieces, module_entry, routes_of
from targets.iot_edge.record import TAG, Record, Served
from targets.iot_edge.state import Device
from targets.kit.changes import changes_between
from targets.kit.iothub.hub import AGENT, HUB

Way = Literal["create", "update", "keep"]


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be done to a device.

    Attributes:
        changes: Fields of the device's manifest that are not as wanted.
        there: Whether the manifest has all of it already, so that nothing needs to be sent.
    """

    way: Way
    wanted: Wanted
    record: Record
    changes: tuple[Change, ...]

    @property
    def there(self) -> bool:
        """Whether the device's manifest is as wanted already."""
        return not self.changes


def course(state: Device, wanted: Wanted) -> Course:
    """The way from what a device has to what is wanted."""
    record = state.record or Record(name=wanted.name)
    found = tuple(differences(state, wanted))
    if state.record is None:
        return Course("create", wanted, record, found)
    same = wanted.served.same_release(record.live) and record.trial is None
    return Course("keep" if same and not found else "update", wanted, record, found)


def actions(state: Device, chosen: Course) -> tuple[Action, ...]:
    """What is sent, with references in the places of secrets; of the device's manifest only dray's own part."""
    wanted, keep = chosen.wanted, chosen.way == "keep"
    made: list[Action] = []
    if not has_deployment(state.present[AGENT]):
        body = {AGENT: {DESIRED: system_modules(wanted.settings)}}
        made.append(Action("create", f"system modules of device/{state.device}", body))
    body = part_of(wanted)
    found = (*_of_release(chosen), *_untested(chosen), *(chosen.changes if chosen.way == "update" else ()))
    made.append(Action(chosen.way, f"module/{wanted.module} of device/{state.device}", body, found))
    trial = chosen.record.begun(wanted.served, "")
    tag = {"tags": {TAG: {wanted.module: (chosen.record if keep else trial.taken()).as_tag()}}}
    made.append(Action(chosen.way, f"tags of device/{state.device}", tag))
    return tuple(made)


def differences(state: Device, wanted: Wanted) -> Iterator[Change]:
    """Fields of dray's own part of the device's manifest that are not as wanted."""
    agent, router = state.present[AGENT], state.present[HUB]
    entry = (agent.get("modules") or {}).get(wanted.module)
    yield from _both_ways(_comparable(entry or {}), _comparable(module_entry(wanted)), f"modules.{wanted.module}")
    routes = router.get("routes") or {}
    wished = routes_of(wanted)
    owned = {name: routes.get(name) for name in {*wished, *state.routes_before()} if name in routes}
    yield from _both_ways({name: _text(route) for name, route in owned.items()}, wished, "routes")
    known = ((agent.get("runtime") or {}).get("settings") or {}).get("registryCredentials") or {}
    for name, credential in credentials_of(wanted, str).items():
        there = (known.get(name) or {}).get("address")
        if there != credential["address"]:
            yield Change(f"registryCredentials.{name}.address", there, credential["address"])
    own = (state.present.get(wanted.module) or {}).get(SECTION) or {}
    yield from changes_between(own, desired(wanted, hold=None)[SECTION], SECTION)
    for name in ("hold", "package"):
        if name in own:
            yield Change(f"{SECTION}.{name}", own[name], None)


def release_changes(live: Served | None, wanted: Served) -> tuple[Change, ...]:
    """What the release's own words say about an update."""
    if live is None:
        return ()
    pairs = (("model", live.model, wanted.model), ("version", live.version, wanted.version))
    digest = ("digest", live.package, wanted.package)
    return tuple(Change(name, old, new) for name, old, new in (*pairs, digest) if old != new)


def address_of_all(credentials: Mapping[str, Any]) -> set[str]:
    """Registries that a device has credentials for."""
    found = {str(each.get("address") or "").removeprefix("https://").split("/")[0] for each in credentials.values()}
    return {DEFAULT_REGISTRY if each in ("index.docker.io", "docker.io") else each for each in found}


def _of_release(chosen: Course) -> tuple[Change, ...]:
    if chosen.way != "update":
        return ()
    live, wanted = chosen.record.live, chosen.wanted.served
    found = release_changes(live, wanted)
    if live is not None and live.settings != wanted.settings and not found and not chosen.changes:
        return (Change("settings", live.settings, wanted.settings),)
    return found


def _untested(chosen: Course) -> tuple[Change, ...]:
    """A release that waits, or whose command was cut short, is one that has passed no test yet."""
    return (Change("tests", "never ended", "passed"),) if chosen.record.trial is not None else ()


def _comparable(entry: Json) -> Json:
    """A module's entry with its create options read."""
    settings = entry.get("settings") or {}
    shown = {**entry, "settings": {"image": settings.get("image"), "createOptions": from_pieces(settings)}}
    return shown if entry else {}


def _both_ways(before: Any, wanted: Any, path: str) -> tuple[Change, ...]:
    """Changes, and what is there and no longer wanted."""
    return changes_between(before, _with_absent(before, wanted), path)


def _with_absent(before: Any, wanted: Any) -> Any:
    if not isinstance(before, Mapping) or not isinstance(wanted, Mapping):
        return wanted
    gone = {name: None for name in before if name not in wanted}
    return {**{name: _with_absent(before.get(name), value) for name, value in wanted.items()}, **gone}


def _text(route: Any) -> Any:
    """A route as text, whichever of the two forms it has; one with a priority stays as it is."""
    if isinstance(route, Mapping) and set(route) == {"route"}:
        return route["route"]
    return route
