"""Container groups of one deployment: made, updated, taken or undone; each step can be found again by the tags alone.

A trial is a group of its own until it is promoted by its tags, and deleted otherwise. An update in place writes the new
release and the old one into the group together, so that whoever finds it, after a crash too, can finish or undo it.
"""

import math
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from packager.core.errors import DeploymentFailed, Transitioning
from packager.core.image import ImageRef
from packager.core.progress import Progress
from packager.core.undoing import undo_after
from targets.aci.body import Wanted, container_group
from targets.aci.compare import foreign_tags
from targets.aci.groups import ContainerGroups
from targets.aci.planning import Course
from targets.aci.secrets import SecretValues
from targets.aci.state import Deployed, Group
from targets.aci.tags import Facts, Served, others, tags_of
from targets.aci.watch import last_end, wait_ready
from targets.kit.api_keys import first_key
from targets.kit.endpoint import Endpoint, watching
from targets.kit.holder import Holder, busy, refuse_if_held

_UNDO_S: Final = 600.0
_DELETE_S: Final = 300.0
TARGET: Final = "aci"


@dataclass(frozen=True, slots=True)
class Work:
    """One command that changes a deployment.

    Attributes:
        limit_s: For the release to become ready.
    """

    groups: ContainerGroups
    name: str
    resource_group: str
    values: SecretValues
    progress: Progress
    limit_s: float
    holder: Holder = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "holder", Holder.me(limit_s=self.limit_s + _UNDO_S))

    @property
    def reach(self) -> str:
        """How groups are reached from here."""
        return self.groups.access.reach


def refuse_if_busy(state: Deployed) -> None:
    """Raises DeploymentBusy: a command that may still be alive changes it."""
    for group in state.every:
        refuse_if_held(state.name, TARGET, group.facts.holder)


def clear(work: Work, leftovers: tuple[Group, ...]) -> None:
    """Delete what interrupted commands left."""
    for group in leftovers:
        work.progress.step(f"deleting {group.name}, which an interrupted command left")
        delete(work, group)


def start_trial(work: Work, chosen: Course, group_name: str) -> Group:
    """The release in a group of its own, ready; on any failure nothing is left of it.

    Raises:
        DrayError: The cause.
    """
    facts = _begun(work, chosen.facts)
    work.progress.step(f"creating container group {group_name}")
    _refuse_if_changed(work, group_name, None)
    try:
        return _bring_up(work, chosen.at(facts), facts, group_name)
    except BaseException as error:
        undo_after(error, f"{group_name} could not be deleted", lambda: delete_trial(work, group_name))
        raise


def update_in_place(work: Work, chosen: Course, live: Group) -> Group:
    """The release in the live group, ready; on any failure the one before serves there again.

    Raises:
        DrayError: The cause.
    """
    facts = _begun(work, chosen.facts)
    restored_to = _checked_way_back(work, facts)
    work.progress.step(f"updating container group {live.name} in place")
    _refuse_if_changed(work, live.name, live.facts)
    try:
        return _bring_up(work, chosen.at(facts), facts, live.name, before=live)
    except BaseException as error:
        if restored_to is not None:
            undo_after(
                error, f"what served in {live.name} before could not be brought back", lambda: undo(work, live.name)
            )
        raise


def undo(work: Work, group_name: str) -> None:
    """Let a group serve again what served before its update; done already is done.

    Raises:
        DrayError: It does not come up.
    """
    group = work.groups.get(work.resource_group, group_name)
    if group is None or group.facts.state != "update":
        return
    refuse_if_held(work.name, TARGET, group.facts.holder)
    facts = group.facts
    if facts.previous is None:
        raise DeploymentFailed(f"nothing served in {group_name!r} before", hint=f"dray delete {work.name}")
    back = Facts(facts.name, "live", facts.serial - 1, facts.previous, previous=facts.before)
    work.progress.step(f"bringing {back.served.model} {back.served.version} back")
    # Until it serves again, it is still the update that is being undone.
    pending = replace(facts, served=back.served, previous=back.served, holder=work.holder)
    wanted = _as_it_was(work, group, back.served, pending)
    try:
        _bring_up(work, wanted, pending, group_name, before=group, limit_s=_UNDO_S, patience_s=work.limit_s)
    except Transitioning as error:
        work.progress.detail(f"{error.message}: making the group anew")
        delete(work, group)
        _bring_up(work, wanted, pending, group_name, limit_s=_UNDO_S)
    work.groups.tag(work.resource_group, group_name, {**others(wanted.tags), **tags_of(back)})


