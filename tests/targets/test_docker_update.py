"""The docker target at work: restrictions, keys, hand-over, rollback, what a colleague and an interruption see."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from packager.core.artifact import ModelPackage
from packager.core.deployment import DeploymentPlan
from packager.core.errors import SmokeTestFailed
from packager.core.progress import SilentProgress
from packager.core.state import cache_home
from packager.deploy import plan, rollback
from packager.documents import PlanDocument
from packager.smoke import run_smoke
from targets.docker import DockerSettings, DockerTarget
from targets.docker.body import container_body
from tests.contract_suites.target_suite import FAILED, NAME, agree, package_of_image_here, put
from tests.support.engine_images import EngineImages, ImagedDockerTarget
from tests.support.packages import logistic_model, make_package
from tests.support.traffic import steady_requests

SETTINGS = DockerSettings(threads=1)
LOOK = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/1/status"))
def writes(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return "written"
print(json.dumps({"caps": status["CapEff"].strip(), "new": status["NoNewPrivs"].strip(), "uid": os.getuid(),
                  "root": writes("/x"), "model": writes("/model/x"), "tmp": writes("/tmp/x")}))
"""


@pytest.fixture
def target(engine_images: EngineImages, state: Path) -> Any:
    made = ImagedDockerTarget(images=engine_images)
    yield made
    for deployment in made.deployments(SETTINGS):
        made.destroy(deployment, SilentProgress())


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "one", version="1")


@pytest.fixture
def update(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "two", logistic_model(seed=7), version="2")


def container(engine: Any, role: str = "dray-") -> Any:
    return engine.containers.get(f"{role}{NAME}")


def test_container_can_do_nothing_that_serving_does_not_need(
    target: ImagedDockerTarget, package: ModelPackage, engine: Any
) -> None:
    put(target, DockerSettings(threads=1, memory_mib=512, cpus=1.5), package)

    seen = container(engine).exec_run(["/usr/bin/python3", "-c", LOOK]).output.decode()

    assert '"caps": "0000000000000000", "new": "1", "uid": 65532' in seen
    assert '"root": "Read-only file system", "model": "Read-only file system", "tmp": "written"' in seen
    limits = container(engine).attrs["HostConfig"]
    assert (limits["Memory"], limits["MemorySwap"], limits["NanoCpus"]) == (512 << 20, 512 << 20, 1_500_000_000)
    assert limits["PortBindings"]["8080/tcp"][0]["HostIp"] == "127.0.0.1"


def test_plan_holds_the_body_that_is_sent(target: ImagedDockerTarget, package: ModelPackage, engine: Any) -> None:
    release = target.release_for_tests(package)
    [action] = plan(target, NAME, release, SETTINGS).actions

    assert action.body == container_body(NAME, release, str(release.image), SETTINGS, host="127.0.0.1", port="free")
    assert (action.verb, action.resource) == ("create", f"container dray-{NAME}")
    assert (action.body["User"], action.body["HostConfig"]["CapDrop"]) == ("65532:65532", ["ALL"])


