"""Heads of requests as the fast path has them."""

from collections.abc import Mapping
from typing import NamedTuple

from runtime.server.hot_routes import HotRoute


class HeaderTexts:
    """Header fields as the dialects read them: decoded where they are asked for."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Mapping[bytes, bytes]) -> None:
        self._raw = raw

    def get(self, name: str, /) -> str | None:
        """The value of a field, by its name in lower case."""
        value = self._raw.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")


class KnownHead(NamedTuple):
    """The head of a connection's latest request: its next one most often has the same, and is not parsed again.

    It is only kept while all that came on the connection were whole requests, so that the parser stands between two.
    """

    head: bytes
    size: int
    route: HotRoute
    headers: Mapping[bytes, bytes]

    def repeated_by(self, data: bytes) -> bool:
        """Whether this is that head, a body of that length, and nothing else."""
        return len(data) == self.size and data.startswith(self.head) and self.route.live
