"""Names in Azure for a deployment's: of its groups, and of its DNS label."""

import hashlib
import re
from collections.abc import Iterator
from typing import Final

_LONGEST: Final = 63
_SHORTEST_LABEL: Final = 5
_FITS: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_HASH: Final = 6
# Room for what tells a group from the one that it replaces.
_ROOM: Final = 4
OTHER: Final = "-b"


def group_names(name: str) -> Iterator[str]:
    """Names for the deployment's groups, the plainest first: 1 to 63 lower-case letters, digits and hyphens.

    One that does not fit keeps what fits of it, and gets a hash of the whole.
    """
    slug = re.sub(r"-+", "-", re.sub(r"[^a-z0-9]+", "-", name.lower())).strip("-")
    plain = name if _FITS.fullmatch(name) and "--" not in name and len(name) <= _LONGEST - _ROOM else ""
    first = plain or f"{slug[: _LONGEST - _ROOM - _HASH - 1].strip('-')}-{_digest(name)}".strip("-")
    yield first
    yield from (f"{first}-{letter}" for letter in "bcdefghij")


def default_label(name: str, subscription: str, resource_group: str) -> str:
    """A DNS label that nobody else in the region will have, and that the same deployment always gets."""
    own = next(group_names(name))
    slug = own if own[0].isalpha() else f"m-{own}"
    ending = _digest(f"{subscription.lower()}/{resource_group.lower()}/{name}")
    return f"{slug[: _LONGEST - _ROOM - _HASH - 1].strip('-')}-{ending}"


def other_label(label: str) -> str:
    """The label of the group that stands beside the one with this label; of that, the first again."""
    if label.endswith(OTHER) and len(label) - len(OTHER) >= _SHORTEST_LABEL:
        return label.removesuffix(OTHER)
    return f"{label[: _LONGEST - len(OTHER)].rstrip('-')}{OTHER}"


def labels_of(base: str) -> tuple[str, str]:
    """Both labels that a deployment with this one may have at a time."""
    return base, other_label(base)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH]
