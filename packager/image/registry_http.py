"""Requests to one registry: authorised, tried again within bounds, and every failure mapped to an error of ours.

The protocol is spoken on httpx, which dray has anyway. The kept library for it, ``oras`` 0.2.43 on PyPI, was read for
this: it has no time limits, waits 2 + 3^n s whatever ``Retry-After`` says, tries 4xx again, raises bare ``ValueError``
without the status, mounts no blobs, lists no referrers, and logs at error level; each of these is asked for here.
"""

import logging
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from packager.core.credentials import Credential
from packager.core.errors import RegistryUntrusted
from packager.core.http_client import is_loopback
from packager.core.image import DEFAULT_REGISTRY
from packager.image.registry_auth import Authorizer, Challenge, TokenRefused
from packager.image.registry_failures import Asked, Transient, Wanted, checked, mapped, token_refused

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

Content = bytes | Callable[[], Iterator[bytes]]
_T = TypeVar("_T")
_UNAUTHORIZED: Final = 401
_HUB_HOST: Final = "registry-1.docker.io"
_CERTIFICATES: Final = Path("/etc/docker/certs.d")


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """How registries are talked to.

    Attributes:
        ca_file: Certificates that are trusted beside the system's (``SSL_CERT_FILE`` replaces those).
        plain: Hosts that may be talked to without TLS; loopback always may.
        tries: Of one request or transfer, in all.
        longest_wait_s: What ``Retry-After`` may ask for; more is an error at once.
        pause: Sleeps; a test's own does not.
    """

    ca_file: Path | None = None
    plain: frozenset[str] = frozenset()
    tries: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0
    connect_timeout_s: float = 10.0
    timeout_s: float = 60.0
    pause: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


