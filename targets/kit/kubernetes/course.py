"""From what is there to what is wanted: which objects change, and in which way."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from packager.core.artifact import Release
from packager.core.deployment import Action, Change
from packager.core.errors import ConfigurationError
from packager.core.image import ImageRef
from targets.kit.changes import changes_between, same
from targets.kit.kubernetes.cluster import Object
from targets.kit.kubernetes.kinds import key_of, words_for
from targets.kit.kubernetes.objects import Wanted, rendered
from targets.kit.kubernetes.objects.identity import as_planned, namespace, secret_entries
from targets.kit.kubernetes.record import Record, Served
from targets.kit.kubernetes.settings import KubernetesSettings
from targets.kit.kubernetes.state import Deployed, Key

# ``in-place`` lets pods of one Deployment replace each other; ``beside`` puts a second one in the other slot.
Way = Literal["create", "in-place", "beside", "keep"]
_CREDENTIALS: Final = "the registry's, of this machine"


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be done.

    Attributes:
        wanted: The release where it will be in the end.
        changes: Of each object that is there and not as wanted.
        obsolete: Objects that are taken away in the end.
        new_namespace: Whether the namespace is made first.
    """

    way: Way
    wanted: Wanted
    record: Record
    bodies: tuple[Object, ...]
    changes: Mapping[Key, tuple[Change, ...]]
    obsolete: tuple[Key, ...]
    new_namespace: bool = False

    @property
    def canary(self) -> bool:
        """Whether traffic is shifted step by step."""
        return self.way == "beside" and self.wanted.settings.strategy == "canary"


def required_image(release: Release) -> ImageRef:
    """The release's image.

    Raises:
        ConfigurationError: It has none.
    """
    if release.image is None:
        raise ConfigurationError("a pod needs an image, and this release has none", hint="dray image PACKAGE --push")
    return release.image


def course(state: Deployed, served: Served, settings: KubernetesSettings, place: str, before: Wanted | None) -> Course:
    """The way from what is there to what is wanted.

    Args:
        before: The live release, as it was asked for; None where there is none.
    """
    record = state.record or Record()
    here = Wanted(state.name, place, served, settings, slot=record.slot)
    begun = Record(
        serial=record.serial + 1 if record.shown else 1,
        slot=record.slot,
        live=record.live,
        trial=served,
        trial_slot=record.slot,
        previous=record.previous,
    )
    if before is None:
        first = replace(here, slot=record.trial_slot)
        return _course("create", first, begun.model_copy(update={"trial_slot": record.trial_slot}), state, None)
    in_place = _course("in-place", here, begun, state, before)
    if not in_place.changes and not in_place.obsolete and _all_there(in_place, state) and record.trial is None:
        return replace(in_place, way="keep")
    undecided = record.trial is not None and record.trial_slot == record.slot
    if settings.strategy == "rolling" or undecided or not _pods_change(in_place, state):
        return in_place
    beside = begun.model_copy(update={"trial_slot": here.other_slot})
    return _course("beside", replace(here, slot=here.other_slot), beside, state, before)


def actions(state: Deployed, chosen: Course) -> tuple[Action, ...]:
    """What is applied, in its order, with references in the places of secrets."""
    made: list[Action] = []
    if chosen.new_namespace:
        made.append(
            Action("create", words_for("Namespace", chosen.wanted.namespace), namespace(chosen.wanted.namespace))
        )
    for body in chosen.bodies:
        key = key_of(body)
        found = (*_untested(chosen, state, key), *chosen.changes.get(key, ()))
        if key not in state.objects:
            made.append(Action("create", words_for(*key), body, _of_release(chosen, state, key)))
        elif found:
            made.append(Action("update", words_for(*key), body, (*_of_release(chosen, state, key), *found)))
        else:
            made.append(Action("keep", words_for(*key), body))
    return (*made, *(Action("delete", words_for(*key), {"after": "the tests have passed"}) for key in chosen.obsolete))


def planned(wanted: Wanted) -> tuple[Object, ...]:
    """What is applied, as people may read it."""
    return tuple(_readable(each, wanted) for each in rendered(wanted))


def _course(way: Way, wanted: Wanted, record: Record, state: Deployed, before: Wanted | None) -> Course:
    bodies = planned(wanted)
    keys = {key_of(each) for each in bodies}
    asked = {key_of(each): each for each in planned(before)} if before else {}
    changes = {}
    for body in bodies:
        key = key_of(body)
        if key in state.objects and (found := tuple(_differences(state.objects[key], body, asked.get(key)))):
            changes[key] = found
    obsolete = tuple(sorted(key for key in state.objects if key not in keys))
    return Course(way, wanted, record, bodies, changes, obsolete)


def _differences(there: Object, body: Object, asked: Object | None) -> Iterator[Change]:
    """Fields that are not as wanted, and such as were asked for and no longer are."""
    yield from changes_between(_comparable(there), _comparable(body))
    if asked is None:
        return
    for each in changes_between(_comparable(body), _comparable(asked)):
        if same(each.before, None):
            yield Change(each.field, each.after, None)


def _comparable(made: Object) -> dict[str, Any]:
    """An object without what cannot be compared: values of Secrets, of which the keys are left."""
    values = {**(made.get("data") or {}), **(made.get("stringData") or {})}
    kept = {key: value for key, value in made.items() if key not in ("data", "stringData", "status")}
    return {**kept, "keys": sorted(values)} if made.get("kind") == "Secret" else kept


def _readable(made: Object, wanted: Wanted) -> Object:
    if made["kind"] != "Secret":
        return made
    entries = secret_entries(wanted)
    keys = made.get("data") or {}
    return as_planned(made, {key: entries.get(key, _CREDENTIALS) for key in keys})


def _of_release(chosen: Course, state: Deployed, key: Key) -> tuple[Change, ...]:
    """What the release's own words say about the pods' change."""
    live = state.record.live if state.record else None
    if key[0] != "Deployment" or live is None:
        return ()
    wanted = chosen.wanted.served
    pairs = (("model", live.model, wanted.model), ("version", live.version, wanted.version))
    digest = ("digest", live.package, wanted.package)
    return tuple(Change(name, old, new) for name, old, new in (*pairs, digest) if old != new)


def _untested(chosen: Course, state: Deployed, key: Key) -> tuple[Change, ...]:
    """An update that was cut short is one that nobody has agreed to yet."""
    if state.record is None or state.record.trial is None or key != ("Service", chosen.wanted.label):
        return ()
    return (Change("tests", "never ended", "passed"),)


def _pods_change(chosen: Course, state: Deployed) -> bool:
    """Whether pods would be replaced, or there are none to keep."""
    workload = ("Deployment", chosen.wanted.workload)
    if workload not in state.objects:
        return True
    return any(each.field.startswith("spec.template") for each in chosen.changes.get(workload, ()))


def _all_there(chosen: Course, state: Deployed) -> bool:
    return all(key_of(each) in state.objects for each in chosen.bodies)
