"""How many processors this process may use."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
_MEMBERSHIP: Final = Path("/proc/self/cgroup")


def cpu_limit(*, root: Path = _CGROUP_ROOT, membership: Path = _MEMBERSHIP) -> int:
    """Whole processors under the container's quota and the CPU affinity, at least 1.

    Args:
        root: Where the control groups are mounted; absent outside Linux.
        membership: The kernel's list of the process' control groups.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Rounded down: a thread more than the quota feeds makes all of them wait when the quota is spent.
    return max(1, min([affinity, *(int(quota) for quota in _quotas(root, membership))]))


def _quotas(root: Path, membership: Path) -> Iterator[float]:
    """Processors that each control group around this process allows. Source: Linux, cgroup-v2 and CFS bandwidth."""
    for line in _read(membership).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            for folder in _upwards(root, path):
                quota, _, period = _read(folder / "cpu.max").partition(" ")
                yield from _ratio(quota, period)
        elif "cpu" in controllers.split(","):
            for folder in _upwards(root / "cpu", path):
                yield from _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _upwards(root: Path, path: str) -> Iterator[Path]:
    relative = PurePosixPath(path.lstrip("/"))
    yield from (root / part for part in (relative, *relative.parents))


def _ratio(quota: str, period: str) -> Iterator[float]:
    if quota.strip().isdigit() and period.strip().isdigit() and int(period) > 0:
        yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
