"""A package with a circuit in a slot: it is of use with a simulation for this machine only."""

import shutil
import threading
from pathlib import Path

import pytest

from runtime.contract.errors import PackageDamaged
from runtime.contract.package import read_package
from runtime.edge.fetching import Patience
from runtime.edge.slots import Slots
from runtime.edge.staging import Staged, stage
from runtime.edge.wanted import read_wanted
from runtime.engine.platforms import simulation_here
from tests.support.circuit_packages import rename_platform


def staged(source: Path, slots: Slots) -> Staged:
    wanted = read_wanted({"path": str(source), "digest": read_package(source).digest})
    return stage(wanted, slots, (), threading.Event(), Patience())


def test_same_content_with_a_simulation_for_this_machine_is_fetched_again(small_package: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(small_package, tmp_path / "other"))
    rename_platform(other, "linux/s390x")
    slots = Slots(tmp_path / "kept", 0)
    assert simulation_here(staged(other, slots).package) is None
    found = staged(small_package, slots)
    assert found.came_bytes > 0
    assert simulation_here(found.package) is not None
    assert staged(small_package, slots).came_bytes == 0


def test_changed_simulation_is_not_kept(small_package: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(small_package, tmp_path / "own"))
    wanted = read_wanted({"path": str(own), "digest": read_package(own).digest})
    (library,) = (own / "simulation").iterdir()
    library.write_bytes(library.read_bytes() + b"\0")
    slots = Slots(tmp_path / "kept", 0)
    with pytest.raises(PackageDamaged, match="changed: simulation/"):
        stage(wanted, slots, (), threading.Event(), Patience())
    assert not any(slots.path(name).exists() for name in ("a", "b"))
