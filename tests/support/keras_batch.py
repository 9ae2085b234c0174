"""Runs in the interpreter of the TensorFlow environment: builds many small models, converts each, and compares.

``python keras_batch.py OUT [NAME...]`` writes ``outcomes.json``: by name, the largest difference to Keras' own ``predict``
over batches of 1, 5 and 33 rows, or the code and message of the refusal.
"""

import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from packager.converters.tensorflow.loading import set_up

set_up()
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
warnings.simplefilter("ignore")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402

from packager.converters.tensorflow.conversion import convert  # noqa: E402
from packager.core.conversion import ConversionRequest  # noqa: E402
from packager.core.errors import DrayError  # noqa: E402
from packager.core.progress import SilentProgress  # noqa: E402
from tests.support.keras_models import MODELS  # noqa: E402


def stirred(model: Any) -> Any:
    """The model with weights that are not all zeros and ones, as after training."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.trainable or "moving" in weight.name:
            values = np.asarray(weight)
            weight.assign(values + 0.1 * rng.random(values.shape))
    return model


def outcome(name: str) -> dict[str, Any]:
    keras.utils.set_random_seed(7)
    keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model = stirred(MODELS[name]())
        model.save(path)
        try:
            raw = convert(ConversionRequest(source=path, workdir=Path(folder)), SilentProgress())
        except DrayError as error:
            return {"refused": error.code, "message": error.message, "hint": error.hint}
        return compared(model, raw.onnx, raw.samples)


def compared(model: Any, path: Path, samples: Path) -> dict[str, Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(path, options)
    with np.load(samples) as archive:
        rows = {name: archive[name] for name in archive.files}
    names = [output.name for output in session.get_outputs()]
    worst, labels = 0.0, 0
    for size in (1, 5, 33):
        part = {name: value[:size] for name, value in rows.items()}
        answers = predicted(model, part)
        expected = (
            [answers[name] for name in names]
            if isinstance(answers, dict) and set(answers) == set(names)
            else list(answers.values() if isinstance(answers, dict) else keras.tree.flatten(answers))
        )
        given = session.run(names, {name: as_text(value) for name, value in part.items()})
        for got, want in zip(given, expected, strict=True):
            if got.shape != want.shape:
                return {"difference": f"shapes {got.shape} and {want.shape}"}
            if want.dtype.kind in "OSU":
                text = [item.decode() if isinstance(item, bytes) else item for item in want.ravel()]
                labels += sum(one != other for one, other in zip(text, got.ravel(), strict=True))
            else:
                worst = max(worst, float(np.max(np.abs(got.astype("f8") - want.astype("f8")), initial=0.0)))
    return {
        "difference": worst,
        "labels": labels,
        "inputs": {arg.name: arg.shape for arg in session.get_inputs()},
        "outputs": {arg.name: arg.shape for arg in session.get_outputs()},
    }


def as_text(values: Any) -> Any:
    return values.astype(object) if values.dtype.kind == "U" else values


def predicted(model: Any, rows: dict[str, Any]) -> Any:
    import tensorflow as tf

    tensors = {name: tf.constant(as_text(value)) for name, value in rows.items()}
    inner = getattr(model, "_functional", model)
    if isinstance(inner._inputs_struct, dict):
        given: Any = tensors
    else:
        given = keras.tree.pack_sequence_as(inner._inputs_struct, [tensors[tensor.name] for tensor in model.inputs])
    return keras.tree.map_structure(np.asarray, model(given, training=False))


def main(out: Path, names: list[str]) -> None:
    found = {}
    for name in names or MODELS:
        began = time.perf_counter()
        found[name] = outcome(name)
        found[name]["seconds"] = round(time.perf_counter() - began, 2)
    (out / "outcomes.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
