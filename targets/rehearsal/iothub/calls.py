"""Requests of the service's API and their answers, without the server's types."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from targets.rehearsal.iothub.errors import HubError, invalid


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    Attributes:
        parts: Of its path, decoded.
        headers: Names in lower case.
    """

    method: str
    path: str
    parts: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes = field(default=b"", repr=False)

    def body(self) -> dict[str, Any]:
        """The JSON object that it holds.

        Raises:
            HubError: There is none.
        """
        try:
            document = json.loads(self.content)
        except ValueError:
            raise HubError("IotHubFormatError", "the body is no JSON") from None
        if not isinstance(document, dict):
            raise HubError("IotHubFormatError", "the body is no JSON object")
        return document

    @property
    def if_match(self) -> str | None:
        """Which version it wants to change."""
        return self.headers.get("if-match")

    def number(self, name: str, usual: int, most: int) -> int:
        """A query parameter or header.

        Raises:
            HubError: It is no number, or out of bounds.
        """
        text = self.query.get(name) or self.headers.get(name) or str(usual)
        if not (text.isascii() and text.isdecimal() and 0 < int(text) <= most):
            raise invalid(f"{name} is {text!r}, allowed: a whole number from 1 to {most}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        body: A JSON value; None for nothing.
        cut: The connection ends before the body does.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


def with_etag(body: Mapping[str, Any], status: int = 200) -> Answer:
    """A document, and its version as a header."""
    return Answer(status, body, {"etag": f'"{body["etag"]}"'})
