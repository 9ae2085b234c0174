"""Messages of edge devices: into a module by its device's routes, and what comes up to the cloud."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EdgeMessage:
    """One message.

    Attributes:
        properties: The sender's own.
        system: ``messageId``, ``correlationId``, ``contentType`` …
        device, module, output: Where it comes from; empty for one that is to be sent.
        number: In the order of arrival, from 1.
        at: ISO 8601, UTC; when it arrived.
    """

    body: bytes = field(repr=False)
    properties: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    module: str = ""
    output: str = ""
    number: int = 0
    at: str = ""


class MessageLine(Protocol):
    """A way for messages to and from edge devices."""

    @abstractmethod
    def send(self, module: str, messages: Sequence[EdgeMessage], *, device: str | None = None) -> Mapping[str, int]:
        """Let a leaf device send messages; how many went on their way, by device.

        Args:
            device: One of the devices that have the module; None for all of them.

        Raises:
            DeploymentMissing: No device has the module.
            DeploymentFailed: No route takes them, or they are too large or too many.
        """

    @abstractmethod
    def watch(self, module: str, *, after: int, timeout_s: float) -> Iterator[EdgeMessage]:
        """What a module sent to the cloud, as it comes, until nothing came for so long.

        Args:
            after: Number of the last one that is known; 0 begins with the oldest that is kept.
        """
