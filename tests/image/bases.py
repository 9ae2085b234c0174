"""Base images in miniature: layouts with a Python by name, and archives of them."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from packager.core.image import INDEX, MANIFEST, Descriptor, Layer, Platform
from packager.image.archive import write_layer
from packager.image.blobs import CONFIG, as_json
from packager.image.transfer import Layout

PYTHON = {"usr/bin/python3.11": b"#!"}


def layout_of(
    folder: Path, layers: Sequence[Mapping[str, bytes]] = (PYTHON,), platforms: Sequence[str] = ("linux/amd64",)
) -> Path:
    """A base of these layers for these platforms; executable by being in a ``bin``."""
    layout, entries = Layout(folder), []
    for name in platforms:
        packed = [_executables(folder, content) for content in layers]
        platform = Platform.parse(name)
        config = as_json(
            {
                **platform.as_json(),
                "config": {"Env": ["PATH=/usr/bin", "LANG=C.UTF-8"]},
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in packed]},
            }
        )
        document = as_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": Descriptor(CONFIG, layout.put(config), len(config)).as_json(),
                "layers": [layer.descriptor.as_json() for layer in packed],
            }
        )
        entries.append(Descriptor(MANIFEST, layout.put(document), len(document), platform=platform))
    index = as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [each.as_json() for each in entries]})
    layout.name(Descriptor(INDEX, layout.put(index), len(index)), "base")
    return folder


def docker_archive(layout: Path, out: Path) -> Path:
    """The base as an older ``docker save`` writes it: one platform, plain layers by name."""
    source = Layout(layout)
    [entry] = source.manifest(source.top()).document["manifests"]
    manifest = json.loads(source.blob_path(entry["digest"]).read_bytes())
    config = source.blob_path(manifest["config"]["digest"]).read_bytes()
    files = {"abc.json": config}
    for number, layer in enumerate(manifest["layers"]):
        files[f"{number}/layer.tar"] = gzip.decompress(source.blob_path(layer["digest"]).read_bytes())
    names = sorted(name for name in files if name.endswith(".tar"))
    saved = [{"Config": "abc.json", "RepoTags": ["base:1"], "Layers": names}]
    files["manifest.json"] = json.dumps(saved).encode()
    with tarfile.open(out, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out


def _executables(folder: Path, content: Mapping[str, bytes]) -> Layer:
    made = {}
    for number, (name, data) in enumerate(content.items()):
        path = folder.with_name(f"{folder.name}-files") / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)
        made[name] = path
    return write_layer("base", made, folder / "blobs" / "sha256")
