"""How a registry is shown who asks: the Basic and Bearer schemes of RFC 7235 as registries use them.

Sources: distribution/distribution, ``docs/spec/auth/token.md`` and ``oauth.md``; RFC 7617, RFC 9110 section 11.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from packager.core.credentials import Credential
from packager.core.errors import RegistryError

if TYPE_CHECKING:
    import httpx

_CLIENT_ID: Final = "dray"
_OK: Final = 200
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')

Send = Callable[["httpx.Request"], "httpx.Response"]


@dataclass(frozen=True, slots=True)
class Challenge:
    """What ``WWW-Authenticate`` asks for.

    Attributes:
        scheme: ``basic`` or ``bearer``.
    """

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""

    @classmethod
    def parse(cls, header: str) -> "Challenge | None":
        """The challenge of a header; None for a scheme that registries do not use."""
        scheme, _, rest = header.strip().partition(" ")
        if scheme.lower() not in ("basic", "bearer"):
            return None
        found = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(rest)}
        return cls(scheme.lower(), found.get("realm", ""), found.get("service", ""), found.get("scope", ""))


@dataclass(slots=True)
class Authorizer:
    """Headers that show a registry who asks; tokens are fetched when they are asked for, and kept for their scope.

    Attributes:
        allow_plain: Whether a token service may be asked without TLS; set for plain registries only.
    """

    credential: Credential | None
    send: Send
    allow_plain: bool = False
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)
    _basic: bool = False

    def headers(self, scope: str) -> Mapping[str, str]:
        """What is known to be wanted already; nothing at first."""
        if token := self._tokens.get(scope):
            return {"Authorization": f"Bearer {token}"}
        return {"Authorization": self._basic_value()} if self._basic and self.credential else {}

    def answer(self, challenge: Challenge, scope: str) -> bool:
        """Prepare ``headers`` for a challenge; False where there is nothing to show.

        Raises:
            RegistryError: The token service does not give a token.
        """
        if challenge.scheme == "basic":
            self._basic = self.credential is not None and bool(self.credential.username)
            return self._basic
        self._tokens[scope] = self._fetch(challenge, scope)
        return True

    def forget(self, scope: str) -> None:
        """Drop a token that is no longer taken."""
        self._tokens.pop(scope, None)

    def _fetch(self, challenge: Challenge, scope: str) -> str:
        if urlsplit(challenge.realm).scheme != "https" and not self.allow_plain:
            raise RegistryError(
                f"the registry sends to a token service without TLS: {challenge.realm!r}",
                hint="nothing was sent there; this registry cannot be trusted with credentials",
            )
        answer = self.send(self._token_request(challenge, scope or challenge.scope))
        token = _token_of(answer)
        if token is None:
            raise TokenRefused(answer.status_code, challenge.realm)
        return token

    def _token_request(self, challenge: Challenge, scope: str) -> "httpx.Request":
        import httpx

        if self.credential and self.credential.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self.credential.identity_token,
                "service": challenge.service,
                "scope": scope,
                "client_id": _CLIENT_ID,
            }
            return httpx.Request("POST", challenge.realm, data=form)
        query = {name: value for name, value in (("service", challenge.service), ("scope", scope)) if value}
        headers = {"Authorization": self._basic_value()} if self.credential and self.credential.username else {}
        return httpx.Request("GET", httpx.URL(challenge.realm).copy_merge_params(query), headers=headers)

    def _basic_value(self) -> str:
        if self.credential is None:
            return ""
        pair = f"{self.credential.username}:{self.credential.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class TokenRefused(Exception):
    """The token service refused; the transport says it in the words of what was wanted."""

    def __init__(self, status: int, realm: str) -> None:
        super().__init__(status, realm)
        self.status = status
        self.realm = realm


def _token_of(answer: "httpx.Response") -> str | None:
    if answer.status_code != _OK:
        return None
    try:
        document = answer.json()
    except ValueError:
        return None
    token = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
    return str(token) if token else None
