"""Measurements that were not made."""

from benchmarks.serving.contenders import Turn
from benchmarks.serving.wrk import Load


def turn(rate: float, *, p99_ms: float = 5.0, cpu_us: float = 50.0, status: int = 0) -> Turn:
    load = Load(int(rate * 2), 2.0, 1.0, p99_ms, {"status": status} if status else {})
    return Turn(load, cpu_us, 60.0)
