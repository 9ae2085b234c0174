"""What keeps a container from serving: each a stable cause, a hint, and no trace left behind."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import ModelPackage, Release
from packager.core.errors import (
    ArchitectureMissing,
    ConfigurationError,
    ImageMissing,
    ImageUnfaithful,
    NotReady,
    OutOfMemory,
    PortInUse,
    ProcessCrash,
    PullDenied,
)
from packager.core.image import ImageRef
from packager.core.progress import SilentProgress
from packager.deploy import plan
from packager.image.registry import Registry
from targets.docker import DockerSettings, DockerTarget, handover
from tests.contract_suites.target_suite import NAME, ask, put
from tests.support.engine_images import EngineImages, ImagedDockerTarget
from tests.support.packages import logistic_model, make_package
from tests.support.registry_server import PASSWORD, USER, RegistryServer, running_registry
from tests.support.registry_server import docker_login as login

SETTINGS = DockerSettings(threads=1)


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "one", version="1")


@pytest.fixture
def update(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "two", logistic_model(seed=7), version="2")


@pytest.fixture
def target_of(engine_images: EngineImages, state: Path) -> Callable[..., ImagedDockerTarget]:
    """The target, its images changed in their configuration."""
    return lambda **changed: ImagedDockerTarget(images=engine_images, changed=changed)


def script(text: str) -> dict[str, Any]:
    return {"Entrypoint": ["/usr/bin/python3", "-c", text]}


def assert_no_trace(engine: Any) -> None:
    assert engine.containers.list(all=True, filters={"label": f"dray.name={NAME}"}) == []


def test_runtime_that_ends_is_a_crash_with_its_last_words(
    target_of: Callable[..., ImagedDockerTarget], package: ModelPackage, engine: Any
) -> None:
    with pytest.raises(ProcessCrash) as caught:
        put(target_of(**script("import sys; print('one'); sys.exit('ImportError: two')")), SETTINGS, package)

    assert caught.value.code == "E-CONTAINER-CRASH"
    assert caught.value.message.startswith("the runtime ended with exit status 1 before it was ready: ")
    assert set(caught.value.detail["log"]) >= {"one", "ImportError: two"}
    assert_no_trace(engine)


def test_runtime_over_its_memory_limit_is_told_so(
    target_of: Callable[..., ImagedDockerTarget], package: ModelPackage, engine: Any
) -> None:
    greedy = target_of(**script("x = []\nwhile True: x.append(bytearray(1 << 20))"))

    with pytest.raises(OutOfMemory) as caught:
        put(greedy, DockerSettings(memory_mib=48), package)

    assert caught.value.code == "E-OOM"
    assert caught.value.message == "the runtime took more than its 48 MiB of memory"
    assert "memory_mib" in caught.value.hint
    assert_no_trace(engine)


def test_self_test_that_fails_is_told_in_the_runtimes_words(
    target_of: Callable[..., ImagedDockerTarget], tmp_path: Path, engine: Any
) -> None:
    bad = make_package(tmp_path / "bad", wrong_answers=True)

    with pytest.raises(NotReady, match="E-SELF-TEST") as caught:
        put(target_of(), SETTINGS, bad)

    assert caught.value.code == "E-NOT-READY"
    assert caught.value.detail["log"]
    assert_no_trace(engine)


def test_image_for_another_processor_is_refused_in_the_plan(
    target_of: Callable[..., ImagedDockerTarget], package: ModelPackage
) -> None:
    target = target_of(architecture="arm64")

    with pytest.raises(ArchitectureMissing) as caught:
        plan(target, NAME, target.release_for_tests(package), SETTINGS)

    assert caught.value.code == "E-IMAGE-ARCH"
    assert "linux/arm64" in caught.value.message
    assert "--platform linux/" in caught.value.hint


def test_image_with_another_package_is_refused(
    engine_images: EngineImages, package: ModelPackage, update: ModelPackage, state: Path
) -> None:
    release = replace(engine_images.release(update), package=package)

    with pytest.raises(ImageUnfaithful, match="holds package") as caught:
        plan(DockerTarget(), NAME, release, SETTINGS)

    assert caught.value.code == "E-IMAGE-VERIFY"


def test_release_without_an_image_is_refused(engine: Any, package: ModelPackage, state: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs an image"):
        plan(DockerTarget(), NAME, Release(package), SETTINGS)


def test_image_that_no_registry_has_is_named(
    engine: Any, registry: RegistryServer, package: ModelPackage, state: Path
) -> None:
    release = Release(package, ImageRef.parse(f"{registry.host}/team/none:1"))

    with pytest.raises(ImageMissing) as caught:
        plan(DockerTarget(), NAME, release, SETTINGS)

    assert caught.value.code == "E-IMAGE-MISSING"
    assert f"{registry.host}/team/none:1" in caught.value.message


def test_registry_that_wants_a_password_is_named_and_gets_it_from_dockers_configuration(
    engine: Any, engine_images: EngineImages, package: ModelPackage, tmp_path: Path, state: Path
) -> None:
    with running_registry(tmp_path / "registry", password=True) as server:
        release = pushed(engine, engine_images, package, server)
        with pytest.raises(PullDenied) as caught:
            plan(DockerTarget(), NAME, release, SETTINGS)
        login(tmp_path / "docker-config", server.host)

        outcome = put(Deploys(release), SETTINGS, package)
        DockerTarget().destroy(outcome.deployment, SilentProgress())

    assert caught.value.code == "E-IMAGE-PULL-AUTH"
    assert f"docker login {server.host}" in caught.value.hint
    assert outcome.smoke.passed
    assert PASSWORD not in str(outcome.plan)


def test_image_pinned_by_tag_and_digest_is_pulled_and_found_again(
    engine: Any, engine_images: EngineImages, package: ModelPackage, registry: RegistryServer, state: Path
) -> None:
    ref = pushed(engine, engine_images, package, registry).image
    assert ref
    with Registry(registry.host) as client:
        digest = client.manifest(ref.repository, "1").descriptor.digest
    target = Deploys(Release(package, ref.with_digest(digest)))

    outcome, again = put(target, SETTINGS, package), put(target, SETTINGS, package)
    target.destroy(outcome.deployment, SilentProgress())

    assert outcome.deployment.image == f"{registry.host}/team/churn:1@{digest}"
    assert not again.plan.changes_anything


def test_port_of_another_program_is_refused_in_the_plan(
    target_of: Callable[..., ImagedDockerTarget], package: ModelPackage
) -> None:
    target = target_of()
    release = target.release_for_tests(package)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortInUse) as caught:
            plan(target, NAME, release, DockerSettings(port=port))

    assert caught.value.code == "E-PORT-IN-USE"
    assert str(port) in caught.value.message


@pytest.mark.parametrize(("setting", "value"), [("cpus", 1000.0), ("memory_mib", 1 << 24)])
def test_limit_that_the_machine_does_not_have_is_refused(
    target_of: Callable[..., ImagedDockerTarget], package: ModelPackage, setting: str, value: float
) -> None:
    target = target_of()

    with pytest.raises(ConfigurationError, match=f"{setting}="):
        plan(target, NAME, target.release_for_tests(package), DockerSettings.model_validate({setting: value}))


def test_old_container_serves_on_when_the_new_one_does_not_start(
    target_of: Callable[..., ImagedDockerTarget], package: ModelPackage, update: ModelPackage
) -> None:
    first = put(target_of(), SETTINGS, package).deployment

    with pytest.raises(ProcessCrash):
        put(target_of(**script("raise SystemExit('no')")), SETTINGS, update)

    assert target_of().inspect(NAME, SETTINGS) == first
    assert ask(target_of(), first, package).passed
    target_of().destroy(first, SilentProgress())


def test_old_container_is_started_again_when_the_new_one_does_not_come_up_on_the_port(
    target_of: Callable[..., ImagedDockerTarget], package: ModelPackage, update: ModelPackage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    target = target_of()
    first = put(target, SETTINGS, package).deployment
    wait = handover.wait_ready

    def fails_on_the_port(engine: Any, container: Any, url: str, **rest: Any) -> None:
        if "dray.next" in container.name:
            raise NotReady("it does not come up", hint="")
        wait(engine, container, url, **rest)

    monkeypatch.setattr(handover, "wait_ready", fails_on_the_port)
    with pytest.raises(NotReady):
        put(target, SETTINGS, update)

    assert wait_for_answers(target, package).endpoint == first.endpoint
    target.destroy(first, SilentProgress())


@dataclass(frozen=True, slots=True)
class Deploys(DockerTarget):
    """The target with one release for all."""

    release: Release | None = None

    def release_for_tests(self, package: ModelPackage) -> Release:
        assert self.release
        return self.release


def pushed(engine: Any, images: EngineImages, package: ModelPackage, server: RegistryServer) -> Release:
    """A release whose image is in a registry and no longer in the engine."""
    ref = ImageRef.parse(f"{server.host}/team/churn:1")
    images.load(str(ref), package.root, {"dray.package.digest": package.digest})
    said = engine.api.push(f"{server.host}/team/churn", tag="1", auth_config={"username": USER, "password": PASSWORD})
    assert "errorDetail" not in said, said
    engine.images.remove(str(ref), force=True)
    return Release(package, ref)


def wait_for_answers(target: DockerTarget, package: ModelPackage) -> Any:
    deadline = time.monotonic() + 20
    while True:
        found = target.inspect(NAME, SETTINGS)
        if found and found.state == "running" and ask(target, found, package).passed:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.1)
