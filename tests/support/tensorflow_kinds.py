"""Models of other kinds than ``.keras`` files, by name: written in the interpreter of the TensorFlow environment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from packager.core.conversion import InputHint

FIXTURES = Path(__file__).parent.parent / "fixtures" / "tensorflow"
Made = tuple[Path, dict[str, Any]]
KINDS: dict[str, Callable[[Path], Made]] = {}

CODE = """
import numpy as np
import keras
import tensorflow as tf

def load():
    inner = keras.Sequential([keras.layers.Dense(5), keras.layers.Dense(2, "gelu")])
    return inner, np.zeros((2, 4), "float32")

def function():
    example = np.zeros((1, 3), "float32")
    return tf.function(lambda a, b: {"sum": a + b}), (example, example)

class Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(np.ones((3, 2), "float32"))

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")])
    def __call__(self, x):
        return {"y": x @ self.w}

def junk():
    return 5

def fails():
    raise OSError("no such weights")
"""


def kind(build: Callable[[Path], Made]) -> Callable[[Path], Made]:
    KINDS[build.__name__] = build
    return build


def image_model() -> Any:
    parts = [layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3, "softmax", name="probs")]
    return keras.Sequential([keras.Input((8, 8, 1), name="image"), *parts])


class TwoSignatures(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(tf.random.normal((4, 2), seed=1))

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])
    def score(self, x: Any) -> Any:
        return {"score": tf.matmul(x, self.w), "best": tf.argmax(tf.matmul(x, self.w), 1)}

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])
    def total(self, x: Any) -> Any:
        return {"total": tf.reduce_sum(tf.matmul(x, self.w), 1)}


def two_signatures(folder: Path) -> Path:
    module = TwoSignatures()
    signatures = {"score": module.score, "total": module.total}
    tf.saved_model.save(module, str(folder / "two"), signatures=signatures)
    return folder / "two"


def tflite(folder: Path, **settings: Any) -> Path:
    converter = tf.lite.TFLiteConverter.from_keras_model(image_model())
    for name, value in settings.items():
        setattr(converter, name, value)
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    return path


@kind
def tflite_float(folder: Path) -> Made:
    return tflite(folder), {}


@kind
def tflite_int8(folder: Path) -> Made:
    rows = ([np.random.default_rng(0).random((1, 8, 8, 1), "f4")] for _ in range(8))
    return tflite(folder, optimizations=[tf.lite.Optimize.DEFAULT], representative_dataset=lambda: rows), {}


@kind
def tflite_gelu(folder: Path) -> Made:
    given = keras.Input((6,), name="x")
    exact = layers.Dense(4, "gelu")(given)
    model = keras.Model(given, keras.ops.gelu(layers.Dense(3)(exact), approximate=True))
    path = folder / "model.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return path, {}


@kind
def tflite_other_size(folder: Path) -> Made:
    return tflite(folder), {"inputs": (InputHint("image", "FP32", ("N", 9, 8, 1)),)}


@kind
def tflite_fixed_axis(folder: Path) -> Made:
    return tflite(folder), {"dynamic": ["image:1"]}


@kind
def tflite_other_type(folder: Path) -> Made:
    return tflite(folder), {"inputs": (InputHint("image", "FP64", ("N", 8, 8, 1)),)}


def saved_function(folder: Path, call: Callable[[Any], Any], spec: Any) -> Made:
    module = tf.Module()
    tf.saved_model.save(module, str(folder / "made"), signatures=tf.function(call, input_signature=[spec]))
    return folder / "made", {}


@kind
def below_zero(folder: Path) -> Made:
    def divided(x: Any) -> Any:
        return {"div": x // 3, "mod": x % 3, "cut": tf.truncatediv(x, 3), "rest": tf.truncatemod(x, 3)}

    return saved_function(folder, divided, tf.TensorSpec((None, 4), tf.int32, name="x"))


@kind
def float_remainders(folder: Path) -> Made:
    def divided(x: Any) -> Any:
        return {"div": x // 0.75, "mod": x % -0.75, "rest": tf.truncatemod(x, 0.75), "log": tf.math.log1p(abs(x))}

    return saved_function(folder, divided, tf.TensorSpec((None, 4), tf.float32, name="x"))


@kind
def loop_over_rows(folder: Path) -> Made:
    def scaled(x: Any) -> Any:
        return {"y": tf.map_fn(lambda row: row * tf.reduce_max(row), x)}

    return saved_function(folder, scaled, tf.TensorSpec((None, 4), tf.float32, name="x"))


@kind
def keras_export(folder: Path) -> Made:
    image_model().export(folder / "exported", verbose=False)
    return folder / "exported", {}


@kind
def signature_chosen(folder: Path) -> Made:
    return two_signatures(folder), {"signature": "score"}


@kind
def signature_not_chosen(folder: Path) -> Made:
    return two_signatures(folder), {}


@kind
def signature_unknown(folder: Path) -> Made:
    return two_signatures(folder), {"signature": "classify"}


@kind
def methods_without_signatures(folder: Path) -> Made:
    tf.saved_model.save(TwoSignatures(), str(folder / "bare"))
    return folder / "bare", {"signature": "total"}


@kind
def random_answers(folder: Path) -> Made:
    module = tf.Module()
    draw = tf.function(
        lambda x: x + tf.random.normal(tf.shape(x)), input_signature=[tf.TensorSpec((None, 4), name="x")]
    )
    tf.saved_model.save(module, str(folder / "dice"), signatures=draw)
    return folder / "dice", {}


@kind
def tensorflow_1(folder: Path) -> Made:
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, (None, 4), name="x")
        w = v1.get_variable("w", initializer=np.ones((4, 2), "f4"))
        y = tf.nn.softmax(tf.matmul(x, w))
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder / "v1"), {"x": x}, {"y": y})
    return folder / "v1", {}


@kind
def truncated_variables(folder: Path) -> Made:
    image_model().export(folder / "exported", verbose=False)
    weights = next((folder / "exported" / "variables").glob("variables.data*"))
    weights.write_bytes(weights.read_bytes()[:100])
    return folder / "exported", {}


@kind
def fixed_axis(folder: Path) -> Made:
    path = folder / "model.keras"
    image_model().save(path)
    return path, {"dynamic": ["image:1"]}


@kind
def signature_of_keras(folder: Path) -> Made:
    path = folder / "model.keras"
    image_model().save(path)
    return path, {"signature": "classify"}


@kind
def unknown_class(folder: Path) -> Made:
    path = folder / "model.keras"
    own = type("Own", (layers.Layer,), {"call": lambda self, given: given * 2})
    keras.Sequential([keras.Input((4,)), own(), layers.Dense(2)]).save(path)
    return path, {"plugin": str(written(folder, "import keras\n", "plugin.py"))}


@kind
def hdf5_suffix(folder: Path) -> Made:
    path = folder / "model.h5"
    image_model().save(path)
    return path.rename(folder / "model.hdf5"), {}


@kind
def lambda_in_hdf5(folder: Path) -> Made:
    """The converter itself is asked, as if the parent had overlooked the layer."""
    path = folder / "model.h5"
    keras.Sequential([keras.Input((4,)), layers.Lambda(lambda given: given * 2)]).save(path)
    return path, {}


@kind
def lambda_in_zip(folder: Path) -> Made:
    path = folder / "model.keras"
    keras.Sequential([keras.Input((4,)), layers.Lambda(lambda given: given * 2)]).save(path)
    return path, {}


@kind
def saved_lookup(folder: Path) -> Made:
    return FIXTURES / "stringlookup_keras3" / "saved_model", {}


@kind
def saved_lstm(folder: Path) -> Made:
    return FIXTURES / "lstm_multi_io_savedmodel" / "saved_model", {}


@kind
def samples_that_do_not_fit(folder: Path) -> Made:
    np.savez(folder / "rows.npz", tokens=np.zeros((3, 20), "i4"), num=np.zeros((3, 5), "f4"))
    return FIXTURES / "lstm_multi_io_savedmodel" / "saved_model", {"samples": folder / "rows.npz"}


def written(folder: Path, text: str, name: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def from_code(function: str | None) -> Callable[[Path], Made]:
    def build(folder: Path) -> Made:
        path = written(folder, CODE, "build.py")
        return path, {"code_folders": [str(folder)], **({"function": function} if function else {})}

    return build


KINDS |= {
    "code": from_code(None),
    "code_function": from_code("function"),
    "code_module": from_code("Module"),
    "code_junk": from_code("junk"),
    "code_fails": from_code("fails"),
    "code_absent": from_code("absent"),
}
