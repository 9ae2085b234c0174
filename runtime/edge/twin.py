"""What a device's operator wants of the module while it runs: desired properties, each checked, bad ones named.

Everything stands under ``dray``. What cannot be honoured is reported and changes nothing; the others hold.
"""

import difflib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from runtime.edge.wanted import DIGEST, WantedPackage, read_wanted, text_of_form

SECTION: Final = "dray"
_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_LONGEST_DELAY_US: Final = 10_000_000
_MOST_ROWS: Final = 65536
_SECRET: Final = frozenset({"package"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Desired properties that hold; None where nothing is wished, so that the module's own settings hold.

    Attributes:
        hold: No messages are taken: the module is connected, reports, and answers direct methods. A digest holds a
            module that serves that package, and no other.
        max_delay_us: How long the first message waits for others to share a run with.
        max_batch: Rows of a run that messages share.
        min_confidence: Answers below it go to the output ``uncertain``.
        sample_rate: Share of the answers that are written out with their inputs.
        package: What is to serve in the place of what the image holds.
    """

    hold: bool | str = False
    max_delay_us: int | None = None
    max_batch: int | None = None
    min_confidence: float | None = None
    sample_rate: float | None = None
    log_level: str | None = None
    package: WantedPackage | None = None

    def holds(self, digests: Collection[str]) -> bool:
        """Whether a module that serves these packages takes no messages."""
        return self.hold in digests if isinstance(self.hold, str) else self.hold


@dataclass(slots=True)
class Desired:
    """Desired properties as they came, patch by patch.

    Attributes:
        wishes: What holds.
        problems: Why a property does not hold, by its name.
    """

    wishes: Wishes = field(default_factory=Wishes)
    problems: Mapping[str, str] = field(default_factory=dict)
    _raw: dict[str, Any] = field(default_factory=dict)
    _version: int = -1

    def replace(self, properties: Mapping[str, Any]) -> None:
        """Take the whole of them."""
        self._raw = {}
        self._version = -1
        self.patch(properties)

    def patch(self, properties: Mapping[str, Any]) -> bool:
        """Take a change; None takes a property away. Whether it was new."""
        version = properties.get("$version")
        if isinstance(version, int):
            if version <= self._version:
                return False
            self._version = version
        if SECTION in properties:
            section = properties[SECTION]
            self._raw = merged(self._raw, section) if isinstance(section, Mapping) else {}
        self.wishes, self.problems = read_wishes(self._raw, self.wishes)
        return True


def merged(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A document after a patch. Source: RFC 7386, as the hub patches twins."""
    result = dict(old)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            before = result.get(name)
            result[name] = merged(before if isinstance(before, Mapping) else {}, value)
        else:
            result[name] = value
    return result


def read_wishes(raw: Mapping[str, Any], old: Wishes) -> tuple[Wishes, dict[str, str]]:
    """What of ``raw`` holds, and what does not and why; where a value is bad, the old one stays."""
    known = {each.name for each in fields(Wishes)}
    problems = {name: _unknown(name, known) for name in raw if name not in known and not name.startswith("$")}
    found: dict[str, Any] = {}
    for name in known & raw.keys():
        try:
            found[name] = _READERS[name](raw[name])
        except (ValueError, TypeError) as error:
            # A URL may carry a secret, and whoever reads what is reported need not know it.
            problems[name] = str(error) if name in _SECRET else f"{raw[name]!r}: {error}"[:500]
            found[name] = getattr(old, name)
    return Wishes(**found), problems


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return "unknown, and ignored" + (f"; did you mean {near[0]}?" if near else "")


def _hold(value: object) -> bool | str:
    if isinstance(value, bool):
        return value
    return text_of_form(value, DIGEST, "true, false, or the digest of the package that is meant")


def _whole(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        # The hub keeps one kind of number: a whole one may come back with a fraction of 0.
        whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
        if not isinstance(value, int | float) or not whole or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return int(value)

    return read


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError("expected a number from 0 to 1")
    return float(value)


def _level(value: object) -> str:
    _require(isinstance(value, str) and value.lower() in _LEVELS, f"expected one of {', '.join(_LEVELS)}")
    return str(value).lower()


def _require(fits: bool, expected: str) -> None:
    if not fits:
        raise ValueError(expected)


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "hold": _hold,
    "max_delay_us": _whole(0, _LONGEST_DELAY_US),
    "max_batch": _whole(1, _MOST_ROWS),
    "min_confidence": _share,
    "sample_rate": _share,
    "log_level": _level,
    "package": read_wanted,
}
