"""Which package a device is told to serve, and where it gets it."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LARGEST_BYTES: Final = 1 << 40
_LONGEST_URL: Final = 4096
_OF_ARCHIVE: Final = ("url", "sha256", "size_bytes")
_ALLOWED: Final = ("allow_older", "allow_signature_change")


@dataclass(frozen=True, slots=True)
class Archive:
    """A file at a URL.

    Attributes:
        url: May carry a secret, so it is shown nowhere.
        sha256: Of the file.
    """

    url: str = field(repr=False)
    sha256: str
    size_bytes: int

    @property
    def shown(self) -> str:
        """Where it is, without what may be a secret."""
        return shown(self.url)


@dataclass(frozen=True, slots=True)
class WantedPackage:
    """A package that is to serve.

    Attributes:
        source: A file at a URL, or a folder of this container.
        digest: Of its content, as its certificate names it.
        allow_older: Whether its version may be below that of what serves.
    """

    source: Archive | Path
    digest: str
    allow_older: bool = False
    allow_signature_change: bool = False


def read_wanted(value: object) -> WantedPackage:
    """A desired property as what it wants.

    Raises:
        ValueError: What is wrong with it; the URL is never told.
    """
    if not isinstance(value, Mapping):
        raise ValueError("expected an object")  # noqa: TRY004 - one kind of error for all that a person may get wrong
    archived = "url" in value
    needed = {*(_OF_ARCHIVE if archived else ("path",)), "digest"}
    if not needed <= set(value) or not set(value) <= needed | set(_ALLOWED):
        raise ValueError(
            f"expected an object of {', '.join(_OF_ARCHIVE)}, digest, or of path, digest;"
            f" with any of {', '.join(_ALLOWED)}"
        )
    source = _archive(value) if archived else _path(value["path"])
    digest = text_of_form(value["digest"], DIGEST, "digest: sha256: and 64 hex digits")
    return WantedPackage(source, digest, **{name: _yes(value.get(name, False), name) for name in _ALLOWED})


def may_fetch(url: str) -> bool:
    """Whether a URL is one that a package may come from: https, or http on this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _port = parts.port  # raises where it is none
    except ValueError:
        return False
    if not host or parts.username is not None or not re.fullmatch(r"[!-~]+", url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def shown(url: str) -> str:
    """A URL without query and fragment, where secrets stand."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _archive(value: Mapping[Any, Any]) -> Archive:
    url, size = value["url"], value["size_bytes"]
    if not isinstance(url, str) or len(url) > _LONGEST_URL or not may_fetch(url):
        raise ValueError("expected url: an https URL without a user (http for this machine itself)")
    # The hub keeps one kind of number: a whole one may come back with a fraction of 0.
    whole = isinstance(size, int | float) and not isinstance(size, bool) and 1 <= size <= _LARGEST_BYTES
    if not whole or int(size) != size:
        raise ValueError(f"expected size_bytes: a whole number from 1 to {_LARGEST_BYTES}")
    return Archive(url, text_of_form(value["sha256"], _SHA256, "sha256: 64 hex digits"), int(size))


def _path(value: object) -> Path:
    if not isinstance(value, str) or "\0" in value or not Path(value).is_absolute():
        raise ValueError("expected path: an absolute path of a folder in the container")
    return Path(value)


def _yes(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected {name}: true or false")  # noqa: TRY004
    return value


def text_of_form(value: object, form: re.Pattern[str], expected: str) -> str:
    """The text, where it is one of this form. Raises ValueError."""
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError(f"expected {expected}")
    return value
