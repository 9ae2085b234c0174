"""A request and its answer, without the server's types: what handlers take and give."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from targets.rehearsal.arm.groups import GroupId


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in.

    Attributes:
        names: From its path, by the pattern's names.
        origin: Scheme, host and port, as the client named them.
        correlation: The client's own id, else a new one.
    """

    method: str
    path: str
    origin: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    names: Mapping[str, str] = field(default_factory=dict)
    correlation: str = field(default_factory=lambda: str(uuid.uuid4()))
    activity: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def subscription(self) -> str:
        """As the path has it."""
        return self.names.get("subscription", "")

    @property
    def group(self) -> GroupId:
        """The container group that the path names."""
        return GroupId(self.subscription, self.names["resource_group"], self.names["group"])


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        cut: The connection ends before the body does.
    """

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
