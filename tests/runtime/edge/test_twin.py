from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.edge.twin import Desired, Wishes, merged, read_wishes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*Wishes.__dataclass_fields__, "strange"])


def test_a_patch_changes_what_it_names_and_null_takes_away() -> None:
    desired = Desired()
    desired.replace({"dray": {"hold": True, "max_batch": 4.0}, "$version": 3})
    assert desired.wishes == Wishes(hold=True, max_batch=4)
    assert desired.patch({"dray": {"hold": None}, "$version": 4})
    assert desired.wishes == Wishes(max_batch=4)


def test_a_patch_that_is_older_than_what_is_known_changes_nothing() -> None:
    desired = Desired()
    desired.replace({"dray": {"max_batch": 4}, "$version": 3})
    assert not desired.patch({"dray": {"max_batch": 2}, "$version": 3})
    assert desired.wishes.max_batch == 4


def test_the_section_itself_can_be_taken_away() -> None:
    desired = Desired()
    desired.replace({"dray": {"hold": True}, "$version": 1})
    desired.patch({"dray": None, "$version": 2})
    assert desired.wishes == Wishes()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("hold", "true", "expected true, false, or the digest of the package that is meant"),
        ("hold", "sha256:1", "expected true, false, or the digest of the package that is meant"),
        ("max_delay_us", -1, "expected a whole number from 0 to 10000000"),
        ("max_batch", 1.5, "expected a whole number from 1 to 65536"),
        ("max_batch", True, "expected a whole number from 1 to 65536"),
        ("min_confidence", 1.01, "expected a number from 0 to 1"),
        ("sample_rate", "0.1", "expected a number from 0 to 1"),
        ("log_level", "loud", "expected one of debug, info, warning, error, critical"),
    ],
)
def test_a_bad_value_is_named_and_the_old_one_stays(name: str, value: Any, expected: str) -> None:
    old = Wishes(hold=True, max_delay_us=1, max_batch=2, min_confidence=0.5, sample_rate=0.1, log_level="error")
    wishes, problems = read_wishes({name: value}, old)
    assert problems == {name: f"{value!r}: {expected}"}
    assert getattr(wishes, name) == getattr(old, name)


def test_a_bad_package_is_named_without_its_value() -> None:
    wishes, problems = read_wishes({"package": {"url": "https://x.example/p?sig=SECRET"}}, Wishes())
    assert wishes.package is None
    assert problems["package"].startswith("expected an object of url, sha256, size_bytes, digest")


@given(raw=st.dictionaries(NAMES, JSON, max_size=5))
def test_whatever_comes_is_taken_or_named(raw: dict[str, Any]) -> None:
    wishes, problems = read_wishes(raw, Wishes())
    for name, value in raw.items():
        assert name in problems or getattr(wishes, name) == (value.lower() if isinstance(value, str) else value)


@given(old=st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_an_empty_patch_changes_nothing(old: dict[str, Any]) -> None:
    assert merged(old, {}) == old
