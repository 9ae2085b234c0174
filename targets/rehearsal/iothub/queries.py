"""Queries over devices and modules: ``SELECT … FROM devices[.modules] [WHERE …]``.

The useful subset of IoT Hub's query language; joins, groups and aggregates but a count are refused by name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from targets.rehearsal.iothub.errors import HubError
from targets.rehearsal.iothub.expressions import MISSING, Condition, ExpressionInvalid, at, condition, path_of

Json = Mapping[str, Any]
_QUERY: Final = re.compile(
    r"\s*SELECT\s+(?P<select>.+?)\s+FROM\s+(?P<source>[\w.]+)(?:\s+AS\s+\w+)?(?:\s+WHERE\s+(?P<where>.+?))?\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
_COUNT: Final = re.compile(r"COUNT\(\s*\*?\s*\)(?:\s+AS\s+(\w+))?", re.IGNORECASE)
_NAMED: Final = re.compile(r"([$\w.\[\]\-]+)(?:\s+AS\s+(\w+))?", re.IGNORECASE)
_UNKNOWN: Final = re.compile(r"\b(GROUP\s+BY|ORDER\s+BY|JOIN|TOP|DISTINCT|SUM|AVG|MIN|MAX)\b", re.IGNORECASE)
SOURCES: Final = ("devices", "devices.modules")


@dataclass(frozen=True, slots=True)
class Query:
    """One that can be asked.

    Attributes:
        columns: Paths by the names that they get; empty for everything.
        count: The name of a count; empty for rows.
    """

    source: str
    columns: Mapping[str, tuple[str, ...]]
    count: str
    where: Condition | None

    def rows(self, twins: Iterable[Json]) -> list[dict[str, Any]]:
        """What it finds among the twins of its source."""
        found = [each for each in twins if self._finds(each)]
        if self.count:
            return [{self.count: len(found)}]
        return [self._row(each) for each in found]

    def _finds(self, twin: Json) -> bool:
        return self.where is None or self.where.holds(lambda path: _named(twin, path))

    def _row(self, twin: Json) -> dict[str, Any]:
        if not self.columns:
            return dict(twin)
        values = {name: _named(twin, path) for name, path in self.columns.items()}
        return {name: value for name, value in values.items() if value is not MISSING}


def query_of(text: str) -> Query:
    """A query to ask.

    Raises:
        HubError: It cannot be read, or is outside of what a rehearsal knows.
    """
    match = _QUERY.fullmatch(text)
    if match is None:
        raise HubError("InvalidQuery", f"not a query, SELECT … FROM devices[.modules] [WHERE …]: {text[:100]!r}")  # noqa: S608
    bare = re.sub(r"'[^']*'", "''", text)
    if unknown := _UNKNOWN.search(bare):
        raise HubError("InvalidQuery", f"{unknown[1].upper()} is not known in a rehearsal")
    source = match["source"].lower()
    if source not in SOURCES:
        raise HubError("InvalidQuery", f"a rehearsal has {' and '.join(SOURCES)}, not {match['source']!r}")
    try:
        where = condition(match["where"]) if match["where"] else None
    except ExpressionInvalid as error:
        raise HubError("InvalidQuery", str(error)) from error
    if count := _COUNT.fullmatch(match["select"]):
        return Query(source, {}, count[1] or "count", where)
    return Query(source, _columns(match["select"]), "", where)


def _columns(text: str) -> Mapping[str, tuple[str, ...]]:
    if text.strip() == "*":
        return {}
    columns = {}
    for part in text.split(","):
        match = _NAMED.fullmatch(part.strip())
        if match is None:
            raise HubError("InvalidQuery", f"{part.strip()!r} cannot be selected in a rehearsal")
        path = path_of(match[1])
        columns[match[2] or path[-1]] = path
    return columns


def _named(twin: Json, path: tuple[str, ...]) -> Any:
    """What a name stands for; those of the twin itself in any case of letters."""
    first = next((name for name in twin if name.lower() == path[0].lower()), path[0])
    return at(dict(twin), (first, *path[1:]))
