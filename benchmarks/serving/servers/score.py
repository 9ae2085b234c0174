"""ONNX in Azure Machine Learning's inference server: the scoring script."""

import json
import os

import numpy as np
from onnx_session import open_session

loaded = {}


def init() -> None:
    """Open the file, once a worker."""
    loaded["session"] = open_session(os.environ["BENCH_MODEL"])


def run(raw_data: str) -> dict:
    """Rows under "data"; all outputs by name."""
    session = loaded["session"]
    names = [output.name for output in session.get_outputs()]
    rows = np.asarray(json.loads(raw_data)["data"], os.environ["BENCH_DTYPE"])
    answers = session.run(None, {session.get_inputs()[0].name: rows})
    return {name: value.tolist() for name, value in zip(names, answers, strict=True)}
