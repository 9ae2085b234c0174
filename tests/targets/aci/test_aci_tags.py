"""A release as tags: nothing is lost, whatever is deployed, and nothing of others is taken for it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packager.core.errors import DeploymentFailed
from targets.aci.names import default_label, group_names, labels_of, other_label
from targets.aci.tags import Facts, Served, facts_of, others, tags_of
from targets.kit.holder import Holder

slowly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)
releases = st.builds(
    Served,
    model=names,
    version=names,
    package=st.just("sha256:" + "0" * 64),
    image=st.text("abc/.:@-", min_size=1, max_size=600),
    settings=st.dictionaries(st.text(max_size=9), st.text(max_size=300) | st.integers() | st.booleans(), max_size=6),
    label=st.none() | names,
    liveness_s=st.integers(1, 3600),
    created=st.just("2026-11-28T08:00:00+00:00"),
)
facts = st.builds(
    Facts,
    name=names,
    state=st.sampled_from(["live", "trial", "update"]),
    serial=st.integers(0, 10**6),
    served=releases,
    previous=st.none() | releases,
    before=st.none() | releases,
    holder=st.none()
    | st.builds(Holder, st.just("me"), st.just("here"), st.integers(1), st.just(1.5), st.just("now"), st.just(60.0)),
)


@slowly
@given(facts)
def test_what_is_written_is_read_again(written: Facts) -> None:
    read = facts_of({**tags_of(written), "team": "growth"})

    assert read is not None
    assert (read.name, read.serial, read.served, read.previous) == (
        written.name, written.serial, written.served, written.previous,
    )  # fmt: skip
    assert (read.before, read.holder) == ((None, None) if written.state == "live" else (written.before, written.holder))


@slowly
@given(facts)
def test_tags_keep_to_the_limits_of_azure(written: Facts) -> None:
    tags = tags_of(written)

    assert all(0 < len(value) <= 256 for value in tags.values())
    assert others({**tags, "team": "growth"}) == {"team": "growth"}


@slowly
@given(facts, facts)
def test_parts_of_an_earlier_longer_record_do_no_harm(longer: Facts, written: Facts) -> None:
    merged = {**tags_of(longer), **tags_of(written)}

    read = facts_of(merged)

    assert read is not None
    assert read.served == written.served


def test_a_group_without_our_tags_is_not_ours() -> None:
    assert facts_of({"team": "growth"}) is None


@pytest.mark.parametrize("broken", [{"dray-state": "gone"}, {"dray-release-0": "!"}, {"dray-release-0": "eA."}])
def test_tags_that_somebody_broke_are_named(broken: dict[str, str]) -> None:
    served = Served(model="m", version="1", package="p", image="i", settings={}, label=None, liveness_s=1, created="")
    tags = tags_of(Facts("churn", "live", 1, served))

    with pytest.raises(DeploymentFailed, match="'churn' cannot be read"):
        facts_of({**tags, **broken})


@slowly
@given(names)
def test_groups_of_any_deployment_have_names_that_azure_takes(name: str) -> None:
    found = list(group_names(name))

    assert len(set(found)) == len(found)
    assert all(len(each) <= 63 and each.strip("-") == each and each == each.lower() for each in found)
    assert all(set(each) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for each in found)


@pytest.mark.parametrize(("name", "first"), [("churn", "churn"), ("churn-2", "churn-2")])
def test_a_name_that_fits_is_kept(name: str, first: str) -> None:
    assert next(group_names(name)) == first


def test_names_that_differ_where_azure_sees_no_difference_get_groups_of_their_own() -> None:
    firsts = {
        next(group_names(name)) for name in ("churn", "Churn", "churn.", "ch_urn", "ch.urn", "x" * 100, "x" * 101)
    }

    assert len(firsts) == 7


@slowly
@given(names, names)
def test_labels_are_what_azure_takes_and_have_another_each(name: str, resource_group: str) -> None:
    label = default_label(name, "s", resource_group)

    for each in labels_of(label):
        assert 5 <= len(each) <= 63
        assert each[0].isalpha()
        assert each[-1].isalnum()
    assert other_label(other_label(label)) == label
    assert label == default_label(name, "S", resource_group.upper())
