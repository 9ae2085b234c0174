"""All that the stand-in keeps: resource groups, container groups, operations; in memory, as long as its process."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from targets.rehearsal.addresses import Addresses
from targets.rehearsal.arm.bodies import ContainerGroup
from targets.rehearsal.arm.errors import quota_reached, transitioning
from targets.rehearsal.arm.groups import Group, GroupId
from targets.rehearsal.arm.operations import Operation
from targets.rehearsal.arm.rates import Rates
from targets.rehearsal.arm.regions import QUOTAS
from targets.rehearsal.arm.resource_errors import no_resource, no_resource_group, other_location
from targets.rehearsal.world import World

RESOURCE_GROUP = "rehearsal"
HOME_REGION = "westeurope"
NETWORK = "127.77"


@dataclass(frozen=True, slots=True)
class ResourceGroupState:
    """A resource group."""

    name: str
    location: str
    tags: dict[str, str] = field(default_factory=dict)


class Cloud:
    """What the requests of all subscriptions see; each subscription has its own."""

    def __init__(self, world: World, addresses: Addresses | None = None) -> None:
        self.world = world
        self.addresses = addresses or Addresses(network=NETWORK, seed=world.registry)
        self.rates = Rates()
        self.lock = threading.RLock()
        self._groups: dict[str, Group] = {}
        self._ended_stuck: dict[str, Group] = {}
        self._operations: dict[str, Operation] = {}
        self._resource_groups: dict[tuple[str, str], ResourceGroupState] = {}

    def resource_group(self, subscription: str, name: str) -> ResourceGroupState:
        """Any of a team's settings: which of them exist in its subscription, nobody here knows.

        Raises:
            ArmError: The fault ``no-group`` strikes.
        """
        if self.world.faults.due("no-group"):
            raise no_resource_group(name)
        with self.lock:
            found = self._resource_groups.get((subscription.lower(), name.lower()))
        return found or ResourceGroupState(name=name, location=HOME_REGION)

    def resource_groups(self, subscription: str) -> list[ResourceGroupState]:
        """All of a subscription; the one that each rehearsal has is the first."""
        with self.lock:
            made = [each for (owner, _), each in self._resource_groups.items() if owner == subscription.lower()]
        own = (
            []
            if any(each.name.lower() == RESOURCE_GROUP for each in made)
            else [ResourceGroupState(name=RESOURCE_GROUP, location=HOME_REGION)]
        )
        return own + made

    def put_resource_group(self, subscription: str, group: ResourceGroupState) -> bool:
        """Whether it is new."""
        with self.lock:
            key = subscription.lower(), group.name.lower()
            new = key not in self._resource_groups and group.name.lower() != RESOURCE_GROUP
            self._resource_groups[key] = group
            return new

    def groups(self, subscription: str, resource_group: str | None = None) -> list[Group]:
        """Those that requests see."""
        with self.lock:
            return [
                group
                for group in self._groups.values()
                if group.shown
                and group.id.subscription.lower() == subscription.lower()
                and resource_group in (None, group.id.resource_group.lower())
            ]

    def all_groups(self) -> list[Group]:
        """Of all subscriptions, hidden ones too."""
        with self.lock:
            return list(self._groups.values())

    def get(self, id: GroupId) -> Group | None:  # noqa: A002 - the field's own name
        """The group that requests see under this id."""
        with self.lock:
            group = self._groups.get(id.key)
        return group if group is not None and group.shown else None

    def find(self, id: GroupId) -> Group:  # noqa: A002
        """Raises ArmError: there is none."""
        self.resource_group(id.subscription, id.resource_group)
        group = self.get(id)
        if group is None:
            raise no_resource(id.name, id.resource_group)
        return group

    def reserve(self, id: GroupId, body: ContainerGroup, region: str) -> Group:  # noqa: A002
        """The group for a change that this caller alone makes, new or known.

        Raises:
            ArmError: Another change is under way, or the group is in another region.
        """
        with self.lock:
            group = self._groups.get(id.key)
            if group is None:
                group = self._groups[id.key] = Group(id, region, body, changing=True)
                if stuck := self._ended_stuck.pop(id.key, None):  # its end was the only way to bring back what served
                    group.sound, group.struck = stuck.sound, True
                return group
            if group.region != region:
                raise other_location(id.name, id.resource_group, old=group.region, new=region)
            begin_change(group)
            return group

    def release(self, group: Group) -> None:
        """The change was refused: as before."""
        with self.lock:
            group.changing = False
            if not group.shown:
                del self._groups[group.id.key]

    def forget(self, group: Group) -> None:
        """It is deleted."""
        with self.lock:
            self._groups.pop(group.id.key, None)
            if group.stuck:
                self._ended_stuck[group.id.key] = group
            if group.address is not None:
                self.addresses.give_back(group.address)
        self.tell()

    def end(self) -> None:
        """Leave nothing running."""
        for group in self.all_groups():
            group.quit.set()
            for run in (*group.runs, *group.init_runs):
                run.remove()
        self.addresses.close()

    def tell(self) -> None:
        """Let the stand-in know how many groups there are."""
        with self.lock:  # so that the last number told is the last that was true
            self.world.held(sum(group.shown for group in self._groups.values()))

    def operate(self, group: Group) -> Operation:
        """A new operation on a group."""
        operation = Operation(str(group.id), group.id.subscription, group.region, group.all_events)
        with self.lock:
            self._operations[operation.id] = operation
        return operation

    def operation(self, id: str) -> Operation | None:  # noqa: A002
        """By its id."""
        with self.lock:
            return self._operations.get(id.lower())

    def usage(self, subscription: str, region: str) -> dict[str, int]:
        """How much of each quota is taken in a region."""
        used = dict.fromkeys((quota.name for quota in QUOTAS), 0)
        for group in self.groups(subscription):
            if group.region == region:
                for name, amount in needs(group.body, running=not group.stopped):
                    used[name] += amount
        return used

    def check_quota(self, group: Group, body: ContainerGroup) -> None:
        """Raises ArmError: the region's quota does not hold this group besides the others."""
        used = self.usage(group.id.subscription, group.region)
        if group.shown:
            for name, amount in needs(group.body, running=not group.stopped):
                used[name] -= amount
        for name, amount in needs(body, running=True):
            limit = next(quota.limit for quota in QUOTAS if quota.name == name)
            if used[name] + amount > limit:
                raise quota_reached(name, group.region, limit=limit, usage=used[name], requested=amount)


def begin_change(group: Group, *, even_stuck: bool = False) -> None:
    """Mark a group as changing.

    Args:
        even_stuck: Whether a change that never ends, by a fault, gives way.

    Raises:
        ArmError: It is changing already.
    """
    with group.lock:
        if group.changing and not (even_stuck and group.stuck):
            raise transitioning(group.id.name)
        group.changing = True


def needs(body: ContainerGroup, *, running: bool) -> Iterator[tuple[str, int]]:
    """What a group takes of the quotas; one that is stopped is counted and takes no cores."""
    yield "ContainerGroups", 1
    if not running:
        return
    requests = [container.properties.resources.requests for container in body.properties.containers]
    yield (
        f"Standard{'Spot' if body.properties.priority == 'Spot' else ''}Cores",
        -int(-sum(request.cpu for request in requests) // 1),
    )
    for request in requests:
        if request.gpu is not None:
            yield f"Standard{request.gpu.sku}Cores", request.gpu.count
