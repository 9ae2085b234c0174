"""Server-side apply by its rules, over any configurations of two managers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.rehearsal.kubernetes.errors import ApiError
from targets.rehearsal.kubernetes.fieldsets import decode, encode, leaves, shown
from targets.rehearsal.kubernetes.ownership import Writer, applied, ownerships, updated
from targets.rehearsal.kubernetes.resources import DEPLOYMENTS
from targets.rehearsal.kubernetes.shapes import shape_of

SHAPE = shape_of(DEPLOYMENTS.definition)
names = st.sampled_from(["a", "b", "c"])
texts = st.sampled_from(["x", "y"])
labels = st.dictionaries(names, texts, max_size=3)


def unique(key: str, **fields: Any) -> Any:
    """Items of a keyed list."""
    return st.lists(st.fixed_dictionaries({key: names}, optional=fields), unique_by=lambda item: item[key], max_size=3)


def full(value: Any) -> Any:
    """Without what holds nothing, which owns itself instead of what it holds."""
    if isinstance(value, dict):
        kept = {name: full(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each not in ({}, [])}
    return [full(each) for each in value] if isinstance(value, list) else value


containers = unique(
    "name", image=texts, command=st.lists(texts, max_size=2), env=unique("name", value=texts), stdin=st.booleans()
)
configs = st.fixed_dictionaries(
    {"apiVersion": st.just("apps/v1"), "kind": st.just("Deployment"), "metadata": st.fixed_dictionaries(
        {"name": st.just("web")}, optional={"labels": labels, "finalizers": st.lists(names, unique=True, max_size=2)})},
    optional={"spec": st.fixed_dictionaries({}, optional={
        "replicas": st.integers(0, 2), "paused": st.booleans(),
        "selector": st.fixed_dictionaries({"matchLabels": labels}),
        "template": st.fixed_dictionaries({"spec": st.fixed_dictionaries({"containers": containers})}),
    })},
).map(full)  # fmt: skip


def put(live: Any, config: Any, manager: str, *, force: bool = True) -> Any:
    return applied(live, config, SHAPE, Writer(manager), force=force)


def values(found: Any) -> Any:
    whole = {name: value for name, value in found.items() if name != "metadata"}
    metadata = {name: value for name, value in found["metadata"].items() if name != "managedFields"}
    return leaves({**whole, "metadata": metadata}, SHAPE)


def owned(found: Any, manager: str) -> frozenset[Any]:
    return next((each.fields for each in ownerships(found) if each.writer.manager == manager), frozenset())


@given(configs)
def test_paths_survive_their_stored_form(config: Any) -> None:
    paths = frozenset(leaves(config, SHAPE))

    assert decode(encode(paths)) == paths


@given(configs, configs)
def test_whatever_is_applied_by_force_is_so(first: Any, second: Any) -> None:
    found = put(put(None, first, "one"), second, "two")

    assert values(found).items() >= values(second).items()


@given(configs, configs)
def test_applying_the_same_again_changes_nothing(first: Any, second: Any) -> None:
    found = put(put(None, first, "one"), second, "two")

    assert values(put(found, second, "two", force=False)) == values(found)


@given(configs, configs)
def test_only_manager_leaves_what_it_applied_last(first: Any, second: Any) -> None:
    found = put(put(None, first, "one"), second, "one")

    assert values(found) == values(second)


@given(configs, configs)
def test_apply_that_is_not_forced_changes_no_field_of_another(first: Any, second: Any) -> None:
    live = put(None, first, "one")
    before, asked = values(live), values(second)
    disputed = {path for path in owned(live, "one") if path in asked and asked[path] != before[path]}
    if not disputed:
        kept = values(put(live, second, "two", force=False))
        assert all(kept[path] == value for path, value in before.items())
        return
    with pytest.raises(ApiError) as caught:
        put(live, second, "two", force=False)
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert {each["field"] for each in caught.value.details["causes"]} == {shown(path) for path in disputed}


@given(configs, configs)
def test_fields_that_a_manager_gives_up_stay_where_another_owns_them(first: Any, second: Any) -> None:
    live = put(put(None, first, "one"), second, "two")
    nothing = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}

    left = put(live, nothing, "two")

    assert values(left).keys() >= owned(left, "one") - {("f:apiVersion",), ("f:kind",)}
    assert owned(left, "two") == frozenset()


@given(configs, configs)
def test_plain_write_owns_what_it_changed_and_no_more(first: Any, second: Any) -> None:
    live = put(None, first, "one")

    found = updated(live, {**second, "metadata": {**second["metadata"]}}, SHAPE, Writer("editor"))

    before, after = values(live), values(second)
    changed = {path for path in after if path not in before or before[path] != after[path]}
    nobodys = {("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata",)}
    assert owned(found, "editor") == changed - nobodys
    assert not owned(found, "one") & changed
    assert owned(found, "one") <= after.keys()


def test_path_is_shown_as_kubernetes_shows_it() -> None:
    path = ("f:spec", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name", 'v:"x"')

    assert shown(path) == '.spec[containerPort=80,protocol="TCP"].name[="x"]'


def test_conflicts_with_two_managers_are_worded_as_kubernetes_words_them() -> None:
    base = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    live = put(put(None, {**base, "spec": {"replicas": 1}}, "one"), {**base, "spec": {"paused": True}}, "two")

    with pytest.raises(ApiError) as caught:
        put(live, {**base, "spec": {"replicas": 2, "paused": False}}, "three", force=False)

    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.replicas\nconflicts with "two":\n- .spec.paused'
    )
