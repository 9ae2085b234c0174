"""What `make demo` shows: a pipeline trained here, shipped to this machine, and asked with curl.

Trains on scikit-learn's breast-cancer data, ships the model with the rows it never saw, prints the parity certificate
and the smoke report, and runs the curl line that it prints. The server goes on running; `--stop` deletes it.
"""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import joblib
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

NAME = "breast-cancer"
FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "demo"
DRAY = str(Path(sys.executable).with_name("dray"))


def train(folder: Path) -> tuple[Path, Path, pd.DataFrame]:
    """A fitted pipeline, the held-out rows as CSV, and the same rows with the pipeline's own answers."""
    features, classes = load_breast_cancer(return_X_y=True, as_frame=True)
    seen, unseen, seen_classes, _ = train_test_split(features, classes, random_state=0)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(seen, seen_classes)
    model, samples = folder / f"{NAME}.joblib", folder / "held-out.csv"
    joblib.dump(pipeline, model)
    unseen.to_csv(samples, index=False)
    return model, samples, unseen.assign(malignant=pipeline.predict_proba(unseen)[:, 0])


def dray(*arguments: str) -> str:
    """Run dray as a user would; progress goes to the terminal, the result comes back."""
    print(f"$ dray {shlex.join(arguments)}", flush=True)
    return subprocess.run([DRAY, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def curl_line(endpoint: str, row: list[float]) -> list[str]:
    """The arguments of a curl call that asks about one row."""
    tensor = {"name": "X", "shape": [1, len(row)], "datatype": "FP32", "data": row}
    body = json.dumps({"inputs": [tensor]})
    return ["curl", "-s", f"{endpoint}/v2/models/{NAME}/infer", "-H", "content-type: application/json", "-d", body]


def main() -> None:
    """Train, ship, ask; delete at the end when told to."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    model, samples, answers = train(FOLDER)
    package = FOLDER / "package"
    ship = ["ship", str(model), "-t", "local", "--samples", str(samples), "--out", str(package)]
    print(dray(*ship), flush=True)
    print(dray("inspect", str(package)), flush=True)
    endpoint = json.loads(dray("status", NAME, "-o", "json"))[0]["endpoint"]
    command = curl_line(endpoint, [float(value) for value in answers.iloc[0, :-1]])
    print(f"\n$ {shlex.join(command)}", flush=True)
    answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    print(json.dumps(answer, indent=2))
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    served, expected = outputs["probabilities"][0], answers["malignant"].iloc[0]
    if abs(served - expected) > 1e-5 + 1e-4 * expected:
        sys.exit(f"the server says {served}, scikit-learn says {expected}")
    print(f"\nscikit-learn itself says {expected:.7f} for the first class, the server {served:.7f}.")
    if "--stop" in sys.argv:
        print(dray("delete", NAME, "--yes"))
    else:
        print(f"It goes on serving at {endpoint}; `.venv/bin/dray delete {NAME}` ends it.")


if __name__ == "__main__":
    main()
