"""The models that are served, each packaged by dray; every peer gets the very ``model.onnx`` of the package."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from benchmarks.serving import graphs
from benchmarks.serving.servers.onnx_session import open_session
from packager import package

Array = np.ndarray[Any, np.dtype[Any]]
ANSWER: Final = "probabilities"
_DTYPES: Final = {"tensor(float)": np.float32, "tensor(double)": np.float64}


@dataclass(frozen=True, slots=True)
class Subject:
    """A packaged model, one row for it, and what ONNX Runtime answers to that row.

    Attributes:
        outputs: All of the model's, by name.
    """

    name: str
    package: Path
    input_name: str
    row: Array
    outputs: Mapping[str, Array]

    @property
    def model(self) -> Path:
        """The ONNX file."""
        return self.package / "model.onnx"

    def wrong(self, answer: Array) -> str:
        """How far an answer is from ONNX Runtime's; empty when it is right."""
        expected = self.outputs[ANSWER]
        if answer.size != expected.size:
            return f"{answer.size} values, expected {expected.size}"
        # The answers may have gone through decimals of a float32, and through a batch.
        if np.allclose(answer.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5):
            return ""
        return f"off by {float(np.abs(answer.reshape(expected.shape) - expected).max()):.2e}"


def make_subject(name: str, folder: Path) -> Subject:
    """The model of that name, packaged in a folder of its own under ``folder``."""
    made = folder / name
    made.mkdir(parents=True)
    model, samples = MODELS[name]()
    if isinstance(model, onnx.ModelProto):
        source = made / f"{name}.onnx"
        onnx.save(model, source)
        given = made / "samples.npz"
        np.savez(given, x=samples)
        package(source, samples=given, name=name, version="1", out=made / "package")
    else:
        package(model, samples=samples, name=name, version="1", out=made / "package")
    return _subject(name, made / "package", samples[:1])


def _subject(name: str, packaged: Path, row: Array) -> Subject:
    session = open_session(packaged / "model.onnx")
    (given,) = session.get_inputs()
    row = row.astype(_DTYPES[given.type])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, {given.name: row}), strict=True))
    return Subject(name, packaged, given.name, row, outputs)


def _logreg() -> tuple[Any, Array]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, classes = _breast_cancer()
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(rows, classes), rows


def _gbdt() -> tuple[Any, Array]:
    from sklearn.ensemble import GradientBoostingClassifier

    rows, classes = _breast_cancer()
    return GradientBoostingClassifier(n_estimators=100, random_state=0).fit(rows, classes), rows


def _breast_cancer() -> tuple[Array, Array]:
    from sklearn.datasets import load_breast_cancer

    rows, classes = load_breast_cancer(return_X_y=True)
    return rows, classes


def _cnn() -> tuple[Any, Array]:
    from sklearn.datasets import load_digits

    return graphs.digits_cnn(), (load_digits().images[:32, None] / 16).astype(np.float32)


def _image() -> tuple[Any, Array]:
    return graphs.image_head(), _pictures(8)


def _mobilenet() -> tuple[Any, Array]:
    return graphs.mobilenet_v2(), _pictures(4)


def _pictures(count: int) -> Array:
    """A photograph of scikit-learn's, cut out at several places: FP32 [count, 3, 224, 224] from 0 to 1."""
    from sklearn.datasets import load_sample_image

    photograph = load_sample_image("flower.jpg").transpose(2, 0, 1).astype(np.float32) / 255
    return np.stack([photograph[:, 20 * at : 20 * at + 224, 40 * at : 40 * at + 224] for at in range(count)])


MODELS: Final[Mapping[str, Callable[[], tuple[Any, Array]]]] = {
    "logreg": _logreg,
    "gbdt": _gbdt,
    "cnn": _cnn,
    "image": _image,
    "mobilenet": _mobilenet,
}
TITLES: Final[Mapping[str, str]] = {
    "logreg": "scaler and logistic regression, 30 floats",
    "gbdt": "gradient boosting of 100 trees, 30 floats",
    "cnn": "two convolutions on digits, 64 floats",
    "image": "600 kB tensor, means and one layer",
    "mobilenet": "MobileNetV2 1.0, 600 kB tensor",
}
