"""Label and field selectors, of queries and of objects."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from targets.rehearsal.kubernetes.errors import bad_request

Labels = Mapping[str, str]

_IN: Final = re.compile(r"\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*")
_EQUALS: Final = re.compile(r"\s*([^\s=!,]+)\s*(==|=|!=)\s*([^\s,]*)\s*")
_EXISTS: Final = re.compile(r"\s*(!?)\s*([^\s=!,()]+)\s*")
_SPLIT: Final = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True, slots=True)
class Selector:
    """What some objects fulfil.

    Attributes:
        equal: Labels that must be so, by which they are looked up.
        other: The rest of the demands.
    """

    equal: tuple[tuple[str, str], ...] = ()
    other: tuple[Callable[[Labels], bool], ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Whether an object with these labels does."""
        return all(labels.get(name) == value for name, value in self.equal) and all(each(labels) for each in self.other)

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Of a query.

        Raises:
            ApiError: It is no selector.
        """
        equal, other = [], []
        for part in _SPLIT.split(text) if text.strip() else ():
            if match := _IN.fullmatch(part):
                name, how, values = match[1], match[2], frozenset(each.strip() for each in match[3].split(","))
                other.append(_within(name, values, inside=how == "in"))
            elif match := _EQUALS.fullmatch(part):
                if match[2] == "!=":
                    other.append(_within(match[1], frozenset({match[3]}), inside=False))
                else:
                    equal.append((match[1], match[3]))
            elif match := _EXISTS.fullmatch(part):
                other.append(_exists(match[2], there=not match[1]))
            else:
                raise bad_request(f"unable to parse requirement: found '{part.strip()}'")
        return cls(tuple(equal), tuple(other))

    @classmethod
    def of(cls, selector: Mapping[str, Any] | None) -> "Selector":
        """Of a ``LabelSelector``."""
        given = selector or {}
        other = []
        for each in given.get("matchExpressions") or ():
            name, how = each["key"], each["operator"]
            if how in ("In", "NotIn"):
                other.append(_within(name, frozenset(each.get("values") or ()), inside=how == "In"))
            else:
                other.append(_exists(name, there=how == "Exists"))
        return cls(tuple((given.get("matchLabels") or {}).items()), tuple(other))


def _within(name: str, values: frozenset[str], *, inside: bool) -> Callable[[Labels], bool]:
    if inside:
        return lambda labels: labels.get(name) in values
    return lambda labels: labels.get(name) not in values


def _exists(name: str, *, there: bool) -> Callable[[Labels], bool]:
    return lambda labels: (name in labels) == there


def field_matcher(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether an object's fields are as a query wants them.

    Raises:
        ApiError: It is no selector.
    """
    wanted = []
    for part in text.split(",") if text else ():
        path, sign, value = part.partition("!=") if "!=" in part else part.partition("=")
        if not sign:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        wanted.append((path.strip().split("."), value.removeprefix("=").strip(), sign == "="))
    return lambda found: all((_field(found, path) == value) == same for path, value, same in wanted)


def _field(found: Mapping[str, Any], path: list[str]) -> str:
    value: Any = found
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)
