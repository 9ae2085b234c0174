"""The registry of a stand-in, in a thread of the tests, and images that are pushed to it."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from packager.core.credentials import Credential, CredentialSource
from packager.core.image import INDEX, MANIFEST, Descriptor, ImageRef, Platform
from packager.core.progress import SilentProgress
from packager.core.rehearsal import PACKAGE_ONLY_LABEL
from packager.image.archive import files_below, write_layer
from packager.image.blobs import CONFIG, LAYER, as_json, digest_of
from packager.image.registry import Registry
from packager.image.transfer import Layout, push_layout
from targets.rehearsal.blobs import BlobStore
from targets.rehearsal.registry import registry_app
from tests.support.engine_images import digest, layer_of
from tests.support.servers import free_port

USER, TOKEN = "dray", "t0ken-of-a-stage"


@dataclass(frozen=True, slots=True)
class Shown(CredentialSource):
    """What one registry is shown."""

    password: str = TOKEN
    username: str = USER

    def credential(self, registry: str) -> Credential | None:
        return Credential(self.username, self.password, source="a test")


@dataclass(frozen=True, slots=True)
class StageRegistry:
    host: str
    store: BlobStore

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def client(self, password: str = TOKEN) -> Registry:
        return Registry(self.host, Shown(password))


@contextmanager
def running_stage_registry(folder: Path) -> Iterator[StageRegistry]:
    store, port = BlobStore(folder), free_port()
    server = uvicorn.Server(uvicorn.Config(registry_app(store, TOKEN), port=port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield StageRegistry(f"127.0.0.1:{port}", store)
    finally:
        server.should_exit = True
        thread.join(10)


def package_image(
    folder: Path, package: Path, *, labels: Mapping[str, str] | None = None, platforms: tuple[Platform, ...] = ()
) -> Path:
    """A layout of an image that holds a package and nothing to run it; of an index where there are platforms."""
    layout = Layout(folder)
    layer = write_layer("model", files_below(package, "model"), folder / "blobs" / "sha256")
    shown = {PACKAGE_ONLY_LABEL: "true"} if labels is None else labels
    made = []
    for platform in platforms or (Platform(),):
        config = {"config": {"Labels": dict(shown)}, "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}}
        made.append(put_manifest(layout, {**platform.as_json(), **config}, [layer.descriptor], platform))
    if platforms:
        index = as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [each.as_json() for each in made]})
        layout.name(Descriptor(INDEX, layout.put(index), len(index)), "latest")
    else:
        layout.name(made[0], "latest")
    return folder


def runnable(
    folder: Path, package: Path, layers: tuple[bytes, ...], platform: Platform, *, index: bool = False
) -> Path:
    """A layout of an image with the runtime and a package."""
    layout, contents = Layout(folder), [*layers, layer_of({"model": package})]
    config = {
        **platform.as_json(),
        "config": {
            "User": "65532:65532",
            "Env": ["PATH=/usr/bin", "PYTHONPATH=/opt/dray", "PYTHONDONTWRITEBYTECODE=1"],
            "Entrypoint": ["/usr/bin/python3", "-P", "-m", "runtime"],
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(content) for content in contents]},
    }
    made = put_manifest(layout, config, [plain_layer(layout, content) for content in contents], platform)
    if index:
        content = as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [made.as_json()]})
        made = Descriptor(INDEX, layout.put(content), len(content))
    layout.name(made, "latest")
    return folder


def put_manifest(layout: Layout, config: Mapping[str, Any], layers: list[Descriptor], platform: Platform) -> Descriptor:
    content = as_json(config)
    described = Descriptor(CONFIG, layout.put(content), len(content))
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described.as_json(),
        "layers": [layer.as_json() for layer in layers],
    }
    manifest = as_json(document)
    return Descriptor(MANIFEST, layout.put(manifest), len(manifest), platform=platform)


def plain_layer(layout: Layout, content: bytes) -> Descriptor:
    """An uncompressed layer."""
    layout.put(content)
    return Descriptor(LAYER, digest_of(content), len(content))


def pushed(layout: Path, host: str, credentials: CredentialSource, repository: str = "team/iris") -> str:
    """The image's name by digest, after a push."""
    ref = ImageRef.parse(f"{host}/{repository}:1")
    with Registry(host, credentials) as registry:
        done = push_layout(layout, ref, registry, SilentProgress())
    return str(ImageRef(ref.registry, ref.repository, None, done.ref.digest))
