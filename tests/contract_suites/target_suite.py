"""What every target must do, whatever its world is. A target's test class inherits it and gives the fixtures.

Fixtures: ``target`` and ``settings`` (valid); two packages with one signature and different answers are given here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from packager.core.artifact import ModelPackage, Release
from packager.core.deployment import DeploymentPlan
from packager.core.errors import SmokeTestFailed
from packager.core.image import ImageRef
from packager.core.progress import SilentProgress
from packager.core.protocols import InferenceClient, Target
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import DeployOutcome, deploy, destroy, find, find_all, plan, rollback
from packager.documents import PlanDocument
from packager.image.contents import package_of_image
from packager.smoke import run_smoke
from tests.support.packages import logistic_model, make_package

NAME = "suite-churn"
FAILED = SmokeReport((SmokeCheck("answers", False, "output 'y' at [0] is 1.0, expected 2.0", 1.0),))


def package_of_image_here(image: ImageRef) -> ModelPackage:
    """The package that an image holds, read as the command line does."""
    return package_of_image(image, SilentProgress())[0]


class UpdateSuite:
    """What a target does where something is there already; for each strategy that it has."""

    @pytest.fixture
    def target(self) -> Target[Any]:
        raise NotImplementedError

    @pytest.fixture
    def settings(self) -> Any:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _clean(self, target: Target[Any], settings: Any, state: Path) -> Iterator[None]:
        yield
        for deployment in target.deployments(settings):
            target.destroy(deployment, SilentProgress())

    @pytest.fixture
    def package(self, tmp_path: Path) -> ModelPackage:
        return make_package(tmp_path / "one", version="1")

    @pytest.fixture
    def other_package(self, tmp_path: Path) -> ModelPackage:
        return make_package(tmp_path / "two", logistic_model(seed=7), version="2")

    def test_same_release_again_is_kept_and_tested(
        self, target: Target[Any], settings: Any, package: ModelPackage
    ) -> None:
        first = put(target, settings, package)

        again = put(target, settings, package)

        assert not again.plan.changes_anything
        assert again.smoke.passed
        assert again.deployment == target.inspect(NAME, settings)
        assert again.deployment.created_at == first.deployment.created_at

    def test_update_keeps_the_endpoint(
        self, target: Target[Any], settings: Any, package: ModelPackage, other_package: ModelPackage
    ) -> None:
        first = put(target, settings, package)

        second = put(target, settings, other_package)

        assert second.deployment.endpoint == first.deployment.endpoint
        assert ask(target, second.deployment, other_package).passed
        changed = {change.field for action in second.plan.actions for change in action.changes}
        assert {"version", "digest"} <= changed

    def test_failed_update_leaves_the_old_release_serving(
        self, target: Target[Any], settings: Any, package: ModelPackage, other_package: ModelPackage
    ) -> None:
        first = put(target, settings, package)

        with pytest.raises(SmokeTestFailed):
            put(target, settings, other_package, report=FAILED)

        assert target.inspect(NAME, settings) == first.deployment
        assert ask(target, first.deployment, package).passed

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug in a check")], ids=["ctrl-c", "bug"])
    def test_interrupted_smoke_test_leaves_the_old_release_serving(
        self, target: Target[Any], settings: Any, package: ModelPackage, other_package: ModelPackage, error: Any
    ) -> None:
        first = put(target, settings, package)

        def interrupted(client: InferenceClient, package: ModelPackage) -> SmokeReport:
            raise error

        with pytest.raises(type(error)):
            carry(target, settings, other_package, smoke=interrupted)

        assert target.inspect(NAME, settings) == first.deployment
        assert ask(target, first.deployment, package).passed

    def test_rollback_brings_the_release_before_back(
        self, target: Target[Any], settings: Any, package: ModelPackage, other_package: ModelPackage
    ) -> None:
        put(target, settings, package)
        second = put(target, settings, other_package)

        outcome = rollback(
            target, second.deployment, smoke=run_smoke, confirm=agree, secrets={}, package_of=package_of_image_here,
            progress=SilentProgress(), timeout_s=60,
        )  # fmt: skip

        assert outcome.smoke.passed
        assert (outcome.deployment.version, outcome.deployment.digest) == ("1", package.digest)
        assert outcome.deployment.endpoint == second.deployment.endpoint


class TargetSuite(UpdateSuite):
    """Inherit as ``TestSomething(TargetSuite)``."""

    def test_plan_changes_nothing_and_is_the_same_twice(
        self, target: Target[Any], settings: Any, package: ModelPackage
    ) -> None:
        one, two = (
            PlanDocument.of(plan(target, NAME, release_of(target, package), settings)).to_json() for _ in range(2)
        )

        assert one == two
        assert target.inspect(NAME, settings) is None
        assert target.deployments(settings) == ()

    def test_first_deployment_serves_and_is_found(
        self, target: Target[Any], settings: Any, package: ModelPackage
    ) -> None:
        outcome = put(target, settings, package)

        assert outcome.smoke.passed
        assert [action.verb for action in outcome.plan.actions if action.verb != "keep"]
        found = find(NAME, [target], {target.name: settings})[1]
        assert (found.state, found.version, found.digest) == ("running", "1", package.digest)
        assert find_all([target], {target.name: settings}) == (found,)
        assert ask(target, found, package).passed

    def test_failed_smoke_test_of_a_first_deployment_leaves_nothing(
        self, target: Target[Any], settings: Any, package: ModelPackage
    ) -> None:
        with pytest.raises(SmokeTestFailed) as caught:
            put(target, settings, package, report=FAILED)

        assert caught.value.detail["smoke"] == FAILED.as_dict()
        assert target.inspect(NAME, settings) is None
        assert target.deployments(settings) == ()

    def test_first_release_has_nothing_before_it(
        self, target: Target[Any], settings: Any, package: ModelPackage
    ) -> None:
        first = put(target, settings, package)

        assert target.previous(first.deployment) is None

    def test_destroyed_twice_is_destroyed(self, target: Target[Any], settings: Any, package: ModelPackage) -> None:
        deployment = put(target, settings, package).deployment

        for _ in range(2):
            destroy(target, deployment, progress=SilentProgress())

        assert target.inspect(NAME, settings) is None
        assert target.deployments(settings) == ()

    def test_log_of_a_deployment_can_be_read(self, target: Target[Any], settings: Any, package: ModelPackage) -> None:
        deployment = put(target, settings, package).deployment

        assert list(target.logs(deployment, follow=False))

    def test_unknown_setting_is_refused(self, target: Target[Any]) -> None:
        with pytest.raises(ValidationError, match="no_such_setting"):
            target.settings_type.model_validate({"no_such_setting": 1})


def release_of(target: Target[Any], package: ModelPackage) -> Release:
    """The release of a package; a target that takes images comes with a way to make one for its tests."""
    made: Release = getattr(target, "release_for_tests", Release)(package)
    return made


def put(target: Target[Any], settings: Any, package: ModelPackage, report: SmokeReport | None = None) -> DeployOutcome:
    """Deploy with the real smoke tests, or with a report of the test's own."""
    return carry(target, settings, package, smoke=(lambda _client, _package: report) if report else run_smoke)


def carry(target: Target[Any], settings: Any, package: ModelPackage, *, smoke: Any) -> DeployOutcome:
    return deploy(
        target, NAME, release_of(target, package), settings, smoke=smoke, confirm=agree, secrets={},
        progress=SilentProgress(), timeout_s=60,
    )  # fmt: skip


def ask(target: Target[Any], deployment: Any, package: ModelPackage) -> SmokeReport:
    with target.connect(deployment) as client:
        return run_smoke(client, package, timeout_s=20)


def agree(plan: DeploymentPlan) -> bool:
    return True
