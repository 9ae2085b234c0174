"""Requests to an IoT hub's service API, with its refusals as our errors and with patience that ends."""

import json
import logging
import ssl
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from packager.core.errors import CloudFailed, CloudUnreachable, ConfigurationError, DrayError, Throttled
from packager.core.http_client import is_loopback
from targets.kit.iothub.access import HubAccess
from targets.kit.iothub.failures import Refusal, error_of

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)
API_VERSION: Final = "2021-04-12"
_TRIES: Final = 5
_LONGEST_WAIT_S: Final = 30.0
_CONNECT_S: Final = 10.0
_READ_S: Final = 60.0
_SUCCESS: Final = range(200, 300)


class Requests:
    """One connection pool to one hub; close it, or use it as a context manager.

    What may pass by itself is asked again: 429 as long as the hub asks for, up to half a minute, its own failures, and
    cut connections, five times in all. Every request of dray's may be made twice.
    """

    def __init__(self, access: HubAccess) -> None:
        """Connects on first use.

        Raises:
            ConfigurationError: The authority's file cannot be read.
        """
        import httpx  # kept out of start-up

        self.access = access
        self._http = httpx.Client(
            base_url=access.base_url,
            timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S),
            trust_env=not is_loopback(access.base_url),
            verify=_verification(access),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = _READ_S,
    ) -> Any:
        """The document that the hub answers; None for an answer without one.

        Args:
            what: Is asked for, in words for messages.

        Raises:
            DrayError: What its refusal means.
        """
        answer = self.answer(method, path, what, body=body, headers=headers, timeout_s=timeout_s)
        return json.loads(answer.content) if answer.content else None

    def answer(
        self,
        method: str,
        path: str,
        what: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = _READ_S,
    ) -> "httpx.Response":
        """The answer itself, of success."""
        for attempt in range(1, _TRIES + 1):
            try:
                return self._once(method, path, what, body, headers or {}, timeout_s)
            except (Throttled, CloudFailed, CloudUnreachable) as error:
                wait = self._wait_s(error, attempt)
                if attempt == _TRIES or wait > _LONGEST_WAIT_S or error.detail.get("certain"):
                    raise
                logger.debug("%s; again in %.1f s", error.message, wait)
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _once(
        self,
        method: str,
        path: str,
        what: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> "httpx.Response":
        import httpx

        if self.access.before:
            self.access.before(method, path)
        try:
            answer = self._http.request(
                method,
                path,
                params={"api-version": API_VERSION},
                content=None if body is None else json.dumps(body, ensure_ascii=False).encode(),
                headers={"Authorization": self.access.token(), "Content-Type": "application/json", **headers},
                timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S),
            )
        except httpx.RequestError as error:
            raise self._unreachable(error, what) from error
        if answer.status_code in _SUCCESS:
            return answer
        refused = error_of(Refusal.of(answer.status_code, answer.headers, answer.content), what)
        if (wait := answer.headers.get("Retry-After", "")).isdecimal():
            refused.detail["retry_after_s"] = int(wait)
        raise refused

    def _unreachable(self, error: "httpx.RequestError", what: str) -> CloudUnreachable:
        words = " ".join(str(error).split()) or type(error).__name__
        certificate = "certificate" in words.lower()
        hint = "is there a proxy that opens TLS? name its authority in SSL_CERT_FILE" if certificate else ""
        return CloudUnreachable(
            f"{self.access.host} did not answer about {what}: {words}",
            hint=hint or "check the hub's name, the network and HTTPS_PROXY; then the same command again",
            detail={"certain": True} if certificate else {},
        )

    def _wait_s(self, error: DrayError, attempt: int) -> float:
        asked = error.detail.get("retry_after_s")
        return float(asked) if asked is not None else min(0.5, self.access.poll_s) * 2.0 ** (attempt - 1)


def _verification(access: HubAccess) -> bool | ssl.SSLContext:
    """For plain HTTP, which only a stand-in speaks, a context that trusts nobody: it costs nothing to make."""
    if access.base_url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if access.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(access.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"{str(access.ca_file)!r} holds no certificate: {error}", hint="PEM is read"
        ) from error
