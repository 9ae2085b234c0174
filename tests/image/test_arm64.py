"""The runtime for arm64, put together on this machine and run under emulation."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from packager.core.http_client import HttpInferenceClient
from packager.core.image import Descriptor, Platform
from packager.image.blobs import INDEX, MANIFEST, as_json, descriptor_of
from packager.image.transfer import Layout
from packager.smoke import run_smoke
from tests.support.base_image import ROOT
from tests.support.emulation import MACHINES, machines_of, require_emulator, running_emulated, unpack_image
from tests.support.engine_images import layer_of
from tests.support.index import UV, require_index
from tests.support.packages import make_package

ARM64 = Platform("linux", "arm64")


def wheels_for(architecture: str, out: Path) -> Path:
    """What the runtime needs, for another processor, at the versions of this environment."""
    require_index()
    needed = [Requirement(text) for text in metadata.requires("dray") or ()]
    names = [r.name for r in needed if r.marker and r.marker.evaluate({"extra": "runtime"})] + ["pydantic"]
    pins = [f"{name}=={metadata.version(name)}" for name in dict.fromkeys(names)]
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    subprocess.run(
        [str(UV), "pip", "install", "--quiet", "--target", str(out), "--python-platform", architecture,
         "--python-version", version, "--only-binary", ":all:", "--constraint", str(ROOT / "constraints.txt"), *pins],
        check=True, timeout=240,
    )  # fmt: skip
    return out


def image_for_arm64(base: Path, wheels: Path, package: Path, out: Path) -> Path:
    """A layout of one platform: base, wheels, runtime, model."""
    source, layout = Layout(base), Layout(out)
    entries = [descriptor_of(e) for e in source.manifest(source.top()).document["manifests"]]
    [entry] = [each for each in entries if each.platform == ARM64]
    manifest = source.manifest(entry).document
    layers = [source.blob_path(each["digest"]).read_bytes() for each in manifest["layers"]]
    layers += [layer_of({"opt/dray": wheels}), layer_of({"opt/dray/runtime": ROOT / "runtime", "model": package})]
    config = json.loads(source.blob_path(manifest["config"]["digest"]).read_bytes())
    config["config"] |= {
        "Env": ["PATH=/usr/bin", "PYTHONPATH=/opt/dray"],
        "Entrypoint": ["/usr/bin/python3", "-P", "-m", "runtime"],
    }
    blobs = [as_json(config), *layers]
    parts = [Descriptor("application/x", layout.put(blob), len(blob)).as_json() for blob in blobs]
    made = as_json({"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]})
    listed = Descriptor(MANIFEST, layout.put(made), len(made), platform=ARM64).as_json()
    index = as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]})
    layout.name(Descriptor(INDEX, layout.put(index), len(index)), "latest")
    return out


@pytest.mark.slow
def test_image_for_arm64_answers_as_the_source_under_emulation(base_layout: Path, tmp_path: Path) -> None:
    require_emulator("arm64")
    package = make_package(tmp_path / "package")
    wheels = wheels_for("aarch64-manylinux_2_28", tmp_path / "wheels")
    layout = image_for_arm64(base_layout, wheels, package.root, tmp_path / "layout")

    config = unpack_image(layout, ARM64, tmp_path / "root")

    assert machines_of(tmp_path / "root").keys() == {MACHINES["arm64"]}
    emulated = running_emulated(tmp_path / "root", config, "arm64", tmp_path / "log")
    with emulated as server, HttpInferenceClient(server.url) as client:
        assert run_smoke(client, package, timeout_s=60).passed


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_base_holds_one_processors_programs_and_what_a_python_needs(
    base_layout: Path, tmp_path: Path, architecture: str
) -> None:
    config = unpack_image(base_layout, Platform("linux", architecture), tmp_path)

    assert machines_of(tmp_path).keys() == {MACHINES[architecture]}
    assert (config["architecture"], config["config"]["User"]) == (architecture, "65532")
    assert (tmp_path / "lib").readlink() == Path("usr/lib")
    assert (tmp_path / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert "nonroot:x:65532:65532:" in (tmp_path / "etc/passwd").read_text()
    assert list((tmp_path / "usr/lib").glob("python3.*/__pycache__/json*.pyc")) == []
    assert list((tmp_path / "usr/lib").glob("python3.*/json/__pycache__/*.pyc"))
    assert (tmp_path / "etc/ssl/certs/ca-certificates.crt").read_bytes().count(b"BEGIN CERTIFICATE") > 100
