"""What differs between two bodies: every field that is wanted otherwise, and nothing that a server added."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packager.core.deployment import Change
from targets.kit.changes import changes_between, same

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
bodies = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
slowly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slowly
@given(bodies)
def test_nothing_differs_from_itself(body: dict[str, Any]) -> None:
    assert changes_between(body, body) == ()


@slowly
@given(bodies, bodies)
def test_what_a_server_adds_is_no_change(body: dict[str, Any], added: dict[str, Any]) -> None:
    answer = {**body, **{f"server-{key}": value for key, value in added.items()}}

    assert changes_between(answer, body) == ()


@slowly
@given(bodies, bodies)
def test_no_change_means_that_every_wanted_field_is_there(before: dict[str, Any], wanted: dict[str, Any]) -> None:
    if changes_between(before, wanted) == ():
        assert all(agree(before.get(key), value) for key, value in wanted.items())


@slowly
@given(bodies, bodies)
def test_changes_come_in_a_steady_order(before: dict[str, Any], wanted: dict[str, Any]) -> None:
    again = dict(reversed(wanted.items()))

    assert changes_between(before, wanted) == changes_between(before, again)


def agree(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return all(agree(one.get(key), value) for key, value in other.items())
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return all(agree(a, b) for a, b in zip(one, other, strict=True))
    return same(one, other)


def test_entries_of_lists_are_matched_by_name() -> None:
    before = {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}, {"name": "OLD", "value": "x"}]}
    wanted = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "NEW", "value": "y"}]}

    assert changes_between(before, wanted) == (
        Change("env[B].value", "2", "3"),
        Change("env[NEW]", None, {"name": "NEW", "value": "y"}),
        Change("env[OLD]", {"name": "OLD", "value": "x"}, None),
    )


def test_numbers_are_compared_as_numbers_and_truth_values_are_none() -> None:
    assert changes_between({"cpu": 1, "readOnly": True}, {"cpu": 1.0, "readOnly": True}) == ()
    assert changes_between({"count": 1}, {"count": True}) == (Change("count", 1, True),)


def test_wanted_absent_is_a_change_where_something_is() -> None:
    assert changes_between({"command": ["sh"]}, {"command": None}) == (Change("command", ["sh"], None),)
    assert changes_between({"command": []}, {"command": None}) == ()
