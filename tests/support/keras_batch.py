"""Runs in the interpreter of the TensorFlow environment: builds many small models, converts each, and compares.

``python keras_batch.py OUT [NAME...]`` writes ``outcomes.json``: by name, the largest difference to the model's own
answers over batches of 1, 5 and 33 rows, or the code, message and hint of the refusal.
"""

import gc
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
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
from tests.support.tensorflow_kinds import KINDS  # noqa: E402

SIZES = (1, 5, 33)
Answers = dict[str, Any]


def stirred(model: Any) -> Any:
    """The model with weights that are not all zeros and ones, as after training."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.trainable or "moving" in weight.name:
            values = np.asarray(weight)
            weight.assign(values + 0.1 * rng.random(values.shape))
    return model


def of_model(name: str, folder: Path) -> dict[str, Any]:
    """A Keras model against its own call."""
    model = stirred(MODELS[name]())
    path = folder / "model.keras"
    model.save(path)
    raw = convert(ConversionRequest(source=path, workdir=folder), SilentProgress())
    return compared(raw, lambda rows, names, size: predicted(model, first(rows, size), names))


def of_kind(name: str, folder: Path) -> dict[str, Any]:
    """Another kind of model against the answers that the converter asked of it, one row at a time."""
    work = folder / "work"
    work.mkdir()
    path, options = KINDS[name](folder)
    given = {name: options.pop(name) for name in ("samples", "inputs") if name in options}
    raw = convert(ConversionRequest(source=path, workdir=work, options=options, **given), SilentProgress())
    with np.load(raw.reference_cast) as archive:
        answers = {name: archive[name] for name in archive.files}
    return compared(raw, lambda rows, names, size: first(answers, size))


def compared(raw: Any, expected: Callable[[Answers, list[str], int], Answers]) -> dict[str, Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(raw.onnx, options)
    names = [output.name for output in session.get_outputs()]
    with np.load(raw.samples) as archive:
        rows = {name: as_text(archive[name]) for name in archive.files}
    worst, labels = 0.0, 0
    for size in SIZES:
        given = dict(zip(names, session.run(names, first(rows, size)), strict=True))
        for name, want in expected(rows, names, size).items():
            got = given[name]
            if got.shape != want.shape:
                return {"difference": f"shapes {got.shape} and {want.shape}"}
            if want.dtype.kind in "OSU":
                labels += sum(texts(want)[index] != text for index, text in enumerate(texts(got)))
            else:
                worst = max(worst, float(np.max(np.abs(got.astype("f8") - want.astype("f8")), initial=0.0)))
    return {
        "difference": worst,
        "labels": labels,
        "inputs": {arg.name: arg.shape for arg in session.get_inputs()},
        "outputs": {arg.name: arg.shape for arg in session.get_outputs()},
    }


def predicted(model: Any, rows: Answers, names: list[str]) -> Answers:
    import tensorflow as tf

    inner = getattr(model, "_functional", model)
    tensors = {name: tf.constant(value) for name, value in rows.items()}
    is_dict = isinstance(inner._inputs_struct, dict)
    given = tensors if is_dict else keras.tree.pack_sequence_as(inner._inputs_struct, list(tensors.values()))
    answers = model(given, training=False)
    if isinstance(answers, dict) and set(answers) == set(names):
        return {name: np.asarray(answers[name]) for name in names}
    flat = list(answers.values()) if isinstance(answers, dict) else keras.tree.flatten(answers)
    return dict(zip(names, map(np.asarray, flat), strict=True))


def first(rows: Answers, size: int) -> Answers:
    return {name: value[:size] for name, value in rows.items()}


def as_text(values: Any) -> Any:
    return values.astype(object) if values.dtype.kind == "U" else values


def texts(values: Any) -> list[str]:
    return [item.decode() if isinstance(item, bytes) else str(item) for item in values.ravel()]


def outcome(name: str) -> dict[str, Any]:
    keras.utils.set_random_seed(7)
    keras.backend.clear_session()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = (of_model if name in MODELS else of_kind)(name, Path(folder))
        except DrayError as error:
            found = {"refused": error.code, "message": error.message, "hint": error.hint}
    return {**found, "seconds": round(time.perf_counter() - began, 2)}


def main(out: Path, names: list[str]) -> None:
    gc.freeze()  # between two models Keras collects: a third of the whole, were TensorFlow itself looked through
    found = {name: outcome(name) for name in names or (*MODELS, *KINDS)}
    (out / "outcomes.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
