"""The dialect of MLflow's scoring server: request bodies → tensors, tensors → ``{"predictions": ...}``.

Source: MLflow 2 and 3, mlflow/pyfunc/scoring_server.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from runtime.codec.frames import tensors_from_records, tensors_from_split
from runtime.codec.instances import tensors_from_inputs, tensors_from_instances
from runtime.codec.json_body import parse_json
from runtime.codec.predictions import plain_values, rows_of
from runtime.codec.values import Array
from runtime.contract.cells import show
from runtime.contract.manifest import Signature
from runtime.errors import InvalidInput

logger = logging.getLogger(__name__)

_FORMS: Final[Mapping[str, Callable[[Any, Signature, str], dict[str, Array]]]] = {
    "dataframe_split": tensors_from_split,
    "dataframe_records": tensors_from_records,
    "instances": tensors_from_instances,
    "inputs": tensors_from_inputs,
}
_PARAMS_SHOWN: Final = 8


def decode_invocation(body: bytes, signature: Signature) -> dict[str, Array]:
    """The tensors of a JSON invocation. ``params`` are ignored with a warning, as MLflow does where a model takes none.

    Raises:
        InvalidInput: Names row and column, or tensor, what was expected and what came.
    """
    document = parse_json(body)
    given = [key for key in _FORMS if key in document] if isinstance(document, dict) else []
    if len(given) != 1:
        actual = " and ".join(map(repr, given)) or (
            ", ".join(map(repr, document)) if isinstance(document, dict) else ""
        )
        raise InvalidInput(
            f"the body must be an object with one of {', '.join(map(repr, _FORMS))}, got {actual or show(document)}",
            hint='for example {"dataframe_split": {"columns": [...], "data": [[...]]}}',
        )
    _check_params(document.get("params"))
    return _FORMS[given[0]](document[given[0]], signature, given[0])


def encode_predictions(outputs: Mapping[str, Array]) -> bytes:
    """The body of an answer.

    Raises:
        NonFiniteOutput: An output holds infinity.
    """
    answer = {"predictions": rows_of(plain_values(outputs), outputs)}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _check_params(params: object) -> None:
    if params is None:
        return
    if not isinstance(params, dict):
        raise InvalidInput(f"'params' must be an object, got {show(params)}")
    if params:
        fields = {"params": [show(name) for name in list(params)[:_PARAMS_SHOWN]]}
        logger.warning("params are ignored: the model takes none", extra={"fields": fields})