def test_keys_are_asked_for_and_stand_nowhere_to_be_read(
    target: ImagedDockerTarget, package: ModelPackage, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEYS", "first-s3cret\nsecond-s3cret\n")
    settings = DockerSettings(threads=1, api_keys="env:MODEL_KEYS")

    outcome = put(target, settings, package)

    url = f"{outcome.deployment.endpoint}/v2/models/{package.manifest.name}"
    answers = [httpx.get(url, headers=h).status_code for h in ({}, {"Authorization": "Bearer second-s3cret"})]
    assert answers == [401, 200]
    assert outcome.smoke.passed
    assert "s3cret" not in str(container(engine).attrs)
    document = PlanDocument.of(outcome.plan).to_json()
    assert "s3cret" not in str(document)
    assert "env:MODEL_KEYS" in str(document)


def test_colleague_without_the_keys_still_sees_that_it_runs(
    target: ImagedDockerTarget, package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEYS", "s3cret")
    put(target, DockerSettings(threads=1, api_keys="env:MODEL_KEYS"), package)
    monkeypatch.delenv("MODEL_KEYS")

    found = target.inspect(NAME, SETTINGS)

    assert found is not None
    assert found.state == "running"


def test_no_request_is_lost_while_the_new_container_is_tested_and_fails(
    target: ImagedDockerTarget, package: ModelPackage, update: ModelPackage
) -> None:
    first = put(target, SETTINGS, package)

    with steady_requests(str(first.deployment.endpoint), package) as traffic, pytest.raises(SmokeTestFailed):
        put(target, SETTINGS, update, report=FAILED)

    assert traffic.failures == []
    assert set(traffic.answers) == {"1"}


def test_port_is_handed_over_and_the_plan_says_what_that_means(
    target: ImagedDockerTarget, package: ModelPackage, update: ModelPackage, engine: Any
) -> None:
    first = put(target, SETTINGS, package)

    second = put(target, SETTINGS, update)

    assert [finding.code for finding in second.plan.findings] == ["E-GAP"]
    assert [(a.verb, a.resource.split()[1]) for a in second.plan.actions] == [
        ("create", f"dray.trial-{NAME}"), ("replace", f"dray-{NAME}"),
    ]  # fmt: skip
    assert second.deployment.endpoint == first.deployment.endpoint
    before = container(engine, "dray.previous-")
    assert (before.status, before.attrs["HostConfig"]["RestartPolicy"]["Name"]) == ("exited", "no")
    assert len(engine.containers.list(all=True, filters={"label": f"dray.name={NAME}"})) == 2


def test_rollback_needs_nothing_but_the_engine(
    target: ImagedDockerTarget, package: ModelPackage, update: ModelPackage
) -> None:
    put(target, DockerSettings(threads=1, log_level="warning"), package)
    second = put(target, SETTINGS, update)
    shutil.rmtree(package.root)
    shutil.rmtree(cache_home())  # as on a colleague's machine

    outcome = rollback(
        target, second.deployment, smoke=run_smoke, confirm=agree, secrets={}, package_of=package_of_image_here,
        progress=SilentProgress(), timeout_s=60,
    )  # fmt: skip

    assert (outcome.deployment.version, outcome.deployment.digest) == ("1", package.digest)
    assert outcome.deployment.detail["settings"]["log_level"] == "warning"


def test_what_an_interruption_left_is_named_and_removed(
    target: ImagedDockerTarget, package: ModelPackage, engine: Any
) -> None:
    first = put(target, SETTINGS, package)
    release = target.release_for_tests(package)
    body = container_body(NAME, release, str(release.image), SETTINGS, host="127.0.0.1", port="")
    engine.api.create_container_from_config(body, f"dray.trial-{NAME}")

    again = put(target, SETTINGS, package)

    assert [a.verb for a in again.plan.actions] == ["delete", "keep"]
    assert again.deployment == first.deployment
    assert len(engine.containers.list(all=True, filters={"label": f"dray.name={NAME}"})) == 1


def test_exchange_that_was_interrupted_at_its_end_is_finished(
    target: ImagedDockerTarget, package: ModelPackage, engine: Any
) -> None:
    first = put(target, SETTINGS, package)
    container(engine).rename(f"dray.next-{NAME}")

    again = put(target, SETTINGS, package)

    assert again.deployment.endpoint == first.deployment.endpoint
    assert [each.name for each in engine.containers.list(filters={"label": "dray.name"})] == [f"dray-{NAME}"]


def test_container_that_was_stopped_by_hand_is_seen_and_replaced(
    target: ImagedDockerTarget, package: ModelPackage, engine: Any
) -> None:
    first = put(target, SETTINGS, package)
    container(engine).stop()
    stopped = target.inspect(NAME, SETTINGS)

    again = put(target, SETTINGS, package)

    assert stopped is not None
    assert stopped.state == "stopped"
    assert (again.deployment.state, again.deployment.endpoint) == ("running", first.deployment.endpoint)
    assert "E-GAP" not in [finding.code for finding in again.plan.findings]


def test_followed_log_ends_with_the_deployment(target: ImagedDockerTarget, package: ModelPackage) -> None:
    deployment = put(target, SETTINGS, package).deployment
    lines = target.logs(deployment, follow=True)
    first = next(lines)

    target.destroy(deployment, SilentProgress())

    assert first
    assert list(lines)


def test_public_endpoint_without_keys_is_named(target: ImagedDockerTarget, package: ModelPackage) -> None:
    release = target.release_for_tests(package)

    def codes(**settings: Any) -> list[str]:
        made: DeploymentPlan = plan(target, NAME, release, DockerSettings(**settings))
        return [finding.code for finding in made.findings]

    assert codes(host="0.0.0.0") == ["E-PUBLIC-ENDPOINT"]
    assert codes(host="0.0.0.0", api_keys="env:KEYS") == []


def test_nothing_is_deployed_where_there_is_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr("targets.kit.engine.docker_host.DEFAULT_HOST", f"unix://{tmp_path}/none.sock")

    assert DockerTarget().deployments(DockerSettings()) == ()
    assert DockerTarget().inspect(NAME, DockerSettings()) is None
    [finding] = DockerTarget().preflight(DockerSettings())
    assert (finding.code, finding.blocking) == ("E-IMAGE-ENGINE", True)
