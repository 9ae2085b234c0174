"""Updates on Azure: in place and by replacement; whatever goes wrong, the old release answers at the old URL."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.pipeline.transport import RequestsTransport

from packager.core.artifact import ModelPackage
from packager.core.credentials import Credential, CredentialSource
from packager.core.deployment import Deployment
from packager.core.errors import (
    ArchitectureMissing,
    CredentialsUnusable,
    DeploymentBusy,
    DrayError,
    ImageMissing,
    NotReady,
    OutOfMemory,
    ProcessCrash,
    PullDenied,
    RegistryUnavailable,
    SmokeTestFailed,
    Throttled,
    UsageError,
)
from packager.core.image import ImageRef
from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import deploy, destroy, rollback
from targets.aci import AciSettings
from targets.aci.groups import ContainerGroups
from targets.aci.tags import HOLDER, tags_of
from targets.kit.holder import Holder
from tests.contract_suites.target_suite import FAILED, NAME, agree, put
from tests.support.aci_cloud import AciCloud, ImagedAciTarget
from tests.support.fakes import RecordedProgress
from tests.support.packages import logistic_model, make_package

PASSED = SmokeReport((SmokeCheck("ready", True, "", 1.0),))
IN_PLACE = AciSettings(port=18080)
REPLACE = AciSettings(port=18080, update="replace")


@pytest.fixture
def old(tmp_path: Path, state: Path) -> ModelPackage:
    return make_package(tmp_path / "a")


@pytest.fixture
def new(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "b", logistic_model(seed=7), version="2")


def serving(url: str | None) -> str:
    """The digest that a URL serves now."""
    assert url
    return str(httpx.get(f"{url}/readyz").json()["models"][0]["digest"])


def told(
    target: ImagedAciTarget, package: ModelPackage, settings: Any, *, timeout_s: float = 30, smoke: Any = None
) -> Any:
    progress = RecordedProgress()
    outcome = deploy(
        target, NAME, target.release_for_tests(package), settings, smoke=smoke or (lambda client, package: PASSED),
        confirm=agree, secrets={}, progress=progress, timeout_s=timeout_s,
    )  # fmt: skip
    return outcome, progress


def back(target: ImagedAciTarget, deployment: Deployment, package: ModelPackage) -> Any:
    return rollback(
        target, deployment, smoke=lambda client, package: PASSED, confirm=agree, secrets={},
        package_of=lambda image: package, progress=SilentProgress(), timeout_s=30,
    )  # fmt: skip


def test_an_update_in_place_keeps_the_url_and_tells_the_gap(
    cloud: AciCloud, old: ModelPackage, new: ModelPackage
) -> None:
    first = put(cloud.target(), IN_PLACE, old, report=PASSED).deployment

    outcome, progress = told(cloud.target(), new, IN_PLACE)

    assert outcome.deployment.endpoint == first.endpoint
    assert serving(first.endpoint) == new.digest
    assert "E-GAP" in [each.code for each in outcome.plan.findings]
    assert [line for line in progress.steps if line.endswith("nothing was served")]


def test_a_replacement_serves_beside_the_old_one_until_it_has_passed(
    cloud: AciCloud, old: ModelPackage, new: ModelPackage
) -> None:
    first = put(cloud.target(), IN_PLACE, old, report=PASSED).deployment
    seen: list[str] = []

    def smoke(client: Any, package: ModelPackage) -> SmokeReport:
        seen.append(serving(first.endpoint))
        return PASSED

    outcome, _ = told(cloud.target(), new, REPLACE, smoke=smoke)

    assert seen == [old.digest]
    assert outcome.deployment.endpoint != first.endpoint
    assert serving(outcome.deployment.endpoint) == new.digest
    assert list(cloud.stored()) == [outcome.deployment.detail["group"]]
    [finding] = [each for each in outcome.plan.findings if each.code == "E-URL-CHANGES"]
    assert cloud.stored()[outcome.deployment.detail["group"]].label in finding.message


def test_a_rollback_of_a_replacement_has_the_old_url_again(
    cloud: AciCloud, old: ModelPackage, new: ModelPackage
) -> None:
    first = put(cloud.target(), REPLACE, old, report=PASSED).deployment
    second = put(cloud.target(), REPLACE, new, report=PASSED).deployment

    outcome = back(cloud.target(), second, old)

    assert outcome.deployment.endpoint == first.endpoint
    assert serving(first.endpoint) == old.digest


def test_settings_that_change_only_anew_come_back_with_a_rollback(cloud: AciCloud, old: ModelPackage) -> None:
    put(cloud.target(), IN_PLACE, old, report=PASSED)
    larger = put(cloud.target(), AciSettings(port=18080, cpu=2.0, update="replace"), old, report=PASSED).deployment

    outcome = back(cloud.target(), larger, old)

    [group] = cloud.stored().values()
    assert group.facts.served.chosen().cpu == 1.0
    assert outcome.deployment.state == "running"


@pytest.mark.parametrize("settings", [IN_PLACE, REPLACE], ids=["in-place", "replace"])
def test_a_failed_update_keeps_what_may_be_rolled_back_to(
    cloud: AciCloud, old: ModelPackage, new: ModelPackage, settings: AciSettings, tmp_path: Path
) -> None:
    third = make_package(tmp_path / "c", logistic_model(seed=9), version="3")
    put(cloud.target(), settings, old, report=PASSED)
    second = put(cloud.target(), settings, new, report=PASSED).deployment

    with pytest.raises(SmokeTestFailed):
        put(cloud.target(), settings, third, report=FAILED)

    assert cloud.target().inspect(NAME, settings) == second
    assert serving(second.endpoint) == new.digest
    assert back(cloud.target(), second, old).deployment.digest == old.digest


BROKEN: dict[str, tuple[dict[str, Any], type[DrayError], str]] = {
    "crash": ({"exit_code": 3, "log": "loading\nE-LOAD no such operator\n"}, ProcessCrash, "E-LOAD no such operator"),
    "oom": ({"exit_code": 137, "reason": "OOMKilled"}, OutOfMemory, "1.5 GB"),
    "architecture": ({"exit_code": 1, "log": "exec python3: exec format error\n"}, ArchitectureMissing, "exec format"),
    "never": ({"report": {"state": "failed", "message": "answers differ"}}, NotReady, "answers differ"),
    "late": ({"report": {"state": "starting"}}, NotReady, "'starting'"),
    "denied": ({"refused": "denied"}, PullDenied, "not accessible"),
    "registry": ({"refused": "unreachable"}, RegistryUnavailable, "registry.example"),
}  # fmt: skip


@pytest.mark.parametrize("settings", [IN_PLACE, REPLACE], ids=["in-place", "replace"])
@pytest.mark.parametrize("name", BROKEN)
def test_an_update_that_fails_ends_in_its_cause_and_the_old_release(
    cloud: AciCloud, old: ModelPackage, new: ModelPackage, settings: AciSettings, name: str
) -> None:
    changed, kind, words = BROKEN[name]
    first = put(cloud.target(), settings, old, report=PASSED).deployment

    with pytest.raises(kind, match=words) as caught:
        told(cloud.target(**changed), new, settings, timeout_s=4)

    assert type(caught.value) is kind
    assert caught.value.hint
    assert cloud.target().inspect(NAME, settings) == first
    assert serving(first.endpoint) == old.digest
    assert len(cloud.stored()) == 1


@pytest.mark.parametrize("name", BROKEN)
def test_a_first_deployment_that_fails_leaves_nothing(
    cloud: AciCloud, new: ModelPackage, state: Path, name: str
) -> None:
    changed, kind, words = BROKEN[name]

    with pytest.raises(kind, match=words):
        told(cloud.target(**changed), new, IN_PLACE, timeout_s=4)

    assert cloud.stored() == {}


def test_an_image_that_cannot_be_read_for_a_moment_is_asked_for_again(
    cloud: AciCloud, old: ModelPackage, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, tries = cloud.target(refused="denied"), []
    pull = cloud.runner.pull

    def better(image: str, credential: Any) -> str:
        tries.append(image)
        if len(tries) > 2:
            cloud.runner.images[image].refused = None
        return str(pull(image, credential))

    monkeypatch.setattr(cloud.runner, "pull", better)

    outcome, progress = told(target, old, IN_PLACE)

    assert outcome.deployment.state == "running"
    assert len(tries) == 3
    assert [line for line in progress.details if "trying again" in line]


def test_the_old_releases_secrets_must_be_there_before_it_is_touched(
    cloud: AciCloud, old: ModelPackage, new: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACI_OLD", "secret")
    first = put(cloud.target(), IN_PLACE.model_copy(update={"secure_env": {"T": "env:ACI_OLD"}}), old, report=PASSED)
    monkeypatch.delenv("ACI_OLD")

    with pytest.raises(CredentialsUnusable, match="ACI_OLD"):
        told(cloud.target(), new, IN_PLACE)

    assert serving(first.deployment.endpoint) == old.digest
    assert cloud.stored()[NAME].facts.state == "live"


class Known(CredentialSource):
    def credential(self, registry: str) -> Credential | None:
        return Credential("robot", "hunter2-hunter2") if registry == "registry.example" else None


def test_this_machines_credentials_reach_the_registry_and_no_tag(
    cloud: AciCloud, old: ModelPackage, state: Path
) -> None:
    target = cloud.target(credentials=Known(), password="hunter2-hunter2")

    outcome, _ = told(target, old, IN_PLACE)

    assert outcome.deployment.state == "running"
    [credential] = [credential for _, credential in cloud.runner.pulls]
    assert (credential.server, credential.username) == ("registry.example", "robot")
    assert "hunter2" not in str(cloud.stored()[NAME].document)
    assert "hunter2" not in str(outcome)


def test_another_command_that_is_at_work_is_named(cloud: AciCloud, old: ModelPackage, new: ModelPackage) -> None:
    put(cloud.target(), IN_PLACE, old, report=PASSED)
    holder = replace(Holder.me(limit_s=600), who="eve", host="ci-7", pid=4242)
    held(cloud, holder)

    for command in (lambda: told(cloud.target(), new, IN_PLACE), lambda: destroy_it(cloud)):
        with pytest.raises(DeploymentBusy, match=r"eve@ci-7 \(process 4242\)") as caught:
            command()
        assert caught.value.hint
    held(cloud, replace(holder, since="2020-01-01T00:00:00+00:00"))
    assert told(cloud.target(), new, IN_PLACE)[0].deployment.digest == new.digest


def held(cloud: AciCloud, holder: Holder) -> None:
    """As an update in place by another command leaves the group."""
    with ContainerGroups(cloud.access()) as groups:
        group = groups.get("rehearsal", NAME)
        assert group is not None
        facts = replace(group.facts, state="update", previous=group.facts.served, holder=holder)
        groups.tag("rehearsal", NAME, tags_of(facts))


def destroy_it(cloud: AciCloud) -> None:
    [found] = cloud.target().deployments(IN_PLACE)
    destroy(cloud.target(), found, progress=SilentProgress())


@pytest.mark.parametrize("first", [True, False], ids=["first-deployment", "update"])
def test_one_of_two_at_once_wins_and_the_other_says_who(
    cloud: AciCloud, old: ModelPackage, new: ModelPackage, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    if not first:
        put(cloud.target(), IN_PLACE, old, report=PASSED)
    monkeypatch.setattr(Holder, "mine", property(lambda self: self.who == threading.current_thread().name))
    monkeypatch.setattr("targets.kit.holder._user", lambda: threading.current_thread().name)
    outcomes: dict[str, Any] = {}
    together = threading.Barrier(2)
    cloud.target().release_for_tests(new)
    image = list(cloud.runner.images.values())[-1]
    ready = image.answering
    until = time.monotonic() + 10
    # The first is still at it when the second comes, however slow this machine is.
    image.answering = lambda path: ready(path) if outcomes or time.monotonic() > until else (503, b"{}")

    def command() -> None:
        me = threading.current_thread().name
        target = cloud.target()
        release = target.release_for_tests(new)
        made = target.plan(NAME, release, IN_PLACE)
        together.wait(10)
        try:
            candidate = target.apply(made, {}, SilentProgress(), timeout_s=20)
            time.sleep(1.5)  # smoke tests
            outcomes[me] = target.promote(candidate, SilentProgress())
        except DrayError as error:
            outcomes[me] = error

    threads = [threading.Thread(target=command, name=name) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)

    busy = {name: error for name, error in outcomes.items() if isinstance(error, DeploymentBusy)}
    assert len(busy) == 1, outcomes
    [(loser, error)] = busy.items()
    assert ({"ann", "bob"} - {loser}).pop() in error.message
    assert cloud.stored()[NAME].facts.state == "live"
    assert HOLDER not in cloud.stored()[NAME].tags


def test_an_image_that_no_registry_has_any_more_is_told_as_missing() -> None:
    from targets.aci.state import Group
    from targets.aci.watch import _pull_failure

    event = {"name": "Failed", "message": 'Failed to pull image "x@sha256:1": manifest unknown'}
    container = {"name": "runtime", "properties": {"instanceView": {"events": [event]}}}

    found = _pull_failure(Group({"name": "churn", "properties": {"containers": [container]}}))

    assert isinstance(found, ImageMissing)
    assert ImageRef.parse("x")


def test_a_wait_that_is_too_long_is_told_and_not_kept(cloud: AciCloud, old: ModelPackage) -> None:
    class Throttling(RequestsTransport):
        def send(self, request: Any, **options: Any) -> Any:
            answer = super().send(request, **options)
            answer.status_code = 429
            answer.headers["Retry-After"] = "3600"
            return answer

    access = cloud.access(transport=lambda: Throttling(connection_verify=str(cloud.ca)))
    began = time.monotonic()

    with pytest.raises(Throttled) as caught:
        cloud.target(access).deployments(IN_PLACE)

    assert time.monotonic() - began < 5
    assert "3600" in caught.value.hint


def test_a_name_in_two_resource_groups_is_asked_about(cloud: AciCloud, old: ModelPackage) -> None:
    with cloud.http() as http:
        path = cloud.path(NAME).partition("/providers")[0].replace("/rehearsal", "/other")
        http.put(path, json={"location": "westeurope"}, params={"api-version": "2021-04-01"}).raise_for_status()
    for resource_group in ("rehearsal", "other"):
        settings = AciSettings(port=18080, resource_group=resource_group)
        put(cloud.target(), settings, old, report=PASSED)
    anywhere = cloud.target(cloud.access(resource_group=None))

    with pytest.raises(UsageError, match="2 resource groups: 'other', 'rehearsal'"):
        anywhere.inspect(NAME, AciSettings())
    assert len(anywhere.deployments(AciSettings())) == 2
