from pathlib import Path

import pytest

from runtime.engine.cpus import cpu_limit


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)), raising=False)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("quota", "limit"), [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1)]
)
def test_quota_of_version_2_is_followed(tmp_path: Path, quota: str, limit: int) -> None:
    write(tmp_path / "membership", "0::/\n")
    write(tmp_path / "cpu.max", quota + "\n")
    assert cpu_limit(root=tmp_path, membership=tmp_path / "membership") == limit


def test_tightest_group_on_the_way_up_counts(tmp_path: Path) -> None:
    write(tmp_path / "membership", "0::/pod/container\n")
    write(tmp_path / "pod/cpu.max", "300000 100000\n")
    write(tmp_path / "pod/container/cpu.max", "max 100000\n")
    assert cpu_limit(root=tmp_path, membership=tmp_path / "membership") == 3


def test_quota_of_version_1_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "membership", "4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n")
    write(tmp_path / "cpu/cpu.cfs_quota_us", "400000\n")
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
    assert cpu_limit(root=tmp_path, membership=tmp_path / "membership") == 4


def test_no_quota_of_version_1_is_minus_one(tmp_path: Path) -> None:
    write(tmp_path / "membership", "4:cpu,cpuacct:/\n")
    write(tmp_path / "cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
    assert cpu_limit(root=tmp_path, membership=tmp_path / "membership") == 8


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert cpu_limit(root=tmp_path, membership=tmp_path / "absent") == 8
