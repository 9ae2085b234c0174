"""A package with a circuit in images: its simulations go with it, and only where they can run."""

import shutil
from pathlib import Path

import pytest

from packager.core.errors import ArchitectureMissing
from packager.core.image import ImageRef, Platform
from packager.core.progress import SilentProgress
from packager.image.build import ImageRequest, native_platform
from packager.image.contents import package_of_image
from packager.image.generate import generate
from packager.image.outputs import push
from packager.image.package_only import package_only_layout
from packager.image.run import Destination, make_image
from packager.image.verify import verify_image
from runtime.contract.package import read_package
from tests.support.circuit_packages import replace_simulation
from tests.support.cloud import OwnRegistry
from tests.support.command import dray
from tests.support.registry_server import RegistryServer

OTHER = Platform("linux", "s390x")


@pytest.fixture
def rebuilt(small_package: Path, tmp_path: Path) -> Path:
    """The same content, simulated by a library with other bytes."""
    copy = Path(shutil.copytree(small_package, tmp_path / "rebuilt"))
    (library,) = (copy / "simulation").iterdir()
    replace_simulation(copy, library.read_bytes() + b"\0")
    return copy


def test_image_holds_the_simulation_and_gives_it_back(
    small_package: Path, rebuilt: Path, registry: RegistryServer, tmp_path: Path
) -> None:
    """Of two images of one content, each gives back its own."""
    owner = OwnRegistry(registry.host)
    for at, root in enumerate((small_package, rebuilt, small_package)):
        package, out = read_package(root), tmp_path / f"layout-{at}"
        ref = ImageRef.parse(f"{registry.host}/team/small:{at}")
        built = package_only_layout(package, ref, (native_platform(),), out, cache=tmp_path / "cache")
        assert verify_image(str(out), tmp_path / "bases", owner, SilentProgress()).package == package.digest
        push(built, out, owner, SilentProgress())
        found, _ = package_of_image(ref, SilentProgress(), credentials=owner)
        assert found.certificate == package.certificate
        assert set(found.files) == set(package.files)
        (library,) = (path for path in found.files if path.startswith("simulation/"))
        assert found.read_content(library) == (root / library).read_bytes()


def test_platform_without_a_simulation_is_refused_before_anything_is_fetched(
    small_package: Path, tmp_path: Path
) -> None:
    package = read_package(small_package)
    request = ImageRequest(
        ref=ImageRef(None, "small", "1"), base=str(tmp_path / "no-base"), platforms=(native_platform(), OTHER)
    )
    with pytest.raises(ArchitectureMissing, match=f"no simulation for {OTHER}; it has {native_platform()}") as caught:
        make_image(
            package,
            request,
            Destination(output=tmp_path / "out", kept=tmp_path),
            cache=tmp_path / "cache",
            progress=SilentProgress(),
        )
    assert "dray package MODEL --circuit" in caught.value.hint
    assert not (tmp_path / "out").exists()
    alone = ImageRequest(ref=request.ref, base=request.base, platforms=(OTHER,))
    with pytest.raises(ArchitectureMissing):
        generate(package, alone, tmp_path / "context", cache=tmp_path / "cache", progress=SilentProgress())


def test_command_ends_with_4_and_the_code(small_package: Path, tmp_path: Path) -> None:
    done = dray(
        "image", small_package, "--base", tmp_path / "none", "--platform", str(OTHER), "--builder", "oci", "-o", "json"
    )
    assert (done.status, done.document["error"]["code"]) == (4, "E-IMAGE-ARCH")
    assert done.document["error"]["detail"]["present"] == [str(native_platform())]


def test_changed_simulation_is_refused_wherever_the_package_is_read(rebuilt: Path) -> None:
    (library,) = (rebuilt / "simulation").iterdir()
    library.write_bytes(library.read_bytes() + b"\0")
    for command in (("inspect", rebuilt), ("serve", rebuilt), ("image", rebuilt)):
        done = dray(*command)
        assert done.status == 3, done
        assert "E-PACKAGE-DIGEST" in done.err
        assert f"changed: simulation/{library.name}" in done.err
