"""An archive over HTTP into a file: bounded in size and time, resumed where it was cut, its SHA-256 compared."""

import http.client
import logging
import random
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from runtime.contract.package import file_sha256
from runtime.edge.wanted import Archive, may_fetch
from runtime.errors import ArchiveDiffers, FetchInterrupted, PackageSizeDiffers, PackageUnfetched

logger = logging.getLogger(__name__)

_PIECE: Final = 1 << 16
_MOST_REDIRECTS: Final = 3
_TOO_MANY: Final = 429
# Of statuses, those that say nothing of the next try.
_PASSING: Final = frozenset({408, 425, _TOO_MANY, 500, 502, 503, 504})
_RANGE_REFUSED: Final = 416


class Stopped(Exception):
    """Nobody wants it any more."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a file may take.

    Attributes:
        silence_s: Without a byte, of connecting too.
        slowest: Bytes a second, on the whole, below which a file is given up.
        grace_s: Beyond what the slowest rate allows.
        tries: Without a byte of progress between them.
        first_wait_s: Before the second try, at most; twice as long each time.
    """

    silence_s: float = 30.0
    slowest: float = 4096.0
    grace_s: float = 300.0
    tries: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0


def fetch(
    archive: Archive, part: Path, stopped: Callable[[], bool], pause: Callable[[float], Any], patience: Patience
) -> int:
    """The archive, whole and right, at ``part``, which may hold its beginning already. The bytes that came.

    Args:
        stopped: Asked after every piece.
        pause: Waits so many seconds, or less where it is stopped.

    Raises:
        PackageUnfetched, PackageSizeDiffers, ArchiveDiffers: Why it cannot be had.
        OSError: The file cannot be written.
        Stopped: As told.
    """
    deadline = time.monotonic() + patience.grace_s + archive.size_bytes / patience.slowest
    watch = _Watch(stopped, deadline)
    failures = 0
    while True:
        before, came = _size(part), watch.came
        try:
            _fetch_rest(archive, part, patience, watch)
            _check(archive, part, resumed=before > 0)
        except FetchInterrupted as error:
            failures = 1 if watch.came > came else failures + 1
            if failures >= patience.tries or time.monotonic() > deadline:
                raise
            logger.warning("package not fetched yet", extra={"fields": {"error": error.message, "try": failures}})
            longest = min(patience.longest_wait_s, patience.first_wait_s * 2.0 ** (failures - 1))
            pause(random.uniform(longest / 4, longest))  # noqa: S311 - no secret
            if stopped():
                raise Stopped from error
        else:
            return watch.came


@dataclass(slots=True)
class _Watch:
    """Over all tries of one file.

    Attributes:
        came: Bytes.
    """

    stopped: Callable[[], bool]
    deadline: float
    came: int = 0


def _check(archive: Archive, part: Path, *, resumed: bool) -> None:
    if file_sha256(part) == archive.sha256:
        return
    part.unlink()
    if resumed:  # its beginning may have been of another file
        raise FetchInterrupted(f"what was put together of {archive.shown!r} has another SHA-256 than was named")
    raise ArchiveDiffers(
        f"{archive.shown!r} has another SHA-256 than the one that was named, {archive.sha256}",
        hint="name the file's own (sha256sum), or put the file there that is meant",
    )


def _fetch_rest(archive: Archive, part: Path, patience: Patience, watch: _Watch) -> None:
    have = _size(part)
    if have == archive.size_bytes:
        return
    if have > archive.size_bytes:
        part.unlink()
        have = 0
    with _opened(archive, part, have, patience) as response:
        begins = have if response.status == 206 and _range_from(response.headers, have) else 0
        _check_length(archive, response.headers, begins)
        with part.open("r+b" if begins else "wb") as file:
            file.seek(begins)
            _copy(archive, response, file, begins, watch)


