"""Long-running operations: what the address in ``Azure-AsyncOperation`` answers."""

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from targets.rehearsal.arm.clock import precise_now
from targets.rehearsal.arm.errors import ArmError

# The provider's own, whatever version a request asks for. Source: recordings of Azure/azure-cli.
OPERATIONS_VERSION = "2018-06-01"

Event = dict[str, object]


@dataclass(slots=True)
class Operation:
    """One change that goes on after its request was answered.

    Attributes:
        resource: The group's id, which is the operation's ``id`` too.
        events: Of the group's containers, so far.
    """

    resource: str
    subscription: str
    region: str
    events: Callable[[], Sequence[Event]]
    status: str = "Pending"
    error: ArmError | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: str = field(default_factory=precise_now)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def path(self) -> str:
        """Where it is asked about."""
        return (
            f"/subscriptions/{self.subscription}/providers/Microsoft.ContainerInstance/locations/{self.region}"
            f"/operations/{self.id}"
        )

    def succeed(self) -> None:
        """It is done."""
        self.status = "Succeeded"
        self.ended.set()

    def fail(self, error: ArmError) -> None:
        """It came to nothing; asking about it still answers 200."""
        self.status, self.error = "Failed", error
        self.ended.set()

    def body(self) -> dict[str, object]:
        """As the service writes it. Source: recordings of Azure/azure-cli, test_container_create."""
        body: dict[str, object] = {
            "id": self.resource,
            "status": self.status,
            "startTime": self.started,
            "properties": {"events": list(self.events())},
        }
        if self.error is not None:
            body.update(self.error.body())
        return body
