"""ONNX Runtime for the tests' own answers."""

from pathlib import Path

import onnxruntime as ort


def session_of(model: Path | bytes) -> ort.InferenceSession:
    """With one thread: more of them spin, which costs ten times what a small model does."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
