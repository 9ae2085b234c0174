"""Deployments as their groups show them, in the words that all targets share."""

from collections.abc import Mapping
from typing import Any

from packager.core.deployment import Deployment, State
from packager.core.errors import DeploymentFailed, NameTaken
from targets.aci.groups import ContainerGroups
from targets.aci.names import group_names
from targets.aci.state import Deployed, Group, deployed, state_of
from targets.aci.update import TARGET
from targets.kit.api_keys import if_here, own_key
from targets.kit.endpoint import endpoint_state
from targets.kit.packages import kept_package


def state_in(
    groups: ContainerGroups, resource_group: str, name: str, listed: tuple[Group, ...] | None = None
) -> Deployed:
    """A deployment's groups as they are now: lists leave out how they go."""
    rows = groups.list(resource_group) if listed is None else listed
    own = [row for row in rows if row.facts.name == name and row.resource_group.lower() == resource_group.lower()]
    fresh = [groups.get(row.resource_group, row.name) for row in own]
    return deployed(name, [each for each in fresh if each is not None and each.ours])


def free_name(groups: ContainerGroups, resource_group: str, state: Deployed) -> str:
    """The first name for a group that nothing has, or only what will be deleted before.

    Raises:
        NameTaken: A group that dray did not make has the first one.
    """
    left = {group.name for group in state.leftovers}
    for candidate in group_names(state.name):
        there = groups.get(resource_group, candidate)
        if there is None or candidate in left:
            return candidate
        if not there.ours:
            message = f"container group {candidate!r} of resource group {resource_group!r} is there and is not dray's"
            raise NameTaken(message, hint="choose another name: -n NAME")
    raise DeploymentFailed(f"all names for a group of {state.name!r} are taken", hint="choose another name: -n NAME")


def described(group: Group, state: State, groups: ContainerGroups) -> Deployment:
    """A group in the words that all targets share."""
    served = group.facts.served
    package = kept_package(served.package)
    return Deployment(
        name=group.facts.name,
        target=TARGET,
        state=state,
        endpoint=group.url(groups.access.reach),
        model=served.model,
        version=served.version,
        digest=served.package,
        package=str(package) if package else None,
        image=served.image,
        created_at=served.created,
        detail=_detail(group, served.settings),
    )


def _detail(group: Group, settings: Mapping[str, Any]) -> dict[str, Any]:
    place = {"resource_group": group.resource_group, "subscription": group.subscription}
    return {"group": group.name, **place, "region": group.region, "settings": {**settings, **place}}


def state_now(groups: ContainerGroups, group: Group) -> State:
    """How it goes; its endpoint is asked where Azure says that it runs."""
    state, url, settings = state_of(group), group.url(groups.access.reach), group.facts.served.chosen()
    if state != "running":
        return state
    if url is None:
        return "unhealthy"
    return endpoint_state(url, token=own_key(settings.api_keys), certificate=if_here(settings.tls_cert))
