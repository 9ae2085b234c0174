import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.needs("wrk")
def test_dray_is_measured_and_its_absent_rivals_are_not_judged(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.serving", "--cells", "cnn-*-8", "--peers", "dray,onnxruntime-loop"]

    done = subprocess.run(
        [*command, "--rounds", "1", "--seconds", "1", "--json", str(out), "--log", str(tmp_path / "turns.jsonl")],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    told = json.loads(out.read_text())
    measured = {(each["peer"], each["cell"]) for each in told["cells"]}
    assert measured == {("dray", f"cnn-{encoding}-8") for encoding in ("json", "v1", "binary")} | {
        ("onnxruntime-loop", "cnn-binary-8")
    }
    assert all(each["rate"] > 0 and each["errors"] == {} for each in told["cells"])
    assert told["absent"] == {}


@pytest.mark.slow
@pytest.mark.needs("wrk")
def test_an_interrupted_run_leaves_no_server_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.serving", "--cells", "cnn-json-*", "--peers", "dray"]
    bench = subprocess.Popen(
        [*command, "--seconds", "1", "--log", str(tmp_path / "log")], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert bench.stderr is not None
    assert any("cnn-json-1 " in line for line in bench.stderr)  # the first turn is over
    started = psutil.Process(bench.pid).children(recursive=True)

    bench.send_signal(signal.SIGINT)

    assert bench.wait(timeout=30) == 130
    assert "--resume goes on" in bench.stderr.read()
    assert started
    assert psutil.wait_procs(started, timeout=5)[1] == []
    bench.stderr.close()


def test_an_unknown_peer_is_refused_by_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", "--peers", "tritn"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "no peer is called 'tritn'; there are dray," in done.stderr
