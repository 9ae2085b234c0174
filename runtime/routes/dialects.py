"""The inference dialects as data: how a body becomes tensors, and how outputs become an answer.

FastAPI's routes and the fast path below them go through the same functions, so that both answer alike.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from runtime.codec import binary
from runtime.codec.azureml import decode_score, encode_score
from runtime.codec.binary import Body
from runtime.codec.frames import tensors_from_csv
from runtime.codec.mlflow import body_form, decode_invocation, encode_predictions
from runtime.codec.oip import DecodedRequest, decode_request, encode_response
from runtime.codec.predict_v1 import decode_predict, encode_predict
from runtime.codec.values import Array
from runtime.contract.manifest import ModelManifest

JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Headers(Protocol):
    """The header fields of a request."""

    def get(self, name: str, /) -> str | None:
        """The value of a field, by its name in lower case."""


# Named tuples, for their making is a good part of what a small request costs.
class Reply(NamedTuple):
    """The body of a successful answer."""

    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = _NO_HEADERS


class Ask(NamedTuple):
    """What a request asks of a model.

    Attributes:
        outputs: Names; None for all.
        reply: Makes the answer of the outputs.
    """

    inputs: Mapping[str, Array]
    outputs: Sequence[str] | None
    reply: Callable[[Mapping[str, Array]], Reply]


class Answered(NamedTuple):
    """A reply with what it was made of, for samples and traces.

    Attributes:
        ran_ns: When the run of the graph began and ended, since 1970.
    """

    reply: Reply
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    ran_ns: tuple[int, int]


# Reads a body, once its headers have been found to be of a form that is read.
Read = Callable[[Body, ModelManifest], Ask]
Dialect = Callable[[Headers], Read]


def open_inference(headers: Headers) -> Read:
    """``POST …/infer`` of the Open Inference Protocol v2."""
    header_length = headers.get(binary.HEADER)

    def read(body: Body, manifest: ModelManifest) -> Ask:
        asked = decode_request(body, manifest.signature, header_length=header_length)
        return Ask(asked.inputs, asked.outputs, partial(_inference_reply, manifest, asked))

    return read


def predict_v1(_headers: Headers) -> Read:
    """``POST …:predict`` of KServe v1 and TensorFlow Serving."""

    def read(body: Body, manifest: ModelManifest) -> Ask:
        asked = decode_predict(bytes(body), manifest.signature)
        return Ask(asked.inputs, None, lambda outputs: Reply(encode_predict(outputs, columnar=asked.columnar)))

    return read


def score(_headers: Headers) -> Read:
    """Azure Machine Learning's ``POST /score``."""

    def read(body: Body, manifest: ModelManifest) -> Ask:
        asked = decode_score(bytes(body), manifest.signature)
        return Ask(asked.inputs, None, lambda outputs: Reply(encode_score(outputs, asked.wrap)))

    return read


def invocations(headers: Headers) -> Read:
    """MLflow's ``POST /invocations``.

    Raises:
        EncodingRefused: The body is neither JSON nor CSV.
    """
    form = body_form(headers.get("content-type"))

    def read(body: Body, manifest: ModelManifest) -> Ask:
        signature = manifest.signature
        inputs = (
            tensors_from_csv(bytes(body), signature, header=form.header)
            if form.csv
            else decode_invocation(bytes(body), signature)
        )
        return Ask(inputs, None, _predictions)

    return read


def _inference_reply(manifest: ModelManifest, asked: DecodedRequest, outputs: Mapping[str, Array]) -> Reply:
    answer = encode_response(
        outputs,
        manifest.signature,
        model=manifest.name,
        version=manifest.version,
        request_id=asked.id,
        as_binary=asked.binary,
    )
    if answer.header_length is None:
        return Reply(answer.body)
    return Reply(answer.body, BINARY, {binary.HEADER: str(answer.header_length)})


def _predictions(outputs: Mapping[str, Any]) -> Reply:
    return Reply(encode_predictions(outputs))
