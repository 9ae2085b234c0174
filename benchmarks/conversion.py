"""What conversion adds to the packaging of a small model: seconds with the imports of a fresh process, and without.

Run by ``make bench-convert``.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

_RUNS = 5


def once(path: Path) -> float:
    """Seconds to convert and verify a model in this process."""
    from fidelity import ship_in_process

    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        ship_in_process(path, Path(scratch))
        return time.perf_counter() - started


def main() -> int:
    """Print both numbers; with a path, convert that model once and print the seconds."""
    if len(sys.argv) > 1:
        print(once(Path(sys.argv[1])))
        return 0
    import joblib
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.joblib"
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(*load_breast_cancer(return_X_y=True))
        joblib.dump(model, path)
        started = time.perf_counter()
        subprocess.run([sys.executable, __file__, str(path)], check=True, stdout=subprocess.DEVNULL, timeout=120)
        whole = time.perf_counter() - started
        first = once(path)
        usual = min(once(path) for _ in range(_RUNS))
    print(f"conversion and its proof: {usual:.2f} s, {first:.2f} s at first; with imports {whole:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
