"""What goes wrong with a registry, as errors of ours; and which of it is worth another try."""

import email.utils
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from packager.core.errors import (
    DrayError,
    ImageMissing,
    PullDenied,
    PushDenied,
    RegistryCut,
    RegistryError,
    RegistryThrottled,
    RegistryUnavailable,
    RegistryUnreachable,
    RegistryUntrusted,
)
from packager.image.registry_auth import TokenRefused

if TYPE_CHECKING:
    import httpx

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 429, 500
_WORDS: Final = 300
# What the C libraries say of a name that does not exist; it will not exist in a second either.
_NO_SUCH_NAME: Final = ("name or service not known", "nodename nor servname", "no address associated")


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked, and with whose credentials (where they were found); None without any."""

    host: str
    source: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request is for, in the words of its errors.

    Attributes:
        scope: Of the token that it takes, as ``repository:team/churn:pull,push``.
        writes: Whether it is part of a push.
    """

    what: str
    scope: str
    writes: bool = False


class Transient(Exception):
    """Worth another try; ``error`` is what it is when tries have run out."""

    def __init__(self, error: DrayError, after_s: float | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.after_s = after_s


def checked(answer: "httpx.Response", asked: Asked, wanted: Wanted, expected: tuple[int, ...]) -> "httpx.Response":
    """The answer, where its status is expected; its body has been read where it is not.

    Raises:
        Transient: 429 or 5xx.
        RegistryError, ImageMissing: Another try would not help.
    """
    status = answer.status_code
    if status in expected:
        return answer
    words = _words_of(answer)
    detail = {"status": status, "registry": asked.host, "answer": words}
    if status in (_UNAUTHORIZED, _FORBIDDEN):
        raise denied(asked, wanted, status, words)
    if status == _TOO_MANY or status >= _SERVER_ERROR:
        raise _passing(asked, wanted, status, _retry_after(answer.headers.get("retry-after")), words)
    if status == _NOT_FOUND:
        hint = "check name and tag; some registries want a repository to be made before the first push"
        raise ImageMissing(f"{asked.host} has no {wanted.what}{_because(words)}", hint=hint, detail=detail)
    raise RegistryError(
        f"{asked.host} answered {status} to a request for {wanted.what}{_because(words)}",
        hint="the registry's own words are in the detail",
        detail=detail,
    )


def denied(asked: Asked, wanted: Wanted, status: int, words: str) -> RegistryError:
    """The error for 401 and 403."""
    who = f"the credentials of {asked.source}" if asked.source else "anybody without credentials"
    kind, verb = (PushDenied, "push") if wanted.writes else (PullDenied, "pull")
    login = not asked.source or status == _UNAUTHORIZED
    move = f"docker login {asked.host}" if login else f"ask its owner for the right to {verb}"
    return kind(
        f"{asked.host} does not let {who} {verb} {wanted.what} ({status}){_because(words)}",
        hint=f"{move}; a name that does not exist is often answered like this too",
        detail={"status": status, "registry": asked.host, "answer": words},
    )


def token_refused(asked: Asked, wanted: Wanted, refused: TokenRefused) -> Exception:
    """The error for a token service that gave no token."""
    words = f"the token service {refused.realm} answered {refused.status}"
    if refused.status == _TOO_MANY or refused.status >= _SERVER_ERROR:
        return _passing(asked, wanted, refused.status, None, words)
    return denied(asked, wanted, refused.status, words)


@contextmanager
def mapped(asked: Asked, wanted: Wanted) -> Iterator[None]:
    """Errors of the network in our words.

    Raises:
        Transient: The connection could not be made, or ended; another try may help.
        RegistryUntrusted, RegistryUnreachable, RegistryError: It would not.
    """
    import httpx

    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise _unreachable(asked, error) from error
    except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
        how = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "ended the connection"
        cut = RegistryCut(
            f"{asked.host} {how} in the middle of {wanted.what}",
            hint="nothing half-sent is tagged; run it again: what arrived is not sent twice",
            detail={"registry": asked.host, "cause": str(error) or type(error).__name__},
        )
        raise Transient(cut) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        message = f"{asked.host} cannot be talked to: {str(error).lower()}"
        raise RegistryError(message, hint="check the registry's name and the proxy settings") from error


def _passing(asked: Asked, wanted: Wanted, status: int, after_s: float | None, words: str) -> Transient:
    detail = {"status": status, "registry": asked.host, "answer": words, "retry_after_s": after_s}
    if status == _TOO_MANY:
        asks = f", and asks to wait {after_s:g} s" if after_s is not None else ""
        hint = "try again later; with credentials (`docker login`) most registries allow more"
        message = f"{asked.host} takes no more requests for now (429){asks}"
        return Transient(RegistryThrottled(message, hint=hint, detail=detail), after_s)
    message = f"{asked.host} answered {status} to a request for {wanted.what}{_because(words)}"
    hint = "the registry has a problem of its own; try again later"
    return Transient(RegistryUnavailable(message, hint=hint, detail=detail), after_s)


def _unreachable(asked: Asked, error: "httpx.TransportError") -> Exception:
    words = (str(error) or type(error).__name__).lower()
    detail = {"registry": asked.host, "cause": words}
    if "certificate" in words or "ssl" in words:
        return RegistryUntrusted(
            f"{asked.host} is not trusted: {words}",
            hint="name your CA's certificates in SSL_CERT_FILE; a registry without TLS has to be allowed by name",
            detail=detail,
        )
    hint = "check the name, the network, and HTTPS_PROXY and NO_PROXY"
    gone = RegistryUnreachable(f"{asked.host} cannot be reached: {words}", hint=hint, detail=detail)
    return gone if any(text in words for text in _NO_SUCH_NAME) else Transient(gone)


def _words_of(answer: "httpx.Response") -> str:
    """What the registry says of the error, on one line. Source: distribution-spec, "Error Codes"."""
    try:
        errors = answer.json()["errors"] or []
        words = "; ".join(f"{error.get('code', '')} {error.get('message') or ''}".strip() for error in errors)
    except (ValueError, AttributeError, KeyError, TypeError):
        words = " ".join(answer.text.split())
    return words[:_WORDS]


def _because(words: str) -> str:
    return f": {words}" if words else ""


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait, from either form of the header. Source: RFC 9110, section 10.2.3."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
