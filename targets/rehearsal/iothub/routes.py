"""Routes of an edge hub: which messages go where.

Source: "Deploy modules and establish routes in IoT Edge", Microsoft.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from targets.rehearsal.iothub.expressions import MISSING, Condition, ExpressionInvalid, at, condition

UPSTREAM: Final = "$upstream"
USUAL_PRIORITY: Final = 2_000_000_000
_NAME: Final = r"[A-Za-z0-9_\-:.+%#*?!(),=@;$']+"
_ROUTE: Final = re.compile(r"\s*FROM\s+(\S+)\s+(?:WHERE\s+(.*?)\s+)?INTO\s+(.+?)\s*;?\s*", re.IGNORECASE | re.DOTALL)
_SINK: Final = re.compile(rf"BrokeredEndpoint\(\s*(['\"])/modules/({_NAME})/inputs/({_NAME})/?\1\s*\)", re.IGNORECASE)
_SOURCE: Final = re.compile(
    rf"/\*|/messages/\*|/messages/modules/\*|/messages/modules/({_NAME})(?:/\*|/outputs/\*|/outputs/({_NAME})(?:/\*)?)?/?",
    re.IGNORECASE,
)
_BODY: Final = "$body"


class RouteInvalid(ValueError):
    """Not a route, or none that a rehearsal understands."""


@dataclass(frozen=True, slots=True)
class Message:
    """What goes through an edge hub.

    Attributes:
        device: Who sent it.
        module: Of that device; empty for a leaf device.
        output: Of the module.
        system: System properties by their long names (``messageId``).
    """

    device: str
    module: str
    output: str
    body: bytes = field(repr=False)
    properties: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes, with all properties."""
        texts = (*self.properties, *self.properties.values(), *self.system.values())
        return len(self.body) + sum(len(text.encode()) for text in texts)

    def named(self, path: tuple[str, ...]) -> Any:
        """What a name in a route's condition stands for."""
        first = path[0]
        if first == _BODY:
            return at(self._document(), path[1:])
        if first.startswith("$"):
            own = {"$connectionDeviceId": self.device, "$connectionModuleId": self.module or MISSING}
            return own.get(first, self.system.get(first[1:], MISSING))
        return self.properties.get(".".join(path), MISSING)

    def _document(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return MISSING


@dataclass(frozen=True, slots=True)
class Sink:
    """Where a route leads: an input of a module, or upstream with both empty."""

    module: str = ""
    input: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        module, output: That it takes messages of; empty for all.
        leaves: Whether it takes messages of leaf devices.
        priority: The lower goes first.
        ttl_s: How long a message waits; None for the hub's.
    """

    name: str
    module: str
    output: str
    leaves: bool
    sink: Sink
    condition: Condition | None = None
    priority: int = USUAL_PRIORITY
    ttl_s: int | None = None

    def takes(self, message: Message) -> bool:
        """Whether a message goes this way."""
        if not message.module:
            matches = self.leaves
        else:
            matches = self.module in ("", message.module) and self.output in ("", message.output)
        return matches and (self.condition is None or self.condition.holds(message.named))


def route_of(name: str, written: Any) -> Route:
    """A route as desired properties have it: a text, or an object with one.

    Raises:
        RouteInvalid: With what is wrong.
    """
    given = written if isinstance(written, Mapping) else {"route": written}
    text = given.get("route")
    if not isinstance(text, str):
        raise RouteInvalid(f"route {name!r} is no text")
    match = _ROUTE.fullmatch(text)
    if match is None:
        raise RouteInvalid(f"route {name!r} is not of the form FROM … [WHERE …] INTO …: {text!r}")
    source, where, into = match[1], match[2], match[3]
    module, output, leaves = _source(name, source)
    priority, ttl = given.get("priority", USUAL_PRIORITY), given.get("timeToLiveSecs")
    try:
        asked = condition(where) if where else None
    except ExpressionInvalid as error:
        raise RouteInvalid(f"route {name!r}: {error}") from error
    return Route(name, module, output, leaves, _sink(name, into), asked, int(priority), ttl or None)


def _source(name: str, text: str) -> tuple[str, str, bool]:
    match = _SOURCE.fullmatch(text)
    if match is None:
        raise RouteInvalid(f"route {name!r} takes from {text!r}, which a rehearsal does not know")
    general = text.rstrip("/").lower() in ("/*", "/messages/*")
    return match[1] or "", match[2] or "", general


def _sink(name: str, text: str) -> Sink:
    if text.lower() == UPSTREAM:
        return Sink()
    match = _SINK.fullmatch(text)
    if match is None:
        raise RouteInvalid(
            f'route {name!r} leads into {text!r}, not $upstream or BrokeredEndpoint("/modules/M/inputs/I")'
        )
    return Sink(match[2], match[3])
