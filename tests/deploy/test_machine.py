"""Plan, confirm, apply, smoke-test, promote or discard: in this order, and nothing left when it ends early."""

from typing import Any

import pytest

from packager.core.artifact import ModelPackage, Release
from packager.core.deployment import DeploymentPlan
from packager.core.errors import (
    DeploymentBusy,
    DeploymentDeclined,
    DeploymentFailed,
    InterruptedByUser,
    NoPreviousRelease,
    ProcessCrash,
    SmokeTestFailed,
    UsageError,
)
from packager.core.image import ImageRef
from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.core.state import deployment_lock
from packager.deploy import DeployOutcome, deploy, destroy, rollback
from packager.smoke import run_smoke
from tests.support.fakes import MemorySettings, MemoryTarget, RecordedProgress

GOOD = SmokeReport((SmokeCheck("answers", True, "equal", 1.0),))
BAD = SmokeReport((SmokeCheck("ready", True, "ready", 1.0), SmokeCheck("answers", False, "'y' is 1, expected 2", 1.0)))


def agree(plan: DeploymentPlan) -> bool:
    return True


def put(target: MemoryTarget, release: Release, *, report: SmokeReport = GOOD, **options: Any) -> DeployOutcome:
    given: dict[str, Any] = {
        "smoke": lambda _client, _package: report, "confirm": agree, "secrets": {}, "progress": SilentProgress(),
        "timeout_s": 5, **options,
    }  # fmt: skip
    return deploy(target, "churn", release, MemorySettings(), **given)


def test_steps_come_in_order_and_are_reported(one: Release) -> None:
    target, progress = MemoryTarget(), RecordedProgress()

    outcome = put(target, one, smoke=run_smoke, progress=progress)

    assert target.journal == ["apply", "promote"]
    assert [step.split()[0] for step in progress.steps] == ["planning", "smoke-testing", "putting"]
    assert outcome.deployment.state == "running"


def test_failed_smoke_test_discards_and_carries_the_report(one: Release, two: Release) -> None:
    target = MemoryTarget()
    put(target, one)

    with pytest.raises(SmokeTestFailed) as caught:
        put(target, two, report=BAD)

    assert caught.value.code == "E-SMOKE"
    assert caught.value.message == "'churn' on 'memory' failed its smoke tests: answers: 'y' is 1, expected 2"
    assert caught.value.hint == "what served before serves; -o json has the whole report"
    assert caught.value.detail == {"smoke": BAD.as_dict()}
    assert target.journal[-2:] == ["apply", "discard"]
    assert target.live["churn"][0] == one
    assert target.candidates == {}


def test_empty_report_is_a_failed_smoke_test(one: Release) -> None:
    with pytest.raises(SmokeTestFailed, match="no tests, so nothing was shown"):
        put(MemoryTarget(), one, report=SmokeReport(()))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ProcessCrash("it ended"), RuntimeError("a bug")])
def test_error_while_promoting_discards_the_candidate(one: Release, two: Release, error: BaseException) -> None:
    target = MemoryTarget()
    put(target, one)
    target.fail_at["promote"] = error

    with pytest.raises(type(error)):
        put(target, two)

    assert target.journal[-1] == "discard"
    assert target.live["churn"][0] == one


def test_candidate_that_cannot_be_removed_is_told_beside_the_cause(one: Release) -> None:
    target = MemoryTarget()
    target.fail_at["discard"] = DeploymentFailed("the quota service is down")

    with pytest.raises(SmokeTestFailed) as caught:
        put(target, one, report=BAD)

    assert caught.value.detail["left_behind"]["message"] == "the quota service is down"
    assert caught.value.__notes__ == ["the candidate could not be removed: the quota service is down"]


