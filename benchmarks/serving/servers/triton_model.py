"""ONNX in Triton's Python backend: what came together runs together."""

import json

import numpy as np
import triton_python_backend_utils as pb
from onnx_session import open_session


class TritonPythonModel:
    """One input, all outputs."""

    def initialize(self, args: dict) -> None:
        """Open the file that the configuration names."""
        parameters = json.loads(args["model_config"])["parameters"]
        self.session = open_session(parameters["model"]["string_value"])
        self.input_name = self.session.get_inputs()[0].name
        self.names = [output.name for output in self.session.get_outputs()]

    def execute(self, requests: list) -> list:
        """One run for all of them."""
        rows = [pb.get_input_tensor_by_name(request, self.input_name).as_numpy() for request in requests]
        answers = self.session.run(None, {self.input_name: rows[0] if len(rows) == 1 else np.concatenate(rows)})
        responses, at = [], 0
        for given in rows:
            upto = at + len(given)
            tensors = [pb.Tensor(name, value[at:upto]) for name, value in zip(self.names, answers, strict=True)]
            responses.append(pb.InferenceResponse(output_tensors=tensors))
            at = upto
        return responses
