"""The workload API of an edge device: a socket for each module, by which it signs as itself and learns whom to trust.

Source: "IoT Edge Module Workload API", version 2020-07-07.
"""

import asyncio
import base64
import binascii
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import h11

from targets.rehearsal.iothub.identities import Identity
from targets.rehearsal.iothub.sas import sign

logger = logging.getLogger(__name__)

SOCKET: Final = "/var/run/iotedge/workload.sock"
API_VERSION: Final = "2020-07-07"
_BODY_BYTES: Final = 1 << 20
_PATIENCE_S: Final = 30.0
# Of a path that a system takes for a socket, less the zero at its end.
_PATH_BYTES: Final = 100


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    document: Any


class WorkloadApi:
    """Of one module, at one socket."""

    def __init__(self, path: Path, identity: Callable[[], Identity | None], secret: str, authority: str) -> None:
        """Nothing listens yet.

        Args:
            path: Of the socket.
            identity: The module's own; None once it is gone.
            authority: PEM of whom modules trust.
        """
        self.path = path
        self._identity = identity
        self._secret = secret
        self._authority = authority
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: The path is too long, or cannot be written to.
        """
        if len(os.fsencode(self.path)) > _PATH_BYTES:
            raise OSError(
                f"a socket's path has at most {_PATH_BYTES} bytes, this one {len(os.fsencode(self.path))}: {self.path}"
            )
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._met, self.path)
        # A container's user is another one; whoever is not in a container is kept out by the folder.
        self.path.chmod(0o666)

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._serve(reader, writer)
        except (TimeoutError, OSError, h11.RemoteProtocolError) as error:
            logger.debug("a call of the workload API ended: %s", error)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request; the connection ends with it."""
        wire, request, body = h11.Connection(h11.SERVER), None, bytearray()
        while True:
            event = wire.next_event()
            if event is h11.NEED_DATA:
                wire.receive_data(await reader.read(_BODY_BYTES))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _BODY_BYTES:
                    return
            else:
                break
        if request is None:
            return
        answer = self._answer(request.method.decode(), request.target.decode("latin-1"), bytes(body))
        content = json.dumps(answer.document).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(content))), ("connection", "close")]
        for sent in (
            h11.Response(status_code=answer.status, headers=headers),
            h11.Data(data=content),
            h11.EndOfMessage(),
        ):
            writer.write(wire.send(sent) or b"")
        await writer.drain()

    def _answer(self, method: str, target: str, body: bytes) -> _Answer:
        path, _, query = target.partition("?")
        identity = self._identity()
        if "api-version=" not in query:
            return _error(400, "the query parameter api-version is missing")
        if (method, path) in (("GET", "/trust-bundle"), ("GET", "/manifest-trust-bundle")):
            return _Answer(200, {"certificate": self._authority})
        parts = [unquote(part) for part in path.strip("/").split("/")]
        known = len(parts) > 1 and parts[0] == "modules" and identity is not None and parts[1] == identity.module
        if identity is None or not known:
            return _error(404, f"{path} is not this module's")
        if parts[2:3] != ["genid"] or parts[3:4] != [identity.generation]:
            return _error(404, f"{path} is of another generation of the module, or not in a rehearsal")
        if method == "POST" and parts[4:] == ["sign"]:
            return self._sign(identity, body)
        return _error(501, f"{method} {path} is not in a rehearsal")

    def _sign(self, identity: Identity, body: bytes) -> _Answer:
        try:
            request = json.loads(body)
            content = base64.b64decode(request["data"], validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error):
            return _error(400, "a request to sign has keyId, algo and data, in base64")
        if request.get("algo") != "HMACSHA256" or request.get("keyId") not in ("primary", "secondary"):
            return _error(400, "algo must be HMACSHA256, keyId primary or secondary")
        return _Answer(
            200, {"digest": sign(identity.key(self._secret, second=request["keyId"] == "secondary"), content)}
        )


def _error(status: int, message: str) -> _Answer:
    return _Answer(status, {"message": message})
