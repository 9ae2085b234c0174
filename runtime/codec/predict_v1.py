"""The predict API of TensorFlow Serving, which KServe's v1 protocol shares: request bodies → tensors → answers.

``instances`` go in and ``predictions`` come out row by row; ``inputs`` go in and ``outputs`` come out input by input.
Source: TensorFlow Serving, "RESTful API", Predict API; KServe, "V1 Inference Protocol".
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from runtime.codec.instances import tensors_from_inputs, tensors_from_instances
from runtime.codec.json_body import parse_json
from runtime.codec.predictions import plain_values, rows_of
from runtime.codec.values import Array
from runtime.contract.cells import show
from runtime.contract.manifest import Signature
from runtime.errors import InvalidInput

SIGNATURE = "serving_default"
_BASE64 = "b64"


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A request that fits the model.

    Attributes:
        columnar: It came as ``inputs``, so its answer goes out as ``outputs`` as well.
    """

    inputs: Mapping[str, Array]
    columnar: bool


def decode_predict(body: bytes, signature: Signature) -> PredictRequest:
    """The tensors of a predict request.

    Raises:
        InvalidInput: Names the tensor or the column, what was expected and what came.
    """
    document = parse_json(body)
    given = [key for key in ("instances", "inputs") if key in document] if isinstance(document, dict) else []
    if len(given) != 1:
        actual = "both" if given else show(document)
        raise InvalidInput(
            f"the body must be an object with either 'instances' or 'inputs', got {actual}",
            hint='for example {"instances": [[1.0, 2.0]]}, one entry a row',
        )
    _check_signature(document.get("signature_name"))
    values = document[given[0]]
    if b'"b64"' in body and not any(spec.name == _BASE64 for spec in signature.inputs):
        try:
            values = _decoded(values)
        except RecursionError as error:
            raise InvalidInput("the body is nested too deep") from error
    if given == ["instances"]:
        return PredictRequest(tensors_from_instances(values, signature, "instances"), columnar=False)
    return PredictRequest(tensors_from_inputs(values, signature, "inputs"), columnar=True)


def encode_predict(outputs: Mapping[str, Array], *, columnar: bool) -> bytes:
    """The body of an answer: ``predictions`` row by row, and ``outputs`` output by output where it was asked so.

    Raises:
        NonFiniteOutput: An output holds infinity.
    """
    plain = plain_values(outputs)
    answer: dict[str, Any] = {"predictions": rows_of(plain, outputs)}
    if columnar:
        answer["outputs"] = plain if len(plain) > 1 else next(iter(plain.values()))
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _check_signature(name: object) -> None:
    if name not in (None, "", SIGNATURE):
        raise InvalidInput(f"there is no signature {show(name)}; the model has {SIGNATURE!r} alone")


def _decoded(value: Any) -> Any:
    """The document with every ``{"b64": …}`` replaced by the text that it stands for."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != {_BASE64}:
        return {name: _decoded(item) for name, item in value.items()}
    try:
        return base64.b64decode(value[_BASE64], validate=True).decode("utf-8")
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidInput(f"{show(value[_BASE64])} under 'b64' is not base64 of a text in UTF-8") from error
