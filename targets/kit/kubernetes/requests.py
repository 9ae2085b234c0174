"""Requests to an API server, with its refusals as our errors and with patience that ends."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from packager.core.errors import CloudFailed, DrayError, Throttled, Transitioning
from packager.core.extras import require_extra
from targets.kit.kubernetes.access import KubernetesAccess
from targets.kit.kubernetes.failures import refusal, status_of, unreachable

logger = logging.getLogger(__name__)
_TRIES: Final = 5
_LONGEST_WAIT_S: Final = 30.0
_CONNECT_S: Final = 5.0
_READ_S: Final = 60.0
_SUCCESS: Final = range(200, 300)
APPLY: Final = "application/apply-patch+yaml"


class Requests:
    """One connection pool to one API server; close it.

    Every request of dray's may be made twice, so that what may pass by itself is waited for: 429 as long as the server
    asks for, up to half a minute, errors of the server's, and cut connections, five times in all.
    """

    def __init__(self, access: KubernetesAccess) -> None:
        """Connects on first use.

        Raises:
            EnvironmentMissing: The extra ``kubernetes`` is not installed.
            ConfigurationError: The kubeconfig cannot be used.
        """
        require_extra("kubernetes")
        self.access = access
        self.client = access.client()

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """The document that the server answers.

        Raises:
            DrayError: What its refusal means.
        """
        return json.loads(self.raw(method, path, what, query=query, body=body, content_type=content_type) or b"{}")

    def raw(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """What the server answers, as it is."""
        for attempt in range(1, _TRIES + 1):
            try:
                return self._once(method, path, what, query, body, content_type)
            except (Throttled, CloudFailed, Transitioning) as error:
                wait = self._wait_s(error, attempt)
                if attempt == _TRIES or wait > _LONGEST_WAIT_S or (isinstance(error, Transitioning) and _exact(body)):
                    raise
                logger.debug("%s; again in %.1f s", error.message, wait)
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def stream(self, path: str, what: str, query: Mapping[str, str]) -> Iterator[bytes]:
        """Lines of an answer as they come."""
        response = self._send("GET", path, query, None, "", what, stream=True)
        try:
            if response.status not in _SUCCESS:
                raise refusal(response.status, status_of(response.read()), what)
            left = b""
            for chunk in response.stream(4096):
                *lines, left = (left + chunk).split(b"\n")
                yield from lines
            if left:
                yield left
        finally:
            response.release_conn()

    def _once(
        self,
        method: str,
        path: str,
        what: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        content_type: str,
    ) -> bytes:
        response = self._send(method, path, query, body, content_type, what)
        if response.status in _SUCCESS:
            return bytes(response.data)
        error = refusal(response.status, status_of(response.data), what)
        if (wait := str(response.headers.get("Retry-After") or "")).isdecimal():
            error.detail["retry_after_s"] = int(wait)
        raise error

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        content_type: str,
        what: str,
        *,
        stream: bool = False,
    ) -> Any:
        import urllib3

        if self.access.before:
            self.access.before(method, path)
        # Asked for at each request, for tokens of programs end.
        auth = {str(each["key"]): str(each["value"]) for each in self.client.configuration.auth_settings().values()}
        headers: dict[str, str] = {"Accept": "application/json", **self.client.default_headers, **auth}
        if body is not None:
            headers["Content-Type"] = content_type
        url = f"{self.client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            return self.client.rest_client.pool_manager.request(
                method,
                url,
                body=json.dumps(body).encode() if body is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT_S, read=None if stream else _READ_S),
                retries=_cut(),
                preload_content=not stream,
            )
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(error, what, self.access.where) from error

    def _wait_s(self, error: DrayError, attempt: int) -> float:
        asked = error.detail.get("retry_after_s")
        return float(asked) if asked is not None else min(0.5, self.access.poll_s) * 2.0 ** (attempt - 1)


def _cut() -> Any:
    """Again where the connection ended in between; what the server answers is looked at elsewhere."""
    import urllib3

    return urllib3.Retry(
        connect=1, read=2, redirect=0, status=0, other=0, allowed_methods=None, respect_retry_after_header=False
    )


def _exact(body: Mapping[str, Any] | None) -> bool:
    """Whether a request is about one state of an object, and void for any other."""
    return bool(body and (body.get("metadata") or {}).get("resourceVersion"))
