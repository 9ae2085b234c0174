"""A model as an image of the real builder on the real base, in a real engine and through a real registry."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from packager import build_image
from packager.core.image import Platform
from packager.documents import ImageDocument
from packager.image.build import native_platform
from packager.images import verify
from packager.pipeline import DeployRequest, ship
from tests.support.image_layers import keep_layers
from tests.support.index import require_index
from tests.support.nets import digits, digits_model
from tests.support.packages import make_package
from tests.support.registry_server import running_registry

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("index")]
NATIVE = str(native_platform())


@pytest.fixture
def index() -> None:
    require_index()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keep_layers(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Layers of one test serve the next."""
    monkeypatch.setenv("DRAY_HOME", str(home))
    return home


@pytest.fixture
def digits_file(tmp_path: Path) -> Path:
    return digits_model(tmp_path)


def test_a_model_is_shipped_to_an_engine_and_answers(
    digits_file: Path, base_layout: Path, engine: Any, tmp_path: Path
) -> None:
    samples = tmp_path / "samples.npy"
    np.save(samples, digits()[0][:20])
    request = DeployRequest(
        target="docker", name="digits-e2e", image={"base": str(base_layout)}, confirm=lambda _: True
    )
    shipped = ship(digits_file, deployment=request, name="digits", samples=samples, out=tmp_path / "package")
    [container] = engine.containers.list(filters={"label": "dray.name=digits-e2e"})
    try:
        assert shipped.smoke.passed
        assert shipped.endpoint is not None
        row = {"inputs": [{"name": "X", "shape": [1, 64], "datatype": "FP32", "data": digits()[0][0].tolist()}]}
        answer = httpx.post(f"{shipped.endpoint}/v2/models/digits/infer", json=row, timeout=20).raise_for_status()
        assert answer.json()["outputs"][0]["data"] == [int(digits()[1][0])]

        host = container.attrs["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        built = build_image(shipped.package or "", base=base_layout, builder="oci")
        loaded = engine.images.get(container.attrs["Image"]).attrs["RootFS"]["Layers"]
        assert [layer.diff_id for layer in built.layers[NATIVE]] == loaded
        assert healthy(container)
    finally:
        container.remove(force=True)


def healthy(container: Any, *, within_s: float = 40) -> bool:
    """What the engine finds by the image's own health check, which has no curl to ask with."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        container.reload()
        if container.attrs["State"]["Health"]["Status"] == "healthy":
            return True
        time.sleep(0.5)
    return False


@pytest.fixture
def pushed(base_layout: Path, tmp_path: Path) -> Iterator[tuple[str, ImageDocument]]:
    package = make_package(tmp_path / "one", version="1").root
    with running_registry(tmp_path / "registry") as registry:
        tag = f"{registry.host}/team/iris:1"
        yield registry.host, build_image(package, base=base_layout, tag=tag, push=True)


def test_a_new_model_sends_its_layer_and_manifests(
    pushed: tuple[str, ImageDocument], base_layout: Path, tmp_path: Path
) -> None:
    host, first = pushed
    package = make_package(tmp_path / "two", version="2").root
    second = build_image(package, base=base_layout, tag=f"{host}/team/iris:2", push=True)

    model = second.layers[NATIVE][-1]
    assert (first.sent_bytes or 0) > first.size_bytes
    assert second.sent_bytes is not None
    assert model.size_bytes < second.sent_bytes < model.size_bytes + 60_000
    assert verify(f"{host}/team/iris:2").package_digest == second.package_digest
    tags = httpx.get(f"http://{host}/v2/team/iris/tags/list").json()["tags"]
    assert {tag for tag in tags if not tag.startswith("sha256-")} == {"1", "2"}


def test_the_bill_of_materials_is_attached(pushed: tuple[str, ImageDocument]) -> None:
    host, document = pushed
    found = httpx.get(f"http://{host}/v2/team/iris/tags/list").json()["tags"]
    referrers = f"sha256-{document.digest.removeprefix('sha256:')}"
    assert set(found) <= {"1", referrers}
    answer = httpx.get(f"http://{host}/v2/team/iris/referrers/{document.digest}")
    listed = (
        answer.json()
        if answer.status_code == 200
        else httpx.get(
            f"http://{host}/v2/team/iris/manifests/{referrers}",
            headers={"accept": "application/vnd.oci.image.index.v1+json"},
        ).json()
    )
    assert [entry["artifactType"] for entry in listed["manifests"]] == ["application/vnd.cyclonedx+json"]


def test_both_platforms_come_from_one_machine(base_layout: Path, tmp_path: Path) -> None:
    package = make_package(tmp_path / "one").root
    out = tmp_path / "layout"
    document = build_image(package, base=base_layout, platforms=("linux/amd64", "linux/arm64"), output=out)
    index = json.loads((out / "index.json").read_bytes())
    top = json.loads((out / "blobs" / "sha256" / index["manifests"][0]["digest"][7:]).read_bytes())
    assert [Platform.of_json(entry["platform"]) for entry in top["manifests"]] == [
        Platform.parse("linux/amd64"), Platform.parse("linux/arm64"),
    ]  # fmt: skip
    assert document.digest == index["manifests"][0]["digest"]
