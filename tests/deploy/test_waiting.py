"""A release whose place is out of reach is left there, untested, and settled once it has passed its tests."""

from dataclasses import replace

from packager.core.artifact import Release
from packager.core.deployment import Candidate, Deployment, DeploymentPlan
from packager.core.progress import Progress, SilentProgress
from packager.core.protocols import Secrets, Waits
from packager.core.smoke import SmokeReport
from packager.deploy import deploy, settle
from tests.support.fakes import MemorySettings, MemoryTarget


class FarTarget(MemoryTarget, Waits):
    """Its place cannot be reached."""

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        candidate = super().apply(plan, secrets, progress, timeout_s=timeout_s)
        return replace(candidate, deployment=replace(candidate.deployment, state="pending"), waits="the device is away")

    def settle(self, deployment: Deployment, progress: Progress) -> Deployment:
        self.journal.append("settle")
        return replace(deployment, state="running")


def never(client: object, package: object) -> SmokeReport:
    raise AssertionError("nothing can be tested there")


def test_release_that_waits_is_neither_tested_nor_promoted_nor_discarded(one: Release) -> None:
    target = FarTarget()

    outcome = deploy(
        target, "churn", one, MemorySettings(), smoke=never, confirm=lambda plan: True, secrets={},
        progress=SilentProgress(), timeout_s=5,
    )  # fmt: skip

    assert target.journal == ["apply"]
    assert (outcome.deployment.state, outcome.smoke.passed) == ("pending", False)
    assert outcome.smoke.checks[0].detail == "not tested yet: the device is away"
    assert settle(target, outcome.deployment, progress=SilentProgress()).state == "running"
    assert target.journal == ["apply", "settle"]


def test_what_does_not_wait_is_left_as_it_is(one: Release) -> None:
    target = FarTarget()
    outcome = deploy(
        target, "churn", one, MemorySettings(), smoke=never, confirm=lambda plan: True, secrets={},
        progress=SilentProgress(), timeout_s=5,
    )  # fmt: skip
    running = replace(outcome.deployment, state="running")

    assert settle(target, running, progress=SilentProgress()) == running
    assert settle(MemoryTarget(), outcome.deployment, progress=SilentProgress()) == outcome.deployment
    assert target.journal == ["apply"]
