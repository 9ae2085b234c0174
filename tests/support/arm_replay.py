"""Answers of Azure as they were seen, given to the SDK by a transport: real requests, no server."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from targets.kit.azure.access import AzureAccess, FixedToken
from tests.support.arm_server import SUBSCRIPTION
from tests.support.stand_in_server import TOKEN

ENDPOINT = "https://management.example"


@dataclass(frozen=True)
class Said:
    """One answer; a text is sent as it is, everything else as JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Replay:
    """Asks a function for each answer, and keeps what was sent: method, path, JSON."""

    answer: Callable[[str, str, Any], Said]
    sent: list[tuple[str, str, Any]] = field(default_factory=list)

    def access(self, **changed: Any) -> AzureAccess:
        """That speaks to it."""
        given: dict[str, Any] = {"resource_group": "demo", "reach": "ip", "poll_s": 0.01, "transport": self._transport}
        return AzureAccess(ENDPOINT, SUBSCRIPTION, FixedToken(TOKEN), **{**given, **changed})

    def bodies(self, method: str) -> list[Any]:
        """Of all requests of a method."""
        return [body for verb, _, body in self.sent if verb == method]

    def _transport(self) -> Any:
        session = requests.Session()
        session.mount("https://", _Adapter(self))
        return RequestsTransport(session=session, session_owner=False)


class _Adapter(HTTPAdapter):
    def __init__(self, replay: Replay) -> None:
        super().__init__()
        self._replay = replay

    def send(self, request: requests.PreparedRequest, *given: Any, **options: Any) -> requests.Response:
        path = urlsplit(str(request.url)).path
        body = json.loads(request.body) if request.body else None
        self._replay.sent.append((str(request.method), path, body))
        said = self._replay.answer(str(request.method), path, body)
        text = said.body if isinstance(said.body, str) else "" if said.body is None else json.dumps(said.body)
        headers = {"Content-Type": "application/json; charset=utf-8", **said.headers}
        raw = HTTPResponse(io.BytesIO(text.encode()), headers, said.status, preload_content=False)
        response: requests.Response = self.build_response(request, raw)
        return response
