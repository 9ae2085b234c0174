"""ONNX in MLServer, which has no runtime of its own for it."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from onnx_session import open_session


class OnnxModel(MLModel):
    """One input, all outputs."""

    async def load(self) -> bool:
        """Open the file that the settings name."""
        self.session = open_session(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Decoded and encoded by MLServer's own codec."""
        (given,) = payload.inputs
        answers = self.session.run(None, {given.name: NumpyCodec.decode_input(given)})
        names = [output.name for output in self.session.get_outputs()]
        outputs = [NumpyCodec.encode_output(name, value) for name, value in zip(names, answers, strict=True)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
