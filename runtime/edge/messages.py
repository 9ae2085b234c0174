"""What a message of the hub says, and what an answer to it carries.

Source: azure-iot-device 2.14, ``iothub/pipeline/mqtt_topic_iothub.py``, and Azure IoT Hub, "Create and read IoT Hub
messages".
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

import orjson

from runtime.contract.errors import DrayError
from runtime.contract.manifest import ModelManifest
from runtime.edge.journal import Entry
from runtime.routes.answers import error_body

INPUT: Final = "inference"
PREDICTIONS: Final = "predictions"
UNCERTAIN: Final = "uncertain"
ERRORS: Final = "errors"
# Of a message with its properties. Source: Azure IoT Hub, "Quotas and throttling": 256 KB.
MOST_BYTES: Final = 256 << 10
# Of an MQTT topic, which carries the properties, with room for what the client adds. Source: MQTT 3.1.1, section 1.5.3.
_MOST_TOPIC_BYTES: Final = 60_000
# Source: "Create and read IoT Hub messages": up to 128 ASCII characters of these.
_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")
_SYSTEM: Final = {"$.mid": "message_id", "$.cid": "correlation_id", "$.ct": "content_type", "$.ce": "content_encoding"}


@dataclass(frozen=True, slots=True)
class Message:
    """What came on an input.

    Attributes:
        entry: Its place in the journal.
        input: Name of the input.
        properties: The sender's own.
    """

    entry: Entry
    input: str
    message_id: str | None = None
    correlation_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """As it came."""
        return self.entry.arrival.payload

    @property
    def request_id(self) -> str | None:
        """What names it for whoever sent it."""
        return self.correlation_id or self.message_id


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out on an output.

    Attributes:
        message_id: The same whenever the same message is answered, so that whoever reads can tell a second answer.
    """

    entry: Entry
    output: str
    body: bytes
    message_id: str
    correlation_id: str | None
    properties: Mapping[str, str]

    @property
    def size_bytes(self) -> int:
        """As the hub counts it: the body, the values of system properties, names and values of the others."""
        own = sum(len(name) + len(value) for name, value in self.properties.items())
        return len(self.body) + own + len(self.message_id) + len(self.correlation_id or "")

    @property
    def sendable(self) -> bool:
        """Whether the hub takes a message of this size."""
        ids = {"$.mid": self.message_id, "$.cid": self.correlation_id or ""}
        topic = sum(len(quote(name)) + len(quote(value)) + 2 for name, value in {**self.properties, **ids}.items())
        return self.size_bytes <= MOST_BYTES and topic <= _MOST_TOPIC_BYTES


def read_message(entry: Entry) -> Message:
    """What the topic says; whatever it cannot say is left out."""
    parts = entry.arrival.topic.split("/")
    # devices/D/modules/M/inputs/NAME/PROPERTIES
    name = unquote(parts[5]) if len(parts) > 5 else ""
    system: dict[str, str] = {}
    own: dict[str, str] = {}
    for pair in parts[6].split("&") if len(parts) > 6 else ():
        key, _, value = pair.partition("=")
        key, value = unquote(key), unquote(value)
        if key in _SYSTEM:
            system[_SYSTEM[key]] = value
        elif key and not key.startswith("$."):
            own[key] = value
    return Message(entry, name, **{key: value for key, value in system.items() if value}, properties=own)


def answer_to(
    message: Message, output: str, body: bytes, *, journal: str, about: Mapping[str, str], again: bool
) -> Answer:
    """An answer with the ids and properties that every answer carries.

    Args:
        journal: Names the journal, for the id of an answer to a message without one.
        about: Properties that say who answers.
        again: Whether the message may have been answered before.
    """
    own_id = message.message_id or f"{journal}-{message.entry.id}"
    # An answer that was computed again has the very same id.
    named = f"answer:{own_id}"
    if not _MESSAGE_ID.fullmatch(named):
        named = "answer:" + hashlib.sha256(own_id.encode()).hexdigest()
    duplicate = {"duplicate": "possible"} if again else {}
    properties = {**message.properties, **about, **duplicate}
    return Answer(message.entry, output, body, named, message.correlation_id or message.message_id, properties)


def refusal_of(
    message: Message, error: DrayError, status: int, *, journal: str, about: Mapping[str, str], again: bool
) -> Answer:
    """The error object, on the output for errors; without what would make it too large to be sent."""
    told = {**about, "error_code": error.code, "status": str(status)}
    body = orjson.dumps(error_body(error, message.request_id), default=str)
    answer = answer_to(message, ERRORS, body, journal=journal, about=told, again=again)
    if answer.sendable:
        return answer
    body = orjson.dumps(error_body(type(error)(error.message[:1000], hint=error.hint[:1000]), None))
    ids = message.message_id, message.correlation_id
    for bare in (Message(message.entry, message.input, *ids), Message(message.entry, message.input)):
        answer = answer_to(bare, ERRORS, body, journal=journal, about=told, again=again)
        if answer.sendable:
            break
    return answer


def about_model(manifest: ModelManifest, digest: str) -> dict[str, str]:
    """Properties that say which model answers."""
    return {"model": manifest.name, "version": manifest.version, "digest": digest}