def test_an_interrupt_that_leaves_the_candidate_behind_says_so(one: Release) -> None:
    target = MemoryTarget()
    target.fail_at = {"promote": KeyboardInterrupt(), "discard": DeploymentFailed("the quota service is down")}

    with pytest.raises(
        InterruptedByUser, match="the candidate could not be removed: the quota service is down"
    ) as caught:
        put(target, one)

    assert caught.value.detail["left_behind"]["code"] == "E-DEPLOYMENT-FAILED"
    assert "`dray status`" in caught.value.hint


def test_a_second_interrupt_does_not_claim_that_nothing_was_left(one: Release) -> None:
    target = MemoryTarget()
    target.fail_at = {"promote": ProcessCrash("it ended"), "discard": KeyboardInterrupt()}

    with pytest.raises(InterruptedByUser, match="in the middle of undoing: the candidate could not") as caught:
        put(target, one)

    assert caught.value.detail["cause"]["message"] == "it ended"


def test_declined_plan_changes_nothing(one: Release) -> None:
    target = MemoryTarget()

    with pytest.raises(DeploymentDeclined) as caught:
        put(target, one, confirm=lambda plan: False)

    assert (caught.value.code, caught.value.hint) == ("E-DECLINED", "nothing was changed")
    assert "'churn'" in caught.value.message
    assert target.journal == []


def test_nothing_to_change_is_tested_and_not_touched(one: Release) -> None:
    target = MemoryTarget()
    put(target, one)
    asked: list[DeploymentPlan] = []

    outcome = put(target, one, confirm=asked.append)

    assert not outcome.plan.changes_anything
    assert outcome.smoke == GOOD
    assert target.journal == ["apply", "promote"]
    assert asked == []


def test_kept_deployment_that_fails_its_tests_is_left_as_it_is(one: Release) -> None:
    target = MemoryTarget()
    put(target, one)

    with pytest.raises(SmokeTestFailed):
        put(target, one, report=BAD)

    assert target.live["churn"][0] == one
    assert "discard" not in target.journal


def test_one_name_is_changed_by_one_command_at_a_time(one: Release) -> None:
    target = MemoryTarget()
    deployment = put(target, one).deployment

    with deployment_lock("memory", "churn"):
        with pytest.raises(DeploymentBusy):
            put(target, one)
        with pytest.raises(DeploymentBusy):
            destroy(target, deployment, progress=SilentProgress())

    assert "churn" in target.live


def test_name_that_cannot_stand_in_a_url_is_refused_before_anything_else(one: Release) -> None:
    with pytest.raises(UsageError) as caught:
        deploy(
            MemoryTarget(), "../churn", one, MemorySettings(), smoke=run_smoke, confirm=agree, secrets={},
            progress=SilentProgress(), timeout_s=5,
        )  # fmt: skip

    assert caught.value.code == "E-USAGE"
    assert "'../churn'" in caught.value.message
    assert caught.value.hint


def back(target: MemoryTarget, outcome: DeployOutcome, report: SmokeReport = GOOD) -> DeployOutcome:
    return rollback(
        target, outcome.deployment, smoke=lambda _client, _package: report, confirm=agree, secrets={},
        package_of=package_of, progress=SilentProgress(), timeout_s=5,
    )  # fmt: skip


def package_of(image: ImageRef) -> ModelPackage:
    raise AssertionError(f"the target knows its release, and {image} was asked for")


def test_rollback_is_tested_like_any_deployment(one: Release, two: Release) -> None:
    target = MemoryTarget()
    put(target, one)
    second = put(target, two)

    with pytest.raises(SmokeTestFailed):
        back(target, second, BAD)
    assert target.live["churn"][0] == two

    assert back(target, second).deployment.version == "1"


def test_rollback_without_anything_before_says_so(one: Release) -> None:
    target = MemoryTarget()

    with pytest.raises(NoPreviousRelease) as caught:
        back(target, put(target, one))

    assert caught.value.code == "E-NO-PREVIOUS"
    assert caught.value.message == "nothing served as 'churn' on 'memory' before iris 1"
    assert caught.value.hint == "deploy the package that you want back"
