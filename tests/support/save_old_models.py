"""Makes tests/fixtures/sklearn-X.Y: models pickled by another scikit-learn, with that version's own answers.

uv run --no-project --python 3.11 --with scikit-learn==1.4.2 --with 'numpy<2' python tests/support/save_old_models.py
"""

import sys
from pathlib import Path

import joblib
import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FIXTURES = Path(__file__).parent.parent / "fixtures"
ROWS = 40


def main() -> None:
    major, minor = sklearn.__version__.split(".")[:2]
    folder = FIXTURES / f"sklearn-{major}.{minor}"
    folder.mkdir(parents=True, exist_ok=True)
    cancer, benign = load_breast_cancer(return_X_y=True)
    diabetes, progression = load_diabetes(return_X_y=True)
    # float32 is what HTTP brings; trained on it, the answers do not depend on the rounding of thresholds.
    cancer, diabetes = cancer.astype(np.float32), diabetes.astype(np.float32)
    models = {
        "pipeline": (make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), cancer, benign),
        "forest": (RandomForestRegressor(8, max_depth=6, random_state=0), diabetes, progression),
        "histgb": (HistGradientBoostingClassifier(max_iter=10, random_state=0), cancer, benign),
    }
    for name, (model, features, target) in models.items():
        rows = features[:ROWS]
        answers = {
            "label" if hasattr(model, "predict_proba") else "prediction": model.fit(features, target).predict(rows)
        }
        if hasattr(model, "predict_proba"):
            answers["probabilities"] = model.predict_proba(rows)
        joblib.dump(model, folder / f"{name}.joblib", compress=3)
        np.savez_compressed(folder / f"{name}.npz", X=rows, **answers)
    sys.stdout.write(f"{folder}: scikit-learn {sklearn.__version__}, numpy {np.__version__}\n")


if __name__ == "__main__":
    main()
