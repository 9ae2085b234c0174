"""A deployment as its container groups show it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packager.core.deployment import State
from packager.core.errors import DeploymentFailed
from targets.aci.body import CONTAINER
from targets.aci.tags import Facts, Served, facts_of

_ID = re.compile(r"/subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)/", re.IGNORECASE)
_STOPPED = ("Stopped", "Succeeded", "Terminated")


@dataclass(frozen=True, slots=True)
class Group:
    """A container group at one moment.

    Attributes:
        document: What GET answers.
    """

    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the group."""
        return str(self.document["name"])

    @property
    def resource_group(self) -> str:
        """Where it is."""
        found = _ID.match(str(self.document.get("id")))
        return found["group"] if found else ""

    @property
    def subscription(self) -> str:
        """Whose it is."""
        found = _ID.match(str(self.document.get("id")))
        return found["subscription"] if found else ""

    @property
    def region(self) -> str:
        """Without spaces, in lower case."""
        return normal(str(self.document.get("location", "")))

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""
        return self.document.get("tags") or {}

    @property
    def facts(self) -> Facts:
        """What its tags say; it is dray's.

        Raises:
            DeploymentFailed: It is not, or they cannot be read.
        """
        found = facts_of(self.tags)
        if found is None:
            raise DeploymentFailed(f"container group {self.name!r} is not dray's", hint="choose another name: -n NAME")
        return found

    @property
    def ours(self) -> bool:
        """Whether dray made it."""
        return facts_of(self.tags) is not None

    @property
    def properties(self) -> Mapping[str, Any]:
        """Of the group."""
        return self.document.get("properties") or {}

    @property
    def provisioning(self) -> str:
        """Of the last change; says nothing of whether anything runs."""
        return str(self.properties.get("provisioningState") or "")

    @property
    def instance_state(self) -> str:
        """``Running``, ``Stopped``, ``Pending``, ``Succeeded``, ``Failed``; empty where a list left it out."""
        return str((self.properties.get("instanceView") or {}).get("state") or "")

    @property
    def runs(self) -> bool:
        """Whether it runs, or is about to."""
        return self.instance_state in ("Running", "Pending", "")

    @property
    def container(self) -> Mapping[str, Any]:
        """What is known of how our container goes."""
        containers = self.properties.get("containers") or ()
        ours = next((each for each in containers if each.get("name") == CONTAINER), None)
        return ((ours or {}).get("properties") or {}).get("instanceView") or {}

    @property
    def address(self) -> Mapping[str, Any]:
        """Its ``ipAddress``."""
        return self.properties.get("ipAddress") or {}

    @property
    def label(self) -> str | None:
        """Its DNS label."""
        return self.address.get("dnsNameLabel")

    def url(self, reach: str, served: Served | None = None) -> str | None:
        """Where clients reach it; None while it has no address.

        Args:
            reach: ``fqdn``, or ``ip`` where no name server knows the name.
            served: The release that is meant; None for the one of its tags.
        """
        settings = (served or self.facts.served).chosen()
        host = (self.address.get("fqdn") if reach == "fqdn" else None) or self.address.get("ip")
        return f"{settings.scheme}://{host}:{settings.port}" if host else None


@dataclass(frozen=True, slots=True)
class Deployed:
    """The groups of one deployment.

    Attributes:
        live: The one that serves; its release may be one that is still being tested (``live.facts.state``).
        leftovers: What interrupted commands left, those of commands at work among them.
    """

    name: str
    live: Group | None = None
    leftovers: tuple[Group, ...] = ()

    @property
    def every(self) -> tuple[Group, ...]:
        """All of them, the one that serves last."""
        return (*self.leftovers, *((self.live,) if self.live else ()))

    @property
    def undecided(self) -> bool:
        """Whether an update in place was begun and neither taken nor undone."""
        return self.live is not None and self.live.facts.state == "update"


def deployed(name: str, groups: Iterable[Group]) -> Deployed:
    """The deployment of a name among groups that are dray's."""
    own = [group for group in groups if group.facts.name == name]
    settled = sorted((g for g in own if g.facts.state != "trial"), key=lambda g: (-g.facts.serial, g.name))
    live = settled[0] if settled else None
    trials = sorted((g for g in own if g.facts.state == "trial"), key=lambda g: g.name)
    return Deployed(name, live, (*settled[1:], *trials))


def state_of(group: Group) -> State:
    """In the words that all targets share, as far as Azure knows: ``running`` says that its container runs."""
    if group.facts.state != "live" or group.instance_state == "Pending":
        return "pending"
    if group.instance_state in _STOPPED:
        return "stopped"
    return "failed" if group.instance_state == "Failed" else "running"


def normal(region: str) -> str:
    """``West US`` and ``westus`` are one region."""
    return "".join(region.split()).lower()
