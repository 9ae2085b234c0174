from pathlib import Path

import pytest
from packaging.tags import sys_tags

from packager.core.environment import EnvironmentSpec
from packager.environments import cpu_builds, installers
from packager.environments.cpu_builds import link_folders, local_build
from packager.environments.installers import UvInstaller

TAG = next(sys_tags())


def wheel(folder: Path, version: str, tag: str = str(TAG), name: str = "torch") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    path.touch()
    return path


def test_the_newest_cpu_build_that_fits_is_pinned(tmp_path: Path) -> None:
    for version in ("2.9.0+cpu", "2.13.0+cpu", "2.14.0+cu130", "3.0.0+cpu"):
        wheel(tmp_path, version)

    assert local_build("torch>=2.9,<3", [tmp_path]) == (tmp_path, "torch==2.13.0+cpu")


@pytest.mark.parametrize("tag", ["cp27-cp27m-win32", "no-tag"])
def test_a_wheel_for_another_python_or_a_badly_named_one_is_none(tag: str, tmp_path: Path) -> None:
    wheel(tmp_path, "2.13.0+cpu", tag)

    assert local_build("torch>=2.9", [tmp_path]) is None


def test_folders_come_from_the_variable_and_from_pips_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (tmp_path / "pip.conf").write_text(f"[global]\nfind-links =\n    {two}\n    http://elsewhere.test/wheels\n")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{one} {tmp_path / 'absent'}")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))

    assert link_folders()[:2] == (one, two)


def test_a_damaged_file_of_pips_is_left_to_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text("[global\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))

    assert isinstance(link_folders(), tuple)


@pytest.mark.parametrize(
    ("local", "expected"), [(True, "--find-links"), (False, "--torch-backend cpu")], ids=["from a folder", "by uv"]
)
def test_uv_is_told_where_builds_without_gpu_libraries_are(
    local: bool, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_builds, "_pip_files", lambda: iter(()))
    monkeypatch.setattr(installers, "index_has_gpu_builds", lambda: True)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    if local:
        wheel(tmp_path, "2.13.0+cpu")
    spec = EnvironmentSpec("torch", "it is needed", "install it", ("torch>=2.9", "numpy"), cpu_builds=("torch",))

    command = UvInstaller(["uv"], "uv 1").command(spec, Path("/somewhere"), "3.11")

    assert expected in command
    assert ("torch==2.13.0+cpu" in command) is local


def test_nothing_is_said_where_no_such_build_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installers, "index_has_gpu_builds", lambda: True)
    spec = EnvironmentSpec("sklearn", "it is needed", "install it", ("scikit-learn",))

    assert "--torch-backend" not in UvInstaller(["uv"], "uv 1").command(spec, Path("/somewhere"), "3.11")
