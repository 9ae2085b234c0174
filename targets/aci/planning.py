"""What a deployment to Azure would change: functions of what is there, the release and the settings."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from packager.core.artifact import Release
from packager.core.deployment import Action, Change, Finding, Findings
from packager.core.image import ImageRef
from targets.aci.body import Wanted, as_planned, liveness_delay_s
from targets.aci.compare import changes, fixed, foreign_tags
from targets.aci.names import default_label, labels_of, other_label
from targets.aci.settings import AciSettings
from targets.aci.state import Deployed, Group
from targets.aci.tags import CREATED, HOLDER, Facts, Served, tags_of
from targets.kit.images import required_image

Way = Literal["create", "in-place", "replace", "keep"]
_WHEN_SENT = "set when it is sent"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment is, or will be.

    Attributes:
        group_name: Of a group that is to be made.
        pull: Whether this machine's credentials for the registry are sent along.
    """

    subscription: str
    resource_group: str
    region: str
    group_name: str
    pull: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be done.

    Attributes:
        body: What would be sent, references in the places of secrets.
        found: Fields of the live group that are not as wanted.
    """

    way: Way
    wanted: Wanted
    facts: Facts
    body: dict[str, Any]
    found: tuple[Change, ...] = ()

    def at(self, facts: Facts) -> Wanted:
        """What is wanted, with the tags of these facts."""
        return replace(self.wanted, tags={**self.wanted.tags, **tags_of(facts)})


def course(state: Deployed, release: Release, settings: AciSettings, place: Place) -> Course:
    """The way from what is there to what is wanted."""
    live = state.live
    label = _label(state, settings, place)
    served = served_by(release, settings, label)
    if live is None:
        facts = Facts(state.name, "trial", 1, served, previous=_orphaned(state))
        return _course("create", facts, settings, label, place, {})
    kept = foreign_tags(live)
    updated = Facts(state.name, "update", live.facts.serial + 1, served, *_earlier(live.facts))
    in_place = _course("in-place", updated, settings, label, place, kept)
    found = changes(live, in_place.body, served)
    if not found:
        return replace(in_place, way="keep")
    if settings.update == "in-place" and not (fixed(found) and live.runs):
        return replace(in_place, found=found)
    # One that the old group does not have can be taken at once.
    beside = other_label(label) if label and label == live.label else label
    moved = served.model_copy(update={"label": beside})
    facts = replace(updated, state="trial", served=moved, previous=live.facts.good or live.facts.served, before=None)
    return replace(_course("replace", facts, settings, beside, place, kept), found=found)


def served_by(release: Release, settings: AciSettings, label: str | None) -> Served:
    """The release as tags remember it."""
    manifest = release.package.manifest
    return Served(
        model=manifest.name,
        version=manifest.version,
        package=release.package.digest,
        image=str(required_image(release)),
        settings=settings.model_dump(mode="json", exclude_defaults=True),
        label=label,
        liveness_s=liveness_delay_s(settings, release.package),
        created=_WHEN_SENT,
    )


def actions(state: Deployed, chosen: Course, place: Place) -> tuple[Action, ...]:
    """Requests in their order, with the bodies as sent."""
    left = tuple(
        Action("delete", _resource(each.name), {"left_by": "an interrupted command"}) for each in state.leftovers
    )
    live = state.live
    if live is None:
        return (*left, Action("create", _resource(place.group_name), chosen.body))
    if chosen.way == "keep":
        return (*left, Action("keep", _resource(live.name), chosen.body))
    if chosen.way == "in-place":
        return (*left, Action("update", _resource(live.name), chosen.body, chosen.found))
    made = Action("create", _resource(place.group_name), chosen.body, chosen.found)
    return (*left, made, Action("delete", _resource(live.name), {"after": "the new one has passed its smoke tests"}))


def course_findings(state: Deployed, chosen: Course) -> Findings:
    """The gap of an update in place, the other URL of a replacement, and tags of others."""
    live, found = state.live, list[Finding]()
    if live is None or chosen.way == "keep":
        return ()
    if chosen.way == "in-place" and live.runs:
        message = "an update in place ends the old container before the new one starts: clients are refused meanwhile"
        hint = "how long is measured; if the new one fails, the old one comes back. --set update=replace has no gap"
        found.append(Finding("E-GAP", message, hint))
    if chosen.way == "replace":
        found += _replacement(live, chosen)
    elif live.label != chosen.wanted.label:
        message = f"the URL changes: its DNS label becomes {chosen.wanted.label!r}, was {live.label!r}"
        found.append(Finding("E-URL-CHANGES", message, "tell clients"))
    if tags := foreign_tags(live):
        listed = ", ".join(f"{key}={value}" for key, value in tags.items())
        found.append(Finding("E-FOREIGN-TAGS", f"tags that are not of the settings are kept: {listed}"))
    return tuple(found)


def reasons(state: Deployed, chosen: Course, settings: AciSettings) -> tuple[str, ...]:
    """Why a person must agree: a replacement that nobody asked for changes the URL."""
    if state.live is None or chosen.way != "replace" or settings.update == "replace":
        return ()
    fields = ", ".join(change.field.rpartition(".")[2] for change in fixed(chosen.found))
    return (f"Azure cannot change {fields} in place, so the group is replaced and the URL changes",)


def _replacement(live: Group, chosen: Course) -> list[Finding]:
    label = chosen.wanted.label
    new = f"its DNS label becomes {label!r}, was {live.label!r}" if label else "its address is another one"
    hint = "a DNS label cannot stand on two groups; the old one serves on for drain_s after the new one took over"
    return [Finding("E-URL-CHANGES", f"the URL changes: {new}", hint)]


def _earlier(facts: Facts) -> tuple[Served | None, Served | None]:
    """What served before an update of a group, and before that; of one that is undecided, before that update."""
    if facts.state == "live":
        return facts.served, facts.previous
    return facts.previous, facts.before


def _orphaned(state: Deployed) -> Served | None:
    """What had served before a replacement whose old group is gone."""
    earlier = [group.facts.previous for group in state.leftovers if group.facts.previous]
    return earlier[0] if earlier else None


def _label(state: Deployed, settings: AciSettings, place: Place) -> str | None:
    """The label that is asked for, or its other one where the live group has that."""
    if settings.ip == "private":
        return None
    base = settings.dns_label or default_label(state.name, place.subscription, place.resource_group)
    live = state.live.label if state.live else None
    return live if live in labels_of(base) else base


def _course(
    way: Way, facts: Facts, settings: AciSettings, label: str | None, place: Place, kept: dict[str, str]
) -> Course:
    image = ImageRef.parse(facts.served.image)
    wanted = Wanted(
        image=image,
        settings=settings,
        region=place.region,
        label=label,
        liveness_s=facts.served.liveness_s,
        tags={**kept, **settings.tags},
        pull=place.pull,
    )
    made = Course(way, wanted, facts, {})
    tags = {**tags_of(facts), CREATED: _WHEN_SENT, HOLDER: _WHEN_SENT}
    return replace(made, body=as_planned(replace(wanted, tags={**wanted.tags, **tags})))


def _resource(name: str) -> str:
    return f"container group {name}"


def whole_steps(value: float, step: float) -> bool:
    """Whether a number is a multiple of a decimal step."""
    return math.isclose(value / step, round(value / step), abs_tol=1e-6)
