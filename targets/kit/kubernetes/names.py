"""Names of objects for a deployment's: a DNS label that everything of one deployment begins with."""

import hashlib
import re
from typing import Final

_LABEL: Final = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_HASH: Final = 6
# A Service's name has 63 characters at most; endings tell the objects of one deployment apart.
_LONGEST: Final = 63
ENDINGS: Final = ("-b", "-canary", "-pull", "-b-pull")
_ROOM: Final = max(len(ending) for ending in ENDINGS)
_LABEL_VALUE: Final = 63


def object_name(name: str) -> str:
    """The DNS label of a deployment; one that does not fit keeps what fits of it, and gets a hash of the whole."""
    fits = _LABEL.fullmatch(name) and len(name) <= _LONGEST - _ROOM and not name.endswith(ENDINGS)
    if fits:
        return name
    slug = re.sub(r"-+", "-", re.sub(r"[^a-z0-9]+", "-", name.lower())).strip("-")
    lettered = slug if slug[:1].isalpha() else f"m-{slug}".rstrip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH]
    return f"{lettered[: _LONGEST - _ROOM - _HASH - 1].rstrip('-')}-{digest}"


def label_value(text: str) -> str:
    """A text as a label may hold it; what cannot stand there becomes a hyphen."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:_LABEL_VALUE].strip("-._") or "none"
