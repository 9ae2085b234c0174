"""Images of packages for a target that pulls them: built, pushed, named by their digest; and what is refused before."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from packager.cli.run import run
from packager.core.errors import (
    ArchitectureMissing,
    DeploymentDeclined,
    DrayError,
    ImageMissing,
    PushDenied,
    UsageError,
)
from packager.core.image import ImageRef, Platform
from packager.core.progress import SilentProgress
from packager.deploy.places import Places
from packager.image.registry import Registry
from packager.image.transfer import push_layout
from packager.images import ImageOptions
from packager.pipeline import DeployRequest, deploy, plan
from packager.releases import package_of_deployment
from tests.image.bases import layout_of as base_of
from tests.image.test_contents import model_layer
from tests.image.test_transfer import layout_of
from tests.support.cloud import CloudTarget, OwnRegistry, install
from tests.support.fakes import RecordedProgress
from tests.support.image_layers import keep_layers
from tests.support.index import require_index
from tests.support.packages import logistic_model, make_package
from tests.support.registry_server import RegistryServer, running_registry

Request = Callable[..., DeployRequest]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> CloudTarget:
    target = CloudTarget()
    install(monkeypatch, target)
    return target


@pytest.fixture
def request_of(tmp_path: Path, state_folder: Path) -> Request:
    """Of an image with the real wheels on a base in miniature."""
    require_index()
    keep_layers(state_folder)
    base = base_of(tmp_path / "base")

    def made(**options: object) -> DeployRequest:
        image: ImageOptions = {"base": base, **options}  # type: ignore[typeddict-item]
        return DeployRequest(target="cloud", image=image)

    return made


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "one", version="1").root


@pytest.mark.slow
def test_image_of_a_package_is_pushed_and_named_by_its_digest(
    cloud: CloudTarget, registry: RegistryServer, request_of: Request, package: Path
) -> None:
    request = request_of(registry=f"{registry.host}/team")
    planned, again = (plan(package, request) for _ in range(2))
    before = tags(registry, "team/iris")
    deployed = deploy(package, request)

    assert planned.to_json() == again.to_json()
    assert before == []
    assert deployed.image == planned.actions[0].body["image"]
    assert ImageRef.parse(deployed.image or "").digest
    assert [tag.rpartition("-")[0] for tag in tags(registry, "team/iris")] == ["1"]
    assert not plan(package, request).changes_anything


@pytest.mark.slow
def test_registry_and_base_of_the_project_file_are_used(
    cloud: CloudTarget,
    registry: RegistryServer,
    request_of: Request,
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = request_of().image.get("base")
    (tmp_path / "dray.yaml").write_text(f"image: {{registry: {registry.host}/ours, base: {base}}}\n")
    monkeypatch.chdir(tmp_path)

    assert run(["deploy", str(package), "-t", "cloud", "-o", "json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["image"].startswith(f"{registry.host}/ours/iris@sha256:")


@pytest.mark.slow
def test_only_layers_that_the_registry_lacks_travel(
    cloud: CloudTarget, registry: RegistryServer, request_of: Request, package: Path, tmp_path: Path
) -> None:
    other = make_package(tmp_path / "two", logistic_model(seed=7), version="2").root
    request, first, second = request_of(registry=registry.host), RecordedProgress(), RecordedProgress()
    deploy(package, request, progress=first)
    deploy(other, request, progress=second)
    kept = RecordedProgress()
    deploy(other, request, progress=kept)

    sent = [float(each.details[-1].split()[0]) for each in (first, second)]
    assert sent[0] > 10
    assert sent[1] < 0.1
    assert not any("pushing" in step for step in kept.steps)


@pytest.mark.slow
def test_nothing_is_pushed_for_a_plan_that_was_not_agreed_to(
    cloud: CloudTarget, registry: RegistryServer, request_of: Request, package: Path
) -> None:
    request = request_of(tag=f"{registry.host}/iris:mine")
    declined = DeployRequest(target="cloud", image=request.image, confirm=lambda plan: False)
    with pytest.raises(DeploymentDeclined):
        deploy(package, declined)
    before = tags(registry, "iris")
    deploy(package, request)

    assert (before, tags(registry, "iris")) == ([], ["mine"])


@pytest.mark.slow
def test_registry_that_refuses_is_named_and_nothing_is_deployed(
    cloud: CloudTarget, request_of: Request, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nobody"))
    with (
        running_registry(tmp_path / "closed", password=True) as closed,
        pytest.raises(PushDenied, match=r"does not let anybody without credentials push") as caught,
    ):
        deploy(package, request_of(registry=closed.host))

    assert (caught.value.code, cloud.journal, cloud.live) == ("E-IMAGE-PUSH-AUTH", [], {})
    assert "docker login" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, UsageError, "'cloud' pulls images from one"),
        ({"tag": "iris:1"}, UsageError, "'iris:1' names no registry"),
        ({"registry": "r.test", "platforms": ("linux/arm64",)}, ArchitectureMissing, "not for linux/amd64, which"),
        ({"registry": "r.test", "wheelhouse": "/nowhere"}, UsageError, "there is no wheelhouse at '/nowhere'"),
        ({"registry": "no registry"}, DrayError, "not an image reference"),
    ],
)
def test_what_cannot_be_built_is_refused_before(
    cloud: CloudTarget, package: Path, options: ImageOptions, kind: type[DrayError], message: str
) -> None:
    for step in (plan, deploy):
        with pytest.raises(kind, match=message) as caught:
            step(package, DeployRequest(target="cloud", image=options))
        assert caught.value.hint
    assert cloud.journal == []


@pytest.mark.parametrize("platforms", [("amd64", "arm64"), ("amd64",)])
def test_image_by_its_name_serves_where_it_is_for_the_target(
    cloud: CloudTarget, registry: RegistryServer, tmp_path: Path, package: Path, platforms: tuple[str, ...]
) -> None:
    ref = pushed(registry.host, tmp_path, package, platforms)

    deployed = deploy(str(ref), DeployRequest(target="cloud"))

    assert deployed.image is not None
    assert deployed.image.startswith(f"{registry.host}/team/iris@sha256:")


@pytest.mark.parametrize("platforms", [("arm64",), ("arm64", "s390x")])
def test_image_for_another_platform_is_refused_before_anything_is_deployed(
    cloud: CloudTarget, registry: RegistryServer, tmp_path: Path, package: Path, platforms: tuple[str, ...]
) -> None:
    ref = pushed(registry.host, tmp_path, package, platforms)

    with pytest.raises(ArchitectureMissing, match=r"is not for linux/amd64, which 'cloud' runs, only for: linux/arm64"):
        deploy(str(ref), DeployRequest(target="cloud"))

    assert (cloud.journal, cloud.live) == ([], {})


def test_options_of_a_build_are_refused_for_an_image_that_is_there(cloud: CloudTarget) -> None:
    with pytest.raises(UsageError, match="is an image already"):
        deploy("registry.test/iris:1", DeployRequest(target="cloud", image={"tag": "registry.test/x:1"}))


def test_package_of_a_deployment_is_read_from_its_image_where_it_is_not_kept_here(
    cloud: CloudTarget, registry: RegistryServer, tmp_path: Path, package: Path
) -> None:
    deploy(str(pushed(registry.host, tmp_path, package, ("amd64",))), DeployRequest(target="cloud"))
    place, deployment = Places((cloud,)).find("iris")
    gone = replace(deployment, image=f"{registry.host}/team/gone:1")

    found = package_of_deployment(deployment, place, SilentProgress())
    with pytest.raises(ImageMissing) as caught:
        package_of_deployment(gone, place, SilentProgress())
    with pytest.raises(UsageError, match="no known package to hold 'iris' to"):
        package_of_deployment(replace(deployment, image=None), place, SilentProgress())

    assert found.digest == deployment.digest
    assert "or add --package" in caught.value.hint


def pushed(host: str, folder: Path, package: Path, architectures: tuple[str, ...]) -> ImageRef:
    ref = ImageRef.parse(f"{host}/team/iris:1")
    layers = [model_layer(package)]
    layout = layout_of(folder / "layout", {Platform("linux", each): layers for each in architectures})
    with Registry(host, OwnRegistry(host)) as client:
        push_layout(layout, ref, client, SilentProgress())
    return ref


def tags(registry: RegistryServer, repository: str) -> list[str]:
    """Of images; a bill of materials has a tag of its image's digest where the registry cannot list it otherwise."""
    return [tag for tag in registry.tags(repository) if not tag.startswith("sha256-")]
