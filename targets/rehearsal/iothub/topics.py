"""Topics of an edge hub, and the properties of messages in them.

Source: "Communicate with an IoT hub using the MQTT protocol", Microsoft.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from targets.rehearsal.iothub.routes import Message

METHODS: Final = "$iothub/methods/POST/"
METHOD_ANSWER: Final = "$iothub/methods/res/"
TWIN_GET: Final = "$iothub/twin/GET/"
TWIN_REPORT: Final = "$iothub/twin/PATCH/properties/reported/"
TWIN_PATCH: Final = "$iothub/twin/PATCH/properties/desired/"
TWIN_ANSWER: Final = "$iothub/twin/res/"

# Short names of system properties, as they stand in topics.
_SHORT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mid": "messageId",
        "cid": "correlationId",
        "uid": "userId",
        "ct": "contentType",
        "ce": "contentEncoding",
        "exp": "expiryTimeUtc",
        "ctime": "creationTimeUtc",
        "on": "outputName",
        "cdid": "connectionDeviceId",
        "cmid": "connectionModuleId",
        "to": "to",
    }
)
_LONG: Final = MappingProxyType({long: short for short, long in _SHORT.items()})


class TopicInvalid(ValueError):
    """A topic that an edge hub does not have."""


def events_of(device: str, module: str) -> str:
    """Where a module's messages come in."""
    return f"devices/{device}/modules/{module}/messages/events/"


def input_topic(message: Message, device: str, module: str, name: str) -> str:
    """Where a message goes out to a module."""
    system = {**message.system, "connectionDeviceId": message.device}
    if message.module:
        system["connectionModuleId"] = message.module
    pairs = [(f"$.{_LONG[name]}", value) for name, value in system.items() if name in _LONG and name != "outputName"]
    bag = "&".join(
        f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in (*pairs, *message.properties.items())
    )
    return f"devices/{device}/modules/{module}/inputs/{quote(name, safe='')}/{bag}"


def message_of(topic: str, payload: bytes, device: str, module: str) -> Message:
    """A module's message, by the topic that it came on.

    Raises:
        TopicInvalid: It is another's, or has no such topic.
    """
    start = events_of(device, module)
    if not f"{topic}/".startswith(start):
        raise TopicInvalid(f"{device}/{module} may not publish to {topic}")
    bag = bag_of(topic.removeprefix(start).rstrip("/"))
    system = {_SHORT[key[2:]]: value for key, value in bag.items() if key.startswith("$.") and key[2:] in _SHORT}
    properties = {key: value for key, value in bag.items() if not key.startswith("$.")}
    output = system.pop("outputName", "")
    for own in ("connectionDeviceId", "connectionModuleId"):  # the hub's to say
        system.pop(own, None)
    return Message(device, module, output, payload, properties, system)


def request_of(topic: str) -> str:
    """The number by which an answer finds its request.

    Raises:
        TopicInvalid: There is none.
    """
    number = bag_of(topic.rpartition("/?")[2]).get("$rid", "")
    if not number or len(number) > 128:
        raise TopicInvalid(f"{topic} has no $rid")
    return number


def bag_of(text: str) -> dict[str, str]:
    """Properties out of a part of a topic."""
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {unquote(key): unquote(value) for key, _, value in pairs}
