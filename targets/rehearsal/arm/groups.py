"""A container group as the stand-in keeps it, and what GET shows of it."""

import threading
import uuid
from dataclasses import dataclass, field
from typing import Literal

from targets.rehearsal.arm.bodies import ContainerGroup
from targets.rehearsal.arm.container_bodies import Container
from targets.rehearsal.arm.containers import ContainerRun
from targets.rehearsal.arm.errors import GROUP_TYPE
from targets.rehearsal.arm.events import Event, EventLog
from targets.rehearsal.arm.operations import Operation

ProvisioningState = Literal["Pending", "Creating", "Updating", "Deleting", "Succeeded", "Failed"]
TENANT = "00000000-0000-0000-0000-0000000000ee"


@dataclass(frozen=True, slots=True)
class GroupId:
    """Where a group is; names differ by more than their case."""

    subscription: str
    resource_group: str
    name: str

    def __str__(self) -> str:
        resource_group = f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
        return f"{resource_group}/providers/{GROUP_TYPE}/{self.name}"

    @property
    def key(self) -> str:
        """The same for each way to write it."""
        return str(self).lower()


@dataclass(slots=True)
class Group:
    """A container group.

    Attributes:
        lock: Held while one of the fields changes, never while a container is waited for.
        operation: Of the change under way; its end clears it.
        stopped: By a request; not by the end of its containers.
        shown: Whether GET finds it: a first PUT that is still being judged made it, and may undo it.
        stuck: Its change never ends, by a fault: it can be deleted all the same.
        sound: Containers of earlier bodies, and of this one, that no fault struck.
        struck: Whether a fault struck the last change.
    """

    id: GroupId
    region: str
    body: ContainerGroup
    lock: threading.RLock = field(default_factory=threading.RLock)
    changing: bool = False
    provisioning: ProvisioningState = "Pending"
    stopped: bool = False
    shown: bool = False
    stuck: bool = False
    address: str | None = None
    label: str | None = None
    operation: Operation | None = None
    runs: list[ContainerRun] = field(default_factory=list)
    init_runs: list[ContainerRun] = field(default_factory=list)
    events: EventLog = field(default_factory=EventLog)
    quit: threading.Event = field(default_factory=threading.Event)
    principal: str = field(default_factory=lambda: str(uuid.uuid4()))
    sound: list[list[Container]] = field(default_factory=list, repr=False)
    struck: bool = False

    def restores(self, body: ContainerGroup) -> bool:
        """Whether these very containers ran here before what a fault struck, and are brought back; or run here now."""
        containers = body.properties.containers
        return containers in self.sound and (self.struck or containers == self.body.properties.containers)

    def state(self) -> str:
        """Its ``instanceView.state``. Source: "Azure Container Instances states" on Microsoft Learn."""
        if self.stopped:
            return "Stopped"
        if self.provisioning == "Failed":
            return "Failed"
        if not self.runs or self.provisioning != "Succeeded":
            return "Pending"
        if any(not run.over for run in self.runs):
            return "Running"
        return "Failed" if any(run.status().exit_code for run in self.runs) else "Succeeded"

    def all_events(self) -> list[Event]:
        """Of all its containers."""
        return [event for run in (*self.init_runs, *self.runs) for event in run.events.entries()]

    def run_of(self, container: str) -> ContainerRun | None:
        """By the container's name."""
        return next((run for run in (*self.runs, *self.init_runs) if run.plan.name == container), None)
