from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from packager import plugins
from packager.core.errors import EngineUnavailable
from packager.core.progress import SilentProgress


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    features, classes = load_breast_cancer(return_X_y=True)
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(features, classes)


@pytest.fixture
def model(tmp_path: Path, pipeline: Pipeline) -> Path:
    path = tmp_path / "tumour.joblib"
    joblib.dump(pipeline, path)
    return path


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    pd.DataFrame(load_breast_cancer().data[:80]).to_csv(path, index=False)
    return path


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Whatever a test deployed goes with it."""
    yield
    # In this process: a command for each test took more time than many of the tests.
    for target in plugins.targets().values():
        with suppress(EngineUnavailable):  # where a test named one that does not answer
            for deployment in target.deployments(target.settings_type()):
                target.destroy(deployment, SilentProgress())
