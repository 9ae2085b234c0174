"""`dray` with an image: planned, deployed to an engine, asked, updated, rolled back, deleted."""

from pathlib import Path

import pytest

from tests.support.command import dray
from tests.support.engine_images import EngineImages, engine_images, shared_layers
from tests.support.index import require_index
from tests.support.packages import logistic_model, make_package

__all__ = ["engine_images", "shared_layers"]
pytestmark = pytest.mark.e2e


def test_life_of_a_deployment_from_an_image(engine_images: EngineImages, tmp_path: Path) -> None:
    one = engine_images.release(make_package(tmp_path / "one", version="1"))
    two = engine_images.release(make_package(tmp_path / "two", logistic_model(seed=7), version="2"))

    planned = dray("plan", str(one.image), "-t", "docker", "-o", "json")
    first = dray("deploy", str(one.image), "-t", "docker", "-o", "json", "--set", "threads=1", "-y")
    second = dray("deploy", str(two.image), "-t", "docker", "-o", "json", "--set", "threads=1", "-y")
    tested = dray("test", "iris", "-o", "json")
    listed = dray("status", "-o", "json")
    log = dray("logs", "iris")
    back = dray("rollback", "iris", "-o", "json", "-y")
    deleted = dray("delete", "iris", "-y")

    for run in (planned, first, second, tested, listed, log, back, deleted):
        assert run.status == 0, run.err
    [action] = planned.document["actions"]
    assert action["body"]["HostConfig"]["ReadonlyRootfs"] is True
    assert (first.document["image"], first.document["state"]) == (str(one.image), "running")
    assert second.document["endpoint"] == first.document["endpoint"]
    assert tested.document["passed"]
    assert [(each["target"], each["version"]) for each in listed.document] == [("docker", "2")]
    assert "model ready" in log.out
    assert back.document["digest"] == one.package.digest
    assert dray("status", "-o", "json").document == []


@pytest.mark.usefixtures("engine")
def test_base_that_cannot_be_had_is_named_with_the_next_step(tmp_path: Path) -> None:
    package = make_package(tmp_path / "one").root
    run = dray("deploy", package, "-t", "docker", "--base", "127.0.0.1:1/none:1", "-o", "json", "-y")

    assert (run.status, run.document["error"]["code"]) == (4, "E-REGISTRY-UNREACHABLE")
    assert "the image 127.0.0.1:1/none:1 cannot be had" in run.document["error"]["message"]
    assert "--base" in run.document["error"]["hint"]


def test_target_of_packages_takes_no_image() -> None:
    run = dray("deploy", "registry.example/team/churn:1", "-t", "local", "-o", "json")

    assert (run.status, run.document["error"]["code"]) == (2, "E-USAGE")


@pytest.mark.usefixtures("engine", "shared_layers_of_images")
def test_plan_of_a_package_names_the_image_that_deploy_loads(base_layout: Path, tmp_path: Path) -> None:
    require_index()
    package = make_package(tmp_path / "one").root
    command = ("plan", package, "-t", "docker", "--base", base_layout, "-o", "json", "--exit-code")
    first, second = dray(*command), dray(*command)
    deployed = dray("deploy", package, "-t", "docker", "--base", base_layout, "-o", "json", "-y")
    after = dray(*command)

    assert (first.status, second.status, after.status) == (10, 10, 0), first.err
    assert deployed.status == 0, deployed.err
    assert first.out == second.out
    [action] = first.document["actions"]
    assert action["body"]["Image"] == deployed.document["image"]


@pytest.mark.usefixtures("engine")
def test_platform_that_the_engine_does_not_run_is_refused_before_the_build(tmp_path: Path) -> None:
    package = make_package(tmp_path / "one").root
    run = dray("deploy", package, "-t", "docker", "--platform", "linux/s390x", "-o", "json", "-y")

    assert (run.status, run.document["error"]["code"]) == (4, "E-IMAGE-ARCH")
