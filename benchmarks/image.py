"""How large images are: dray's own layers, and what peers would install into the same base: ``make bench-image``.

A peer's image is its own dependency set and what serves the same ONNX model with it, resolved for the same Python and
platform, unpacked without pruning (as their own tools leave it) and packed as a layer. Bases and models are the same
for all, and left out.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packager.core.image import Platform
from packager.image.archive import files_below, write_layer
from packager.image.layers import LayerStore
from packager.image.wheels import Wanted

# What `bentoml containerize`, `mlflow models build-docker` and `mlserver build` install for an ONNX model.
PEERS = {
    "BentoML": ("bentoml==1.4.40", "onnxruntime==1.32.0"),
    "MLflow": ("mlflow==3.17.2", "onnx==1.23.2", "onnxruntime==1.32.0"),
    "MLServer": ("mlserver==1.7.1", "onnxruntime==1.32.0"),
}
PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}


@dataclass(frozen=True)
class Size:
    """Of a layer, in bytes."""

    name: str
    packed: int
    unpacked: int


def main() -> None:
    """Print the table."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="dray-sizes-") as folder:
        sizes = [_dray(Path(folder), options), *(_peer(Path(folder), name, options) for name in PEERS)]
    smallest = min(size.packed for size in sizes[1:] if size.packed)
    print(f"what a server adds to a base, {options.architecture}, Python {options.python}")
    for size in sizes:
        if not size.packed:
            print(f"  {size.name:10} not measured: its wheels cannot be had for this platform")
            continue
        part = f"{size.packed / smallest:5.2f} of the smallest peer" if size is sizes[0] else ""
        print(f"  {size.name:10} {size.packed / 1e6:7.1f} MB packed {size.unpacked / 1e6:7.1f} MB on disk  {part}")


def _dray(folder: Path, options: argparse.Namespace) -> Size:
    python = tuple(map(int, options.python.split(".")))
    store = LayerStore(folder / "dray")
    wanted = Wanted(Platform("linux", options.architecture), (python[0], python[1]), compiled=options.compiled)
    layers = (store.wheels(wanted), store.runtime(wanted.python, compiled=options.compiled))
    packed, unpacked = sum(each.descriptor.size for each in layers), sum(each.unpacked_bytes or 0 for each in layers)
    return Size("dray", packed, unpacked)


def _peer(folder: Path, name: str, options: argparse.Namespace) -> Size:
    target = folder / name
    argv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--target", str(target)]
    argv += ["--python-platform", PLATFORMS[options.architecture], "--python-version", options.python]
    argv += ["--only-binary", ":all:", "--link-mode", "copy", *PEERS[name]]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return Size(name, 0, 0)
    layer = write_layer("peer", files_below(target, "opt/peer"), folder / "blobs")
    shutil.rmtree(target)
    return Size(name, layer.descriptor.size, layer.unpacked_bytes or 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", choices=sorted(PLATFORMS), default="amd64")
    parser.add_argument("--python", default="3.11")
    parser.add_argument("--no-compile", dest="compiled", action="store_false")
    return parser.parse_args()


if __name__ == "__main__":
    main()
