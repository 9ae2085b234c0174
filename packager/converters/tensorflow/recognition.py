"""Which files are TensorFlow's or Keras', told by their content and without TensorFlow."""

import ast
import zipfile
from pathlib import Path
from typing import Literal

from packager.converters.recognised import first_bytes
from packager.core.errors import ModelInvalid

Kind = Literal["saved-model", "keras", "hdf5", "tflite", "code"]

SAVED_MODEL = "saved_model.pb"
CONFIG = "config.json"
_METADATA = "metadata.json"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MOST_CODE_BYTES = 4 << 20


def kind_of(path: Path) -> Kind | None:
    """What the file or folder is; None where it is neither."""
    if path.is_dir():
        return "saved-model" if (path / SAVED_MODEL).is_file() else None
    head = first_bytes(path)
    if head.startswith(_HDF5):
        return "hdf5"
    if head[4:8] == b"TFL3":
        return "tflite"
    if head.startswith(b"PK") and _is_keras_zip(path):
        return "keras"
    return "code" if path.suffix == ".py" and imports_tensorflow(path) else None


def looks_like_graph(path: Path) -> bool:
    """Whether a file is a bare graph: a protobuf whose first field is a node with a name and an operation."""
    head = first_bytes(path)
    return path.suffix == ".pb" and head[:1] == b"\n" and b"\x12" in head[:300]


def required_kind(path: Path) -> Kind:
    """The kind of a file that was named as TensorFlow's.

    Raises:
        ModelInvalid: It is none that is read, with what to save instead.
    """
    if path.name == SAVED_MODEL or looks_like_graph(path):
        raise ModelInvalid(
            f"{path.name!r} is a part of a SavedModel, or a bare graph that does not say what its inputs are",
            hint="name the folder of the SavedModel; make one with tf.saved_model.save(module, folder), or for a frozen"
            " graph with tf.compat.v1.saved_model.simple_save(session, folder, inputs, outputs)",
        )
    kind = kind_of(path)
    if kind is None:
        raise ModelInvalid(
            f"{path.name!r} is no Keras file (.keras, .h5), SavedModel folder, TFLite file or Python file of theirs",
            hint="save the model again with model.save('model.keras') or model.export('folder')",
        )
    return kind


def imports_tensorflow(path: Path) -> bool:
    """Whether a Python file imports TensorFlow or Keras, and not PyTorch."""
    try:
        if path.stat().st_size > _MOST_CODE_BYTES:
            return False
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    tops = {name.partition(".")[0] for name in _imported(tree)}
    return bool(tops & {"tensorflow", "keras"}) and "torch" not in tops


def _imported(tree: ast.AST) -> set[str]:
    named: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            named.add(node.module)
    return named


def _is_keras_zip(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return {CONFIG, _METADATA} <= set(archive.namelist())
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return path.suffix == ".keras"
