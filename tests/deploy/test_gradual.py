"""A release that gets the traffic step by step is tested at each, and taken back where one fails."""

from collections.abc import Callable
from typing import Any

import pytest

from packager.core.artifact import Release
from packager.core.deployment import Candidate
from packager.core.errors import ProcessCrash, SmokeTestFailed
from packager.core.progress import Progress, SilentProgress
from packager.core.protocols import Gradual
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import deploy
from tests.support.fakes import MemorySettings, MemoryTarget

GOOD = SmokeReport((SmokeCheck("answers", True, "equal", 1.0),))
BAD = SmokeReport((SmokeCheck("answers", False, "wrong", 1.0),))


class SteppedTarget(MemoryTarget, Gradual):
    """Gives a candidate the traffic in two steps."""

    def advance(self, candidate: Candidate, progress: Progress) -> Candidate | None:
        step = candidate.handle.get("step", 0)
        if step == 2:
            return None
        self._step(f"step {step}")
        return Candidate(candidate.deployment, candidate.plan, {"step": step + 1})


def put(target: SteppedTarget, release: Release, smoke: Callable[[Any, Any], SmokeReport]) -> Any:
    return deploy(
        target, "churn", release, MemorySettings(), smoke=smoke, confirm=lambda plan: True, secrets={},
        progress=SilentProgress(), timeout_s=5,
    )  # fmt: skip


def test_every_step_is_tested(one: Release) -> None:
    target = SteppedTarget()

    put(target, one, lambda client, package: target.journal.append("test") or GOOD)  # type: ignore[func-returns-value]

    assert target.journal == ["apply", "test", "step 0", "test", "step 1", "test", "promote"]


def test_step_whose_tests_fail_is_the_last(one: Release) -> None:
    target, reports = SteppedTarget(), iter([GOOD, BAD])

    with pytest.raises(SmokeTestFailed):
        put(target, one, lambda client, package: next(reports))

    assert target.journal == ["apply", "step 0", "discard"]
    assert target.live == {}


def test_step_that_fails_by_itself_is_the_last(one: Release) -> None:
    target = SteppedTarget()
    target.fail_at = {"step 1": ProcessCrash("it ended")}

    with pytest.raises(ProcessCrash):
        put(target, one, lambda client, package: GOOD)

    assert target.journal == ["apply", "step 0", "step 1", "discard"]
