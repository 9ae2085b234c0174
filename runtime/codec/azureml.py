"""The bodies that Azure Machine Learning's endpoints take and give.

``{"data": …}`` as scoring scripts have it, ``{"Inputs": …, "GlobalParameters": …}`` as automated ML and the designer
do, and ``{"input_data": …}`` as managed endpoints of MLflow models do, which answer with a bare list.
Source: Azure Machine Learning, "Deploy MLflow models", "Consume a web service"; AutoML's generated scoring scripts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from runtime.codec.frames import tensors_from_split
from runtime.codec.instances import tensors_from_inputs
from runtime.codec.json_body import parse_json
from runtime.codec.predictions import plain_values, rows_of
from runtime.codec.values import Array
from runtime.contract.cells import show
from runtime.contract.manifest import Signature
from runtime.errors import InvalidInput

_FORMS = ("data", "Inputs", "input_data")
_PORT_IN, _PORT_OUT = "WebServiceInput0", "WebServiceOutput0"


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A request that fits the model.

    Attributes:
        wrap: Makes the answer's document of its predictions.
    """

    inputs: Mapping[str, Array]
    wrap: Callable[[Any], Any]


def decode_score(body: bytes, signature: Signature) -> ScoreRequest:
    """The tensors of a scoring request.

    Raises:
        InvalidInput: Names the tensor or the column, what was expected and what came.
    """
    document = parse_json(body)
    given = [key for key in _FORMS if key in document] if isinstance(document, dict) else []
    if len(given) != 1:
        actual = " and ".join(map(repr, given)) or show(document)
        raise InvalidInput(
            f"the body must be an object with one of {', '.join(map(repr, _FORMS))}, got {actual}",
            hint='for example {"data": [[1.0, 2.0]]}, one entry a row',
        )
    form = given[0]
    content = document[form]
    if form == "input_data":
        return ScoreRequest(_tensors(content, signature, form), lambda predictions: predictions)
    if form == "data":
        return ScoreRequest(_tensors(content, signature, form), lambda predictions: {"result": predictions})
    return _of_inputs(content, signature)


def encode_score(outputs: Mapping[str, Array], wrap: Callable[[Any], Any]) -> bytes:
    """The body of an answer.

    Raises:
        NonFiniteOutput: An output holds infinity.
    """
    return orjson.dumps(wrap(rows_of(plain_values(outputs), outputs)), option=orjson.OPT_SERIALIZE_NUMPY)


def _of_inputs(content: Any, signature: Signature) -> ScoreRequest:
    """``Inputs`` holds rows, ``{"data": rows}``, or ``{"WebServiceInput0": rows}``, unless the model names them so."""
    own = {spec.name for spec in signature.inputs} | {name for spec in signature.inputs for name in spec.columns or ()}
    port = next(iter(content)) if isinstance(content, dict) and len(content) == 1 else None
    if port == _PORT_IN and port not in own:
        tensors = _tensors(content[port], signature, f"Inputs.{port}")
        return ScoreRequest(tensors, lambda predictions: {"Results": {_PORT_OUT: predictions}})
    if port == "data" and port not in own:
        content = content[port]
    return ScoreRequest(_tensors(content, signature, "Inputs"), lambda predictions: {"Results": predictions})


def _tensors(content: Any, signature: Signature, where: str) -> dict[str, Array]:
    """A list of rows or records, a frame as pandas splits it, or an object by input or by column name."""
    if isinstance(content, dict) and {"columns", "data"} <= content.keys():
        return tensors_from_split(content, signature, where)
    return tensors_from_inputs(content, signature, where)
