"""Short runs of the benchmarks: ratios and plumbing, no absolute time, since the machine may be busy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.servers import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["threads", "inline"])
def test_four_times_the_load_costs_little_and_is_refused_clearly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import overload

    cell = next(each for each in overload.CELLS if each.name == name)
    measured = overload.measure(cell, seconds=5, peak_s=2)

    assert measured.failed == measured.without_retry_after == 0
    assert measured.kept_per_core > 0.5  # 0.9 and more on a quiet machine, but for many clients of a cheap model
    assert measured.rss_most - measured.rss_before < 96
    assert measured.recovered_ms < 5000
    if name.startswith("threads"):
        assert measured.refused > measured.goodput
        assert measured.refused_p99_ms < measured.good_p99_ms


def test_the_soak_tells_answers_memory_and_files() -> None:
    command = [sys.executable, "benchmarks/soak.py", "--seconds", "12", "--rate", "50"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert finished.returncode == 0, finished.stderr
    requests, memory, slope, _, files = finished.stdout.splitlines()
    for status in ("200:", "400:", "404:"):
        assert status in requests
    assert not any(f"{status}:" in requests for status in range(500, 600))
    assert memory.startswith("memory: ")
    assert "standard error" in slope
    before, after = (int(word) for word in files.split() if word.isdigit())
    assert after <= before


def test_the_slope_of_memory_that_grows_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from soak import Soaked

    noise = np.random.default_rng(0).normal(size=600) / 10
    soaked = Soaked(memory=[(float(at), 100 + 36 * at / 3600 + noise[at]) for at in range(600)])
    slope, error = soaked.slope(after_s=100)

    assert abs(slope - 36) < 3 * error
    assert 0 < error < 2
