"""ONNX in KServe's Python SDK: v1, v2 and v2 with binary tensors."""

import logging
import os

import kserve
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse
from kserve.logging import configure_logging
from kserve.utils.numpy_codec import from_np_dtype
from kserve.utils.utils import generate_uuid
from onnx_session import open_session


class OnnxModel(kserve.Model):
    """One input, all outputs."""

    def load(self) -> bool:
        """Open the file."""
        self.session = open_session(os.environ["BENCH_MODEL"])
        self.input_name = self.session.get_inputs()[0].name
        self.names = [output.name for output in self.session.get_outputs()]
        self.ready = True
        return True

    def predict(self, payload, headers=None, response_headers=None):
        """A dictionary is v1, anything else v2."""
        if isinstance(payload, InferRequest):
            return self._infer(payload)
        rows = np.asarray(payload["instances"], os.environ["BENCH_DTYPE"])
        answers = [value.tolist() for value in self._run(rows)]
        return {"predictions": [dict(zip(self.names, row, strict=True)) for row in zip(*answers, strict=True)]}

    def _infer(self, request: InferRequest) -> InferResponse:
        outputs = []
        for name, value in zip(self.names, self._run(request.inputs[0].as_numpy()), strict=True):
            output = InferOutput(name, list(value.shape), from_np_dtype(value.dtype))
            output.set_data_from_numpy(value, binary_data=request.use_binary_outputs)
            outputs.append(output)
        # Without an id its own answer fails its own validation.
        return InferResponse(
            request.id or generate_uuid(), self.name, outputs, use_binary_outputs=request.use_binary_outputs
        )

    def _run(self, rows: np.ndarray) -> list:
        return self.session.run(None, {self.input_name: rows})


if __name__ == "__main__":
    model = OnnxModel("model")
    model.load()
    # Configured once: the server leaves it as it is, and writes no line a request.
    configure_logging()
    for name in ("kserve", "kserve.trace", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    kserve.ModelServer(
        http_port=int(os.environ["BENCH_PORT"]), workers=1, enable_grpc=False, enable_latency_logging=False
    ).start([model])