@dataclass(slots=True)
class RegistryHttp:
    """A connection to one registry.

    Attributes:
        host: As image references name it.
        sent_bytes: Of request bodies that were sent so far, tries included.
    """

    host: str
    credential: Credential | None
    settings: RegistrySettings
    sent_bytes: int = 0
    _client: "httpx.Client | None" = None
    _base: str = ""
    _authorizer: Authorizer | None = field(default=None, repr=False)

    def close(self) -> None:
        """Close the connections; the next request makes new ones."""
        if self._client:
            self._client.close()
            self._client = None

    def url(self, path: str) -> str:
        """The URL of a path under ``/v2/``, or of what a ``Location`` header says."""
        self._connect()
        return path if "://" in path else f"{self._base}{path}"

    def request(
        self,
        method: str,
        path: str,
        wanted: Wanted,
        *,
        headers: Mapping[str, str] | None = None,
        content: Content = b"",
        expected: tuple[int, ...] = (200,),
        once: bool = False,
    ) -> "httpx.Response":
        """The answer, with one of the expected statuses, its body read.

        Args:
            content: Bytes, or what makes them anew for each try; then ``headers`` has the length.
            once: Leave further tries to the caller (``retrying``), because they begin elsewhere.

        Raises:
            RegistryError: One of its family; or ``ImageMissing`` for 404.
        """

        def attempt() -> "httpx.Response":
            with self._exchange(method, path, wanted, headers or {}, content) as answer:
                answer.read()
                return checked(answer, self._who(), wanted, expected)

        return attempt() if once else self.retrying(attempt)

    @contextmanager
    def stream(self, path: str, wanted: Wanted, headers: Mapping[str, str]) -> Iterator["httpx.Response"]:
        """The answer to a GET, its body to be read piece by piece; one try, for ``retrying`` around the whole."""
        with self._exchange("GET", path, wanted, headers, b"") as answer:
            if answer.status_code not in (200, 206):
                answer.read()
            yield checked(answer, self._who(), wanted, (200, 206))

    def retrying(self, operation: Callable[[], _T]) -> _T:
        """The result of an operation that is tried again after what passes by itself: cuts, 429, 5xx.

        Raises:
            DrayError: The last try's, or the first that another try cannot help.
        """
        for number in range(1, self.settings.tries + 1):
            try:
                return operation()
            except Transient as trouble:
                wait_s = self._wait_s(number, trouble)
                if wait_s is None:
                    raise trouble.error from trouble
                logger.info("%s; trying again in %.1f s", trouble.error.message, wait_s)
                self.settings.pause(wait_s)
        raise AssertionError("the last try returns or raises")

    def _wait_s(self, number: int, trouble: Transient) -> float | None:
        """Seconds until the next try; None where there is none."""
        if number >= self.settings.tries:
            return None
        if trouble.after_s is None:
            return float(self.settings.first_wait_s * 2 ** (number - 1) * (0.5 + self.settings.jitter()))
        return None if trouble.after_s > self.settings.longest_wait_s else trouble.after_s + self.settings.jitter()

    @contextmanager
    def _exchange(
        self, method: str, path: str, wanted: Wanted, headers: Mapping[str, str], content: Content
    ) -> Iterator["httpx.Response"]:
        with mapped(self._who(), wanted):
            answer = self._send(method, path, wanted, headers, content)
            if answer.status_code == _UNAUTHORIZED and self._authorize(answer, wanted):
                answer.close()
                answer = self._send(method, path, wanted, headers, content)
            try:
                yield answer
            finally:
                answer.close()

    def _send(
        self, method: str, path: str, wanted: Wanted, headers: Mapping[str, str], content: Content
    ) -> "httpx.Response":
        client, authorizer = self._connect()
        url = self.url(path)
        # Uploads and downloads may lead to another host, which has no business with our credentials.
        own = urlsplit(url).netloc == urlsplit(self._base).netloc
        shown = authorizer.headers(wanted.scope) if own else {}
        body = content if isinstance(content, bytes) else self._counted(content())
        if isinstance(content, bytes):
            self.sent_bytes += len(content)
        request = client.build_request(method, url, headers={**headers, **shown}, content=body or None)
        return client.send(request, stream=True, follow_redirects=method in ("GET", "HEAD"))

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.sent_bytes += len(piece)
            yield piece

    def _authorize(self, answer: "httpx.Response", wanted: Wanted) -> bool:
        """Whether another try with what the registry asks for makes sense."""
        _, authorizer = self._connect()
        headers = answer.headers.get_list("www-authenticate")
        challenges = [challenge for header in headers if (challenge := Challenge.parse(header))]
        if not challenges:
            return False
        authorizer.forget(wanted.scope)
        try:
            return authorizer.answer(challenges[0], wanted.scope)
        except TokenRefused as refused:
            raise token_refused(self._who(), wanted, refused) from refused

    def _who(self) -> Asked:
        return Asked(self.host, self.credential.source if self.credential else None)

    def _connect(self) -> "tuple[httpx.Client, Authorizer]":
        import httpx

        if self._client is None or self._authorizer is None:
            host = _HUB_HOST if self.host == DEFAULT_REGISTRY else self.host
            local = is_loopback(f"https://{host}")
            timeout = httpx.Timeout(self.settings.timeout_s, connect=self.settings.connect_timeout_s)
            self._client = httpx.Client(
                verify=_trust(self.host, self.settings.ca_file),
                timeout=timeout,
                trust_env=not local,
                headers={"User-Agent": "dray"},
            )
            plain = (local or self.host in self.settings.plain) and not _speaks_tls(self._client, host)
            self._base = f"{'http' if plain else 'https'}://{host}"
            self._authorizer = Authorizer(self.credential, self._client.send, allow_plain=plain)
        return self._client, self._authorizer


def _speaks_tls(client: "httpx.Client", host: str) -> bool:
    """Whether a host that may be without TLS has it; a certificate that does not hold is TLS too."""
    import httpx

    try:
        client.get(f"https://{host}/v2/")
    except httpx.ConnectError as error:
        return "certificate" in str(error).lower()
    except httpx.HTTPError:
        return True
    return True


def _trust(host: str, ca_file: Path | None) -> ssl.SSLContext:
    """The system's certificates (or those of SSL_CERT_FILE), and those that were given for this registry."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        import certifi

        context.load_verify_locations(certifi.where())
    folder = _CERTIFICATES / host
    extra = [*([ca_file] if ca_file else []), *(sorted(folder.glob("*.crt")) if folder.is_dir() else [])]
    for path in extra:
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            raise RegistryUntrusted(
                f"{str(path)!r} holds no certificates: {error}", hint="a PEM file of a CA's certificates"
            ) from error
    return context
