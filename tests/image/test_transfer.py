"""Images between layouts and registries: what travels, in which order, and what an interrupted push leaves."""

import json
import time
from pathlib import Path

import pytest

from packager.core.errors import ArchitectureMissing, ImageInvalid, ImageMissing, RegistryCut
from packager.core.image import INDEX, MANIFEST, Descriptor, ImageRef, Platform
from packager.core.progress import SilentProgress
from packager.image.blobs import as_json, digest_of
from packager.image.registry import Registry
from packager.image.registry_http import RegistrySettings
from packager.image.transfer import Layout, pull_layout, push_layout
from tests.support.faulty_registry import Fault, FaultyRegistry
from tests.support.registry_server import RegistryServer

PLATFORMS = (Platform(), Platform("linux", "arm64"))


def layout_of(path: Path, layers: dict[Platform, list[bytes]]) -> Path:
    """A multi-platform image of these layers."""
    layout, entries = Layout(path), []
    for platform, blobs in layers.items():
        config = as_json(platform.as_json())
        digests = [layout.put(blob) for blob in (config, *blobs)]
        parts = [
            Descriptor("application/x", d, len(b)).as_json() for d, b in zip(digests, (config, *blobs), strict=True)
        ]
        manifest = as_json({"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]})
        entries.append(Descriptor(MANIFEST, layout.put(manifest), len(manifest), platform=platform).as_json())
    index = as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    layout.name(Descriptor(INDEX, layout.put(index), len(index)), "latest")
    return path


def image(path: Path, model: bytes = b"model one") -> Path:
    return layout_of(path, {each: [b"base of " + str(each).encode(), b"w" * 100_000, model] for each in PLATFORMS})


def ref_of(host: str, tag: str = "1") -> ImageRef:
    return ImageRef.parse(f"{host}/team/churn:{tag}")


def test_image_comes_back_as_it_was(registry: RegistryServer, tmp_path: Path) -> None:
    source = image(tmp_path / "source")
    with Registry(registry.host) as client:
        pushed = push_layout(source, ref_of(registry.host), client, SilentProgress())
        pull_layout(ref_of(registry.host), tmp_path / "copy", client, SilentProgress())

    names = [{p.name for p in (root / "blobs" / "sha256").iterdir()} for root in (source, tmp_path / "copy")]
    assert names[0] == names[1]
    assert Layout(tmp_path / "copy").top().digest == pushed.ref.digest
    assert (pushed.sent_blobs, pushed.kept_blobs) == (6, 0)


def test_layout_tells_its_whole_name_beside_its_tag(tmp_path: Path) -> None:
    layout = Layout(image(tmp_path / "one"))

    layout.name(layout.top(), "1", ref=ImageRef.parse("churn:1").with_digest(layout.top().digest))

    [entry] = json.loads((layout.path / "index.json").read_bytes())["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/library/churn:1",
        "org.opencontainers.image.ref.name": "1",
    }


def test_new_model_sends_its_layer_and_manifests_alone(registry: RegistryServer, tmp_path: Path) -> None:
    with Registry(registry.host) as client:
        push_layout(image(tmp_path / "one"), ref_of(registry.host), client, SilentProgress())
    two = image(tmp_path / "two", b"another model")
    with Registry(registry.host) as client:
        pushed = push_layout(two, ref_of(registry.host, "2"), client, SilentProgress())

    new = {p.name for p in (two / "blobs" / "sha256").iterdir()} - {
        p.name for p in (tmp_path / "one" / "blobs" / "sha256").iterdir()
    }
    assert pushed.sent_blobs == 1
    assert pushed.sent_bytes == sum((two / "blobs" / "sha256" / name).stat().st_size for name in new)


def test_base_of_another_repository_does_not_travel(registry: RegistryServer, tmp_path: Path) -> None:
    base = layout_of(tmp_path / "base", {each: [b"base of " + str(each).encode()] for each in PLATFORMS})
    with Registry(registry.host) as client:
        push_layout(base, ImageRef.parse(f"{registry.host}/base:1"), client, SilentProgress())
    with Registry(registry.host) as client:
        source = image(tmp_path / "one")
        pushed = push_layout(source, ref_of(registry.host), client, SilentProgress(), mount_from="base")

    assert (pushed.sent_blobs, pushed.kept_blobs) == (2, 4)


def test_same_image_again_sends_nothing_and_is_quick(registry: RegistryServer, tmp_path: Path) -> None:
    source = image(tmp_path / "one")
    with Registry(registry.host) as client:
        push_layout(source, ref_of(registry.host), client, SilentProgress())
    with Registry(registry.host) as client:
        began = time.monotonic()
        pushed = push_layout(source, ref_of(registry.host), client, SilentProgress())

    assert (pushed.sent_bytes, pushed.sent_blobs) == (0, 0)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("when", ["PUT .*blobs/uploads", "PUT .*manifests/sha256", "PUT .*manifests/1"])
def test_push_that_is_cut_anywhere_leaves_the_tag_alone(faulty: FaultyRegistry, tmp_path: Path, when: str) -> None:
    client = Registry(faulty.host, settings=RegistrySettings(tries=2, pause=lambda seconds: None))
    faulty.faults = [Fault(when, cut=1)]
    source = image(tmp_path / "one")

    with client, pytest.raises(RegistryCut):
        push_layout(source, ref_of(faulty.host), client, SilentProgress())
    faulty.faults = []
    tags = [key for key in faulty.manifests if not key.startswith("team/churn:sha256:")]
    with Registry(faulty.host) as other:
        again = push_layout(source, ref_of(faulty.host), other, SilentProgress())

    assert tags == []
    assert faulty.manifests["team/churn:1"][1] == Layout(source).manifest(Layout(source).top()).content
    assert again.ref.tag == "1"


def test_one_platform_of_many_can_be_had_and_the_digest_holds(registry: RegistryServer, tmp_path: Path) -> None:
    with Registry(registry.host) as client:
        pushed = push_layout(image(tmp_path / "one"), ref_of(registry.host), client, SilentProgress())
        top = pull_layout(pushed.ref, tmp_path / "copy", client, SilentProgress(), platforms=[PLATFORMS[1]])

    assert top.digest == pushed.ref.digest
    assert not Layout(tmp_path / "copy").blob_path(digest_of(b"base of linux/amd64")).exists()


def test_platform_that_there_is_not_is_refused_with_those_that_there_are(
    registry: RegistryServer, tmp_path: Path
) -> None:
    with Registry(registry.host) as client:
        push_layout(image(tmp_path / "one"), ref_of(registry.host), client, SilentProgress())
        with pytest.raises(ArchitectureMissing) as caught:
            pull_layout(
                ref_of(registry.host), tmp_path / "c", client, SilentProgress(), platforms=[Platform("linux", "s390x")]
            )

    assert caught.value.code == "E-IMAGE-ARCH"
    assert "linux/s390x, only: linux/amd64, linux/arm64" in caught.value.message


def test_what_is_no_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageInvalid, match="is no OCI layout"):
        Layout(tmp_path).top()


def test_damaged_manifest_is_refused(tmp_path: Path) -> None:
    layout = Layout(image(tmp_path / "one"))
    layout.blob_path(layout.top().digest).write_bytes(b"{}")

    with pytest.raises(ImageInvalid, match="has other bytes"):
        layout.manifest(layout.top())


def test_name_that_the_layout_does_not_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageMissing, match="holds no image 'other'"):
        Layout(image(tmp_path / "one")).top("other")
