"""ONNX in BentoML: rows in, rows out; with its adaptive batching where BENCH_BATCHING says so."""

import os
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType
from onnx_session import open_session

_DTYPE = os.environ["BENCH_DTYPE"]
Rows = Annotated[np.ndarray, DType(_DTYPE)]
# A latency goal far above what a run takes: BentoML refuses requests that it expects to miss it.
_BATCHING = {"batchable": True, "max_batch_size": 64, "max_latency_ms": 60000} if "BENCH_BATCHING" in os.environ else {}


@bentoml.service(workers=1, traffic={"timeout": 60}, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Model:
    """One input, one output."""

    def __init__(self) -> None:
        self.session = open_session(os.environ["BENCH_MODEL"])
        self.name = self.session.get_inputs()[0].name

    @bentoml.api(**_BATCHING)
    def predict(self, instances: Rows) -> np.ndarray:
        """The probabilities."""
        return self.session.run(["probabilities"], {self.name: instances})[0]