def _copy(archive: Archive, response: IO[bytes], file: IO[bytes], have: int, watch: _Watch) -> None:
    while piece := _piece(archive, response):
        have += len(piece)
        watch.came += len(piece)
        if have > archive.size_bytes:
            raise _other_size(archive, f"more than {archive.size_bytes}")
        file.write(piece)
        if watch.stopped():
            raise Stopped
        if time.monotonic() > watch.deadline:
            raise FetchInterrupted(f"{archive.shown!r} comes too slowly: {have} of {archive.size_bytes} bytes came")
    if have < archive.size_bytes:
        raise FetchInterrupted(f"{archive.shown!r} was cut after {have} of {archive.size_bytes} bytes")


def _piece(archive: Archive, response: Any) -> bytes:
    try:
        piece: bytes = response.read1(_PIECE)
    except (OSError, http.client.HTTPException) as error:
        raise FetchInterrupted(f"{archive.shown!r} was cut: {_said(error)}") from error
    return piece


def _opened(archive: Archive, part: Path, have: int, patience: Patience) -> Any:
    headers = {"accept-encoding": "identity", "user-agent": "dray"}
    if have:
        headers["range"] = f"bytes={have}-"
    request = urllib.request.Request(archive.url, headers=headers)
    # Plain http is for this machine, to which no proxy leads.
    direct = [] if archive.url.startswith("https:") else [urllib.request.ProxyHandler({})]
    opener = urllib.request.build_opener(_Redirects, urllib.request.HTTPSHandler(context=_trusted()), *direct)
    try:
        return opener.open(request, timeout=patience.silence_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _RANGE_REFUSED:  # what was begun is not of this file
            part.unlink(missing_ok=True)
        raise _refused(archive, error.code) from error
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(archive, error) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise _untrusted(archive, cause) from error
        raise FetchInterrupted(
            f"{archive.shown!r} cannot be reached: {_said(cause)}", hint="the device needs a way to that host"
        ) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Followed a few times, and only to where a package may come from."""

    max_redirections = _MOST_REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not may_fetch(newurl):
            raise PackageUnfetched(
                "the server leads on to an address that no package is fetched from", hint="name the file's own URL"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _trusted() -> ssl.SSLContext:
    """The system's certificates (or those of SSL_CERT_FILE), and those that came with the client of the hub."""
    context = ssl.create_default_context()
    try:
        import certifi
    except ImportError:
        return context
    context.load_verify_locations(certifi.where())
    return context


def _refused(archive: Archive, status: int) -> PackageUnfetched:
    what = f"the server answers {status} for {archive.shown!r}"
    if status in _PASSING or status == _RANGE_REFUSED:
        return FetchInterrupted(what, hint="it is asked again")
    hints = {401: "give a URL that needs no sign-in, such as one with a SAS for reading", 404: "there is no such file"}
    hints[403] = "a SAS that has run out, or is not for reading?"
    return PackageUnfetched(what, hint=hints.get(status, ""))


def _untrusted(archive: Archive, error: ssl.SSLCertVerificationError) -> PackageUnfetched:
    return PackageUnfetched(
        f"the certificate of {archive.shown!r} does not hold: {error.verify_message}",
        hint="mount your CA's certificates, and name them in SSL_CERT_FILE; is the device's clock right?",
    )


def _check_length(archive: Archive, headers: Mapping[str, str], begins: int) -> None:
    told = headers.get("content-length") or ""
    if told.isdecimal() and begins + int(told) != archive.size_bytes:
        raise _other_size(archive, str(begins + int(told)))


def _other_size(archive: Archive, found: str) -> PackageSizeDiffers:
    return PackageSizeDiffers(
        f"{archive.shown!r} has {found} bytes, and {archive.size_bytes} were named",
        hint="name the file's own size, or put the file there that is meant",
    )


def _range_from(headers: Mapping[str, str], begins: int) -> bool:
    return (headers.get("content-range") or "").startswith(f"bytes {begins}-")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _said(error: object) -> str:
    """What an error says; never a URL, for those of the client's errors that have one are handled before."""
    return f"{type(error).__name__}: {error}".lower() if isinstance(error, OSError) else type(error).__name__.lower()
