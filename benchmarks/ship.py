"""Time from `dray ship` to a verified endpoint, for a small scikit-learn model, as a user sees it.

Runs the real command ROUNDS times against a state folder of its own, after one round that is not counted, and prints
medians; beside them, in the same rounds, what Python alone takes to import what the conversion needs.

    make bench-ship [ROUNDS=5]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DRAY = str(Path(sys.executable).with_name("dray"))
IMPORTS = "import sklearn.pipeline, skl2onnx, onnx, onnxruntime"


def main() -> None:
    """Run the rounds and print the table."""
    rounds = int(os.environ.get("ROUNDS", "5"))
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as folder:
        results = [measure(Path(folder), number) for number in range(rounds + 1)][1:]
    print(f"medians of {rounds} rounds on {os.cpu_count()} cores (min to max), seconds")
    for name in results[0]:
        values = [result[name] for result in results]
        print(f"  {name:<38} {statistics.median(values):6.2f}   ({min(values):.2f} to {max(values):.2f})")
    ratio = statistics.median(result[WHOLE] / result[IMPORTING] for result in results)
    print(f"  the whole command takes {ratio:.1f} times what its imports alone take")


WHOLE = "dray ship to a verified endpoint"
IMPORTING = "python importing the conversion's tools"


def measure(folder: Path, number: int) -> dict[str, float]:
    """Seconds of one round; each deploys under a name of its own and removes it."""
    name = f"bench-{number}"
    model = folder / f"{name}.joblib"
    features, classes = load_breast_cancer(return_X_y=True)
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(features, classes), model)
    env = {**os.environ, "DRAY_HOME": str(folder / "state")}
    importing = timed([sys.executable, "-c", IMPORTS], env)[0]
    whole, output = timed(
        [DRAY, "ship", str(model), "-t", "local", "-o", "json", "-q", "--out", str(folder / name)], env
    )
    document = json.loads(output)
    if not document["smoke"]["passed"]:
        sys.exit(f"the smoke tests failed: {output}")
    subprocess.run([DRAY, "delete", name, "--yes", "-q"], check=True, env=env, stdout=subprocess.DEVNULL)
    stages = {f"  {stage}": seconds for stage, seconds in document["seconds"].items()}
    return {WHOLE: whole, **stages, IMPORTING: importing}


def timed(command: list[str], env: dict[str, str]) -> tuple[float, str]:
    """Wall-clock seconds and standard output of a command that must succeed."""
    began = time.monotonic()
    output = subprocess.run(command, check=True, env=env, stdout=subprocess.PIPE, text=True).stdout
    return time.monotonic() - began, output


if __name__ == "__main__":
    main()
