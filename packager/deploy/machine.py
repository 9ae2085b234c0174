"""The machine that changes deployments; what a change consists of is the target's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from packager.core.artifact import ModelPackage, Release
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, TargetSettings
from packager.core.errors import DeploymentDeclined, NoPreviousRelease, SmokeTestFailed
from packager.core.image import ImageRef
from packager.core.progress import Progress
from packager.core.protocols import Gradual, InferenceClient, Secrets, Target, Waits
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.core.state import deployment_lock
from packager.core.undoing import undo_after
from packager.deploy.planning import check_name
from packager.deploy.planning import plan as make_plan

S = TypeVar("S", bound=TargetSettings)
Smoke = Callable[[InferenceClient, ModelPackage], SmokeReport]
Confirm = Callable[[DeploymentPlan], bool]


@dataclass(frozen=True, slots=True)
class DeployOutcome:
    """A deployment that has just passed its smoke tests, or waits for its place, and the plan that led to it."""

    deployment: Deployment
    smoke: SmokeReport
    plan: DeploymentPlan


def deploy(
    target: Target[S],
    name: str,
    release: Release,
    settings: S,
    *,
    smoke: Smoke,
    confirm: Confirm,
    secrets: Secrets,
    progress: Progress,
    timeout_s: float,
    bring: Callable[[], None] = lambda: None,
) -> DeployOutcome:
    """Bring a release up under ``name``; what served before goes on serving until the new one has passed its tests.

    Where nothing would change, what serves is tested and not touched. A release whose place is out of reach is left to
    wait for it: it is ``pending``, its report has not passed, and ``settle`` takes it later.

    Args:
        name: One that exists is updated.
        smoke: The tests; handed in, because steps do not know each other.
        confirm: Asked about every plan that changes something.
        secrets: What the plan's references stand for.
        progress: Told of every stage.
        timeout_s: For the release to become ready.
        bring: Puts the release's image where the target finds it, once the plan was agreed to.

    Raises:
        DeploymentBusy: Another command is changing it.
        DeploymentDeclined: ``confirm`` said no.
        SmokeTestFailed: The report is in the detail; the candidate is gone and the old one serves.
        DrayError: Of the target; the same holds.
    """
    check_name(name)
    with deployment_lock(target.name, name):
        progress.step(f"planning {name} on {target.name}")
        agreed = make_plan(target, name, release, settings)
        if not agreed.changes_anything and agreed.live is not None:
            report = _test(target, agreed.live, release, smoke, progress, hint=f"`dray logs {name}` shows its log")
            return DeployOutcome(agreed.live, report, agreed)
        if not confirm(agreed):
            raise DeploymentDeclined(f"the plan for {name!r} was not agreed to", hint="nothing was changed")
        bring()
        return _carry_out(target, agreed, smoke, secrets, progress, timeout_s)


def rollback(
    target: Target[Any],
    deployment: Deployment,
    *,
    smoke: Smoke,
    confirm: Confirm,
    secrets: Secrets,
    package_of: Callable[[ImageRef], ModelPackage],
    progress: Progress,
    timeout_s: float,
) -> DeployOutcome:
    """Bring back what served before, through the same plan, smoke tests and promotion as any deployment.

    Args:
        package_of: Reads the package of an image; handed in, because steps do not know each other.

    Raises:
        NoPreviousRelease: Nothing did.
        DrayError: As for ``deploy``.
    """
    before = target.previous(deployment)
    if before is None:
        raise NoPreviousRelease(
            f"nothing served as {deployment.name!r} on {target.name!r} before {deployment.model} {deployment.version}",
            hint="deploy the package that you want back",
        )
    found, settings = before
    release = Release(package_of(found), found) if isinstance(found, ImageRef) else found
    return deploy(
        target,
        deployment.name,
        release,
        settings,
        smoke=smoke,
        confirm=confirm,
        secrets=secrets,
        progress=progress,
        timeout_s=timeout_s,
    )


def destroy(target: Target[Any], deployment: Deployment, *, progress: Progress) -> None:
    """Remove a deployment and all that belongs to it; one that is gone already is fine.

    Raises:
        DeploymentBusy: Another command is changing it.
    """
    with deployment_lock(target.name, deployment.name):
        target.destroy(deployment, progress)


def settle(target: Target[Any], deployment: Deployment, *, progress: Progress) -> Deployment:
    """Take a release that waited for its place, and has passed its tests now; any other is as it was.

    Raises:
        DeploymentBusy: Another command is changing it.
    """
    if deployment.state != "pending" or not isinstance(target, Waits):
        return deployment
    with deployment_lock(target.name, deployment.name):
        return target.settle(deployment, progress)


def _carry_out(
    target: Target[Any],
    agreed: DeploymentPlan,
    smoke: Smoke,
    secrets: Secrets,
    progress: Progress,
    timeout_s: float,
) -> DeployOutcome:
    candidate = target.apply(agreed, secrets, progress, timeout_s=timeout_s)
    if candidate.waits:
        progress.step(f"left to wait: {candidate.waits}; `dray test {agreed.name}` tests it when it is back")
        untested = SmokeCheck("ready", False, f"not tested yet: {candidate.waits}", 0.0)
        return DeployOutcome(candidate.deployment, SmokeReport((untested,)), agreed)
    try:
        left = "what served before serves" if agreed.live else "nothing of it is left"
        hint = f"{left}; -o json has the whole report"
        report = _test(target, candidate.deployment, agreed.release, smoke, progress, hint=hint)
        while isinstance(target, Gradual) and (further := target.advance(candidate, progress)):
            candidate = further
            report = _test(target, candidate.deployment, agreed.release, smoke, progress, hint=hint)
        progress.step(f"putting {agreed.release.package.manifest.version} in place")
        return DeployOutcome(target.promote(candidate, progress), report, agreed)
    except BaseException as error:  # an interrupted deployment must not leave its candidate behind either
        _discard(target, candidate, progress, error)
        raise


def _test(
    target: Target[Any], deployment: Deployment, release: Release, smoke: Smoke, progress: Progress, *, hint: str
) -> SmokeReport:
    """The report of the tests, all passed.

    Raises:
        SmokeTestFailed: The first failure in the message, the whole report in the detail.
    """
    progress.step(f"smoke-testing {deployment.endpoint or deployment.name}")
    with target.connect(deployment) as client:
        report = smoke(client, release.package)
    if report.passed:
        return report
    first = report.failures[0] if report.failures else None
    what = f"{first.name}: {first.detail}" if first else "there were no tests, so nothing was shown"
    raise SmokeTestFailed(
        f"{deployment.name!r} on {target.name!r} failed its smoke tests: {what}",
        hint=hint,
        detail={"smoke": report.as_dict()},
    )


def _discard(target: Target[Any], candidate: Candidate, progress: Progress, cause: BaseException) -> None:
    progress.step("removing the candidate")
    undo_after(cause, "the candidate could not be removed", lambda: target.discard(candidate, progress))
