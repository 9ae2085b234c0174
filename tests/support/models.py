"""Small real scikit-learn models, trained in a moment, and files of them."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FIXTURES = Path(__file__).parent.parent / "fixtures" / "sklearn"
IRIS_COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def iris() -> tuple[np.ndarray, np.ndarray]:
    """150 flowers of 4 measures, and their 3 kinds."""
    return load_iris(return_X_y=True)


def iris_frame() -> pd.DataFrame:
    """The measures under their names."""
    return pd.DataFrame(iris()[0], columns=IRIS_COLUMNS)


def breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    """569 cases of 30 measures, benign or not."""
    return load_breast_cancer(return_X_y=True)


def breast_cancer_pipeline() -> Any:
    """StandardScaler and LogisticRegression."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(*breast_cancer())


def named_pipeline() -> Any:
    """The same on iris, trained on a DataFrame."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(iris_frame(), iris()[1])


def scaled_forest() -> Any:
    """Trees behind a scaler, of an even number so that votes can be equal."""
    return make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)).fit(*breast_cancer())


def text_label_forest() -> Any:
    """String labels."""
    features, kinds = iris()
    return RandomForestClassifier(10, random_state=0).fit(
        features, np.array(["setosa", "versicolor", "virginica"])[kinds]
    )


def linear_regression() -> Any:
    """y = 2a - b + 1, exactly."""
    features = np.arange(40.0).reshape(20, 2) % 7
    return LinearRegression().fit(features, 2 * features[:, 0] - features[:, 1] + 1)


def saved(model: Any, folder: Path, name: str = "model.joblib") -> Path:
    """The path of a file that holds the model."""
    path = folder / name
    joblib.dump(model, path)
    return path
