"""Logs that are followed, of a cloud that gives them whole."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from packager.core.errors import Transitioning
from targets.aci.logs import lines_of


class Groups:
    """Answers in their order; then the group is gone."""

    access = SimpleNamespace(poll_s=0.0)

    def __init__(self, *answers: str | Exception) -> None:
        self.answers: Iterator[str | Exception] = iter(answers)
        self.left = len(answers)

    def log(self, resource_group: str, name: str) -> str:
        self.left -= 1
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get(self, resource_group: str, name: str) -> object | None:
        return object() if self.left else None


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("targets.aci.logs._POLL_S", 0.0)


def test_a_change_of_the_group_does_not_end_what_follows_its_log() -> None:
    groups: Any = Groups("a\nb\n", Transitioning("still"), "c\n", Transitioning("still"))

    assert list(lines_of(groups, "g", "churn", follow=True)) == ["a", "b", "c"]


def test_a_log_that_cannot_be_read_now_is_told_to_who_asks_once() -> None:
    groups: Any = Groups(Transitioning("still"))

    with pytest.raises(Transitioning):
        list(lines_of(groups, "g", "churn", follow=False))
