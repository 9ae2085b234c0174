"""ONNX in LitServe: rows in, all outputs by name."""

import os

import litserve
import numpy as np
from onnx_session import open_session


class Model(litserve.LitAPI):
    """The three steps of LitServe."""

    def setup(self, device: str) -> None:
        """Open the file, in the worker process."""
        self.session = open_session(os.environ["BENCH_MODEL"])
        self.input_name = self.session.get_inputs()[0].name
        self.names = [output.name for output in self.session.get_outputs()]

    def decode_request(self, request: dict) -> np.ndarray:
        """Rows as an array."""
        return np.asarray(request["instances"], os.environ["BENCH_DTYPE"])

    def predict(self, rows: np.ndarray) -> list:
        """All outputs."""
        return self.session.run(None, {self.input_name: rows})

    def encode_response(self, outputs: list) -> dict:
        """Lists by name."""
        return {name: value.tolist() for name, value in zip(self.names, outputs, strict=True)}


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        generate_client_file=False,
        access_log=False,
        log_level="warning",
    )
