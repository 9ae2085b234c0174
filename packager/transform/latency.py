"""How long one run takes: medians of interleaved rounds, in processor time.

A busy machine was seen to stop the same model of every round, whose median by the clock became ten times too long; one
thread that waits for nothing takes as long by the clock as on its processor.
"""

import platform
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

Feeds = Mapping[str, NDArray[Any]]
_BUDGET_S = 3.0
_LEAST_ROUNDS, _MOST_ROUNDS = 5, 200


@dataclass(frozen=True, slots=True)
class Timings:
    """Medians in milliseconds, by model and batch size; ``how`` they were taken."""

    medians_ms: Mapping[str, Mapping[str, float]]
    how: str


def measure(models: Mapping[str, Path], calls: Mapping[str, Feeds]) -> Timings:
    """Time every model on every call.

    Args:
        models: By name; all of the same signature.
        calls: Inputs of one run, by batch size.
    """
    sessions = {name: _session(path) for name, path in models.items()}
    medians: dict[str, dict[str, float]] = {name: {} for name in models}
    fewest = _MOST_ROUNDS
    for size, feeds in calls.items():
        seconds, rounds = _interleaved(sessions, dict(feeds), _BUDGET_S / len(calls))
        fewest = min(fewest, rounds)
        for name, values in seconds.items():
            medians[name][size] = round(statistics.median(values) * 1000, 6)
    how = f"ONNX Runtime {ort.__version__}, 1 thread, {_processor()}; medians of at least {fewest} interleaved rounds"
    return Timings(medians, how)


def ratio(timings: Mapping[str, float], original: Mapping[str, float]) -> float:
    """Geometric mean over the batch sizes of what a run takes, as a multiple of the original's."""
    return statistics.geometric_mean(timings[size] / original[size] for size in original)


def _interleaved(
    sessions: Mapping[str, ort.InferenceSession], feeds: dict[str, Any], budget_s: float
) -> tuple[dict[str, list[float]], int]:
    began = time.perf_counter()  # the budget is what a person waits
    for session in (*sessions.values(), *sessions.values()):
        session.run(None, feeds)
    first = (time.perf_counter() - began) / 2
    rounds = max(_LEAST_ROUNDS, min(_MOST_ROUNDS, int(budget_s / max(first, 1e-6))))
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            seconds[name].append(_timed(session, feeds))
    return seconds, rounds


def _timed(session: ort.InferenceSession, feeds: dict[str, Any]) -> float:
    began = time.thread_time()
    session.run(None, feeds)
    return time.thread_time() - began


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _processor() -> str:
    """The processor's name: whether integers are fast depends on its instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
