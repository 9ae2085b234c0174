"""Images with a package and nothing to run it, for rehearsals where the installed runtime serves it as a process."""

import time
from pathlib import Path
from typing import Any

from packager.core.artifact import ModelPackage
from packager.core.image import MANIFEST, BuiltImage, Descriptor, ImageRef, Layer, Platform
from packager.core.rehearsal import PACKAGE_ONLY_LABEL
from packager.image.blobs import CONFIG, as_json
from packager.image.build import PORT, index_of, link, native_platform, package_labels, source_date_epoch
from packager.image.layers import LayerStore
from packager.image.transfer import Layout


def package_only_layout(
    package: ModelPackage, ref: ImageRef, platforms: tuple[Platform, ...], out: Path, *, cache: Path
) -> BuiltImage:
    """Write an OCI layout whose only layer is the model's into an empty folder; the same bytes for the same package.

    Raises:
        NotWritable, DiskFull: Nothing usable is left.
    """
    store, layout = LayerStore(cache / "layers", source_date_epoch()), Layout(out)
    platforms = platforms or (native_platform(),)
    layer = store.model(package)
    link(store.path(layer), layout.blob_path(layer.descriptor.digest))
    manifests = [_write(layout, package, layer, each, store.epoch) for each in platforms]
    top = manifests[0] if len(manifests) == 1 else index_of(layout, package, manifests)
    layout.name(top, ref.tag or "latest", ref=ref)
    layers = dict.fromkeys(platforms, (layer,))
    return BuiltImage(ref.with_digest(top.digest), top.digest, platforms, layer.descriptor.size, layers, str(out))


def _write(layout: Layout, package: ModelPackage, layer: Layer, platform: Platform, epoch: int) -> Descriptor:
    labels = {**package_labels(package), PACKAGE_ONLY_LABEL: "true"}
    config = as_json(_config(platform, layer, labels, epoch))
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor(CONFIG, layout.put(config), len(config)).as_json(),
        "layers": [layer.descriptor.as_json()],
        "annotations": labels,
    }
    content = as_json(document)
    return Descriptor(MANIFEST, layout.put(content), len(content), platform=platform)


def _config(platform: Platform, layer: Layer, labels: dict[str, str], epoch: int) -> dict[str, Any]:
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    return {
        **platform.as_json(),
        "created": created,
        "config": {"ExposedPorts": {f"{PORT}/tcp": {}}, "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created": created, "created_by": f"dray: {layer.name}"}],
    }
