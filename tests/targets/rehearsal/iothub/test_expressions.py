"""Conditions of target conditions, queries and routes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.rehearsal.iothub.errors import HubError
from targets.rehearsal.iothub.expressions import ExpressionInvalid, at, condition
from targets.rehearsal.iothub.queries import query_of
from targets.rehearsal.iothub.routes import Message, RouteInvalid, Sink, route_of

DOCUMENT = {
    "tags": {"site": "Bonn", "floor": 3, "on": True, "a-b": "x"},
    "deviceId": "d1",
    "configurations": {"my one": {"status": "Applied"}},
    "properties": {"reported": {"dray": {"state": "ready"}}},
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("tags.site = 'Bonn'", True),
        ('tags.site="Bonn" and tags.floor >= 3', True),
        ("tags.site <> 'Bonn' OR NOT tags.floor < 3", True),
        ("tags.site IN ['Ulm', 'Bonn']", True),
        ("tags.site NIN ['Ulm', 'Bonn']", False),
        ("tags.nothing != 'x'", False),
        ("NOT is_defined(tags.nothing)", True),
        ("tags.on = true and tags.on != 1", True),
        ("(tags.floor = 3 or tags.floor = 4) and starts_with(tags.site, 'B')", True),
        ("tags.a-b = 'x'", True),
        ("configurations.[[my one]].status = 'Applied'", True),
        ("tags.site > 3", False),
        ("as_number('4') = 4", True),
    ],
)
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    assert condition(text).holds(lambda path: at(DOCUMENT, path)) is holds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tags.site = ", "ends too soon"),
        ("tags.site == 'x'", "not expected"),
        ("tags.site = 'x", "not understood"),
        ("regex(tags.site, 'x')", "not known in a rehearsal"),
        ("(tags.site = 'x'", "missing"),
        ("starts_with('a')", "takes 2 arguments"),
        ("(" * 80 + "a = 1" + ")" * 80, "nests at most"),
        ("tags.site = 'x' tags", "not expected"),
    ],
)
def test_what_is_no_condition_says_why(text: str, words: str) -> None:
    with pytest.raises(ExpressionInvalid, match=words):
        condition(text)


@given(st.text("ab.'\"=<>()[], andornti$1-", max_size=40))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        condition(text).holds(lambda path: at(DOCUMENT, path))
    except ExpressionInvalid:
        pass


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT * FROM devices", [DOCUMENT]),
        ("select deviceId, tags.site as s from devices where tags.floor = 3", [{"deviceId": "d1", "s": "Bonn"}]),
        ("SELECT COUNT() AS n FROM devices WHERE deviceid = 'd1'", [{"n": 1}]),
        ("SELECT deviceId FROM devices WHERE deviceId = 'other'", []),
    ],
)
def test_a_query_finds(query: str, rows: list[Any]) -> None:
    assert query_of(query).rows([DOCUMENT]) == rows


@pytest.mark.parametrize(
    "query",
    ["", "SELECT * FROM jobs", "SELECT tags.x FROM devices GROUP BY tags.x", "SELECT TOP 3 FROM devices", "DELETE x"],
)
def test_a_query_outside_of_what_is_known_is_refused(query: str) -> None:
    with pytest.raises(HubError) as refusal:
        query_of(query)
    assert refusal.value.name == "InvalidQuery"


LEAF = Message("leaf", "", "", b'{"heat": 31, "at": {"site": "Bonn"}}', {"level": "high"}, {"contentType": "a/b"})
OURS = Message("edge-1", "m", "out", b"not json", {"level": "3"})
INTO = ' INTO BrokeredEndpoint("/modules/digits/inputs/inference")'


@pytest.mark.parametrize(
    ("route", "leaf", "ours"),
    [
        ("FROM /messages/* INTO $upstream", True, True),
        ("FROM /* INTO $upstream", True, True),
        ("FROM /messages/modules/m/outputs/* INTO $upstream", False, True),
        ("from /messages/modules/m/outputs/other into $upstream", False, False),
        ("FROM /messages/modules/n/* INTO $upstream", False, False),
        ("FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId)" + INTO, True, False),
        ("FROM /messages/* WHERE $connectionModuleId = 'm'" + INTO, False, True),
        ("FROM /messages/* WHERE $body.heat > 30 AND $body.at.site = 'Bonn'" + INTO, True, False),
        ("FROM /messages/* WHERE level = 'high'" + INTO, True, False),
        ("FROM /messages/* WHERE $contentType = 'a/b'" + INTO, True, False),
    ],
)
def test_a_route_takes_what_it_says(route: str, leaf: bool, ours: bool) -> None:
    found = route_of("r", {"route": route, "priority": 2, "timeToLiveSecs": 9})
    assert (found.takes(LEAF), found.takes(OURS)) == (leaf, ours)
    assert found.sink == (Sink("digits", "inference") if INTO in route else Sink())
    assert (found.priority, found.ttl_s) == (2, 9)


@pytest.mark.parametrize(
    "route",
    [
        7,
        "FROM /messages/*",
        "FROM /elsewhere INTO $upstream",
        "FROM /messages/* INTO somewhere",
        "FROM /messages/* WHERE x = INTO $upstream",
        'FROM /messages/* INTO BrokeredEndpoint("/modules/x/outputs/y")',
    ],
)
def test_what_is_no_route_is_refused_by_name(route: Any) -> None:
    with pytest.raises(RouteInvalid, match="'r'"):
        route_of("r", route)
