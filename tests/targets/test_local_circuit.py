"""A package with a circuit served by a process of this machine."""

import shutil
from pathlib import Path

import pytest

from packager.core.artifact import Release
from runtime.contract.package import read_package
from targets.local import LocalSettings, LocalTarget
from targets.local.record import DeploymentFolder
from tests.contract_suites.target_suite import NAME, put
from tests.support.circuit_packages import rename_platform, replace_simulation


@pytest.fixture
def target(state: Path) -> LocalTarget:
    return LocalTarget()


def test_smoke_test_says_what_computes(target: LocalTarget, small_package: Path) -> None:
    done = put(target, LocalSettings(), read_package(small_package))
    assert done.smoke.passed
    (provider,) = [check.detail for check in done.smoke.checks if check.name == "provider"]
    assert provider == "rtl-simulation; the circuit's Verilog, simulated by Verilator on the CPU; no FPGA"
    assert [check.max_abs_error for check in done.smoke.checks if check.name.startswith("test_data")] == [0, 0]


def test_copy_of_the_same_content_takes_certificate_and_simulation_together(
    state: Path, small_package: Path, tmp_path: Path
) -> None:
    assert state
    rebuilt = Path(shutil.copytree(small_package, tmp_path / "rebuilt"))
    (library,) = (rebuilt / "simulation").iterdir()
    replace_simulation(rebuilt, library.read_bytes() + b"\0")
    folder = DeploymentFolder.of(NAME)
    for root in (small_package, rebuilt, small_package):
        package = read_package(root)
        copy = folder.keep(package)
        assert read_package(copy).certificate == package.certificate
        assert (copy / "simulation" / library.name).read_bytes() == (root / "simulation" / library.name).read_bytes()


def test_package_that_cannot_be_simulated_here_is_refused_by_the_plan(
    target: LocalTarget, small_package: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(small_package, tmp_path / "other"))
    rename_platform(other, "linux/s390x")
    made = target.plan(NAME, Release(read_package(other)), LocalSettings())
    (found,) = made.findings
    assert (found.code, found.blocking) == ("E-CIRCUIT-PLATFORM", True)
    assert "it has linux/s390x" in found.message