def take(work: Work, group_name: str) -> Group:
    """Make the release that a group is being tested with the one that it is known for.

    Raises:
        DeploymentFailed: The group is gone.
        DeploymentBusy: Another command has taken it over.
    """
    group = work.groups.get(work.resource_group, group_name)
    if group is None:
        raise DeploymentFailed(f"the candidate of {work.name!r} is gone", hint="deploy again")
    facts = group.facts
    if facts.holder is not None and not facts.holder.mine:
        raise busy(work.name, TARGET, facts.holder)
    served = replace(facts, state="live", before=None, holder=None)
    return work.groups.tag(work.resource_group, group_name, {**others(group.tags), **tags_of(served)})


def delete(work: Work, group: Group) -> None:
    """End a group, in its own resource group."""
    until = time.monotonic() + _DELETE_S
    work.groups.delete(group.resource_group, group.name, work.progress, until=until)


def endpoint_of(work: Work, group: Group, served: Served) -> Endpoint | None:
    """What to ask whether a release is ready; None while the group has no address."""
    settings, url = served.chosen(), group.url(work.reach, served)
    if url is None:
        return None
    token = first_key(work.values(settings.api_keys)) if settings.api_keys else None
    certificate = work.values(settings.tls_cert) if settings.tls_cert else None
    return Endpoint(url, served.package, token, certificate)


def _bring_up(
    work: Work,
    wanted: Wanted,
    facts: Facts,
    group_name: str,
    *,
    before: Group | None = None,
    limit_s: float | None = None,
    patience_s: float = math.inf,
) -> Group:
    """Send a body, wait until its release is ready there, and tell how long nothing served."""
    until = time.monotonic() + (limit_s or work.limit_s)
    model = container_group(wanted, work.values)
    watched = endpoint_of(work, before, facts.served) if before else None
    # ARM has no compare-and-swap: what another command has begun since the plan was made is looked for just before.
    _refuse_other(work, group_name)
    with watching(watched):
        made = work.groups.put(
            work.resource_group,
            group_name,
            model,
            work.progress,
            until=until,
            patience_s=patience_s,
            refuse=lambda: _refuse_other(work, group_name),
        )
    endpoint = endpoint_of(work, made, facts.served)
    if endpoint is None:
        made = work.groups.get(work.resource_group, group_name) or made
        endpoint = endpoint_of(work, made, facts.served)
    if endpoint is None:
        raise DeploymentFailed(f"Azure gave container group {group_name!r} no address", hint="deploy again")
    if watched and watched.url == endpoint.url:
        endpoint.last, endpoint.first = watched.last, watched.first
    work.progress.step(f"waiting for {endpoint.url}")
    group = wait_ready(
        work.groups, work.resource_group, group_name, endpoint, until=until, ended_before=last_end(before)
    )
    holder = group.facts.holder
    if holder is not None and not holder.mine:
        raise busy(work.name, TARGET, holder)
    if endpoint.gap_s is not None:
        work.progress.step(f"for {endpoint.gap_s:.1f} s nothing was served")
    return group


def _begun(work: Work, facts: Facts) -> Facts:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(facts, served=facts.served.model_copy(update={"created": now}), holder=work.holder)


def _checked_way_back(work: Work, facts: Facts) -> Served | None:
    """The release that would be brought back; its secrets can be had, else nothing is begun.

    Raises:
        CredentialsUnusable: They cannot.
    """
    if facts.previous is not None:
        for reference in facts.previous.chosen().references().values():
            work.values(reference)
    return facts.previous


def _as_it_was(work: Work, group: Group, served: Served, facts: Facts) -> Wanted:
    settings, image = served.chosen(), ImageRef.parse(served.image)
    return Wanted(
        image=image,
        settings=settings,
        region=group.region,
        label=served.label,
        liveness_s=served.liveness_s,
        tags={**foreign_tags(group), **settings.tags, **tags_of(facts)},
        pull=work.values.pulls(image, settings),
    )


def _refuse_if_changed(work: Work, group_name: str, expected: Facts | None) -> None:
    """Look once more right before the first change: who came meanwhile is not written over.

    Raises:
        DeploymentBusy, DeploymentFailed: Somebody did.
    """
    group = work.groups.get(work.resource_group, group_name)
    facts = group.facts if group else None
    refuse_if_held(work.name, TARGET, facts.holder if facts else None)
    if facts != expected:
        raise DeploymentFailed(
            f"container group {group_name!r} has changed since the plan was made", hint="run it again"
        )


def _refuse_other(work: Work, group_name: str) -> None:
    """Raises DeploymentBusy: the change under way is another command's."""
    group = work.groups.get(work.resource_group, group_name)
    if group is not None and group.ours:
        refuse_if_held(work.name, TARGET, group.facts.holder)


def delete_trial(work: Work, group_name: str) -> None:
    """Delete a group that this command made for a trial, and no other."""
    group = work.groups.get(work.resource_group, group_name)
    if group is None or not group.ours:
        return
    holder = group.facts.holder
    if group.facts.name == work.name and group.facts.state == "trial" and holder is not None and holder.mine:
        delete(work, group)
