"""The dialect of MLflow's scoring server: request bodies → tensors, tensors → ``{"predictions": ...}``.

Source: MLflow 2 and 3, mlflow/pyfunc/scoring_server.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from runtime.codec.frames import tensors_from_records, tensors_from_split
from runtime.codec.instances import tensors_from_inputs, tensors_from_instances
from runtime.codec.json_body import parse_json
from runtime.codec.predictions import plain_values, rows_of
from runtime.codec.values import Array
from runtime.contract.cells import show
from runtime.contract.frame_readers import Header
from runtime.contract.manifest import Signature
from runtime.errors import EncodingRefused, InvalidInput

logger = logging.getLogger(__name__)

_FORMS: Final[Mapping[str, Callable[[Any, Signature, str], dict[str, Array]]]] = {
    "dataframe_split": tensors_from_split,
    "dataframe_records": tensors_from_records,
    "instances": tensors_from_instances,
    "inputs": tensors_from_inputs,
}
_PARAMS_SHOWN: Final = 8
_JSON: Final = "application/json"
_CSV: Final = "text/csv"
_HINT: Final = f"send JSON as 'Content-Type: {_JSON}' or a CSV as 'Content-Type: {_CSV}', in UTF-8"


@dataclass(frozen=True, slots=True)
class BodyForm:
    """What the head of a request says of its body.

    Attributes:
        header: Of a CSV, where the sender says whether it has one (RFC 4180, section 3).
    """

    csv: bool
    header: Header | None = None


def body_form(content_type: str | None) -> BodyForm:
    """How to read the body; one without a content type is JSON.

    Raises:
        EncodingRefused: Neither JSON nor CSV, not in UTF-8, or with a parameter that would change its meaning.
    """
    kind, *pairs = [part.strip() for part in (content_type or _JSON).split(";")]
    parameters = {name.strip().lower(): value.strip().strip('"').lower() for name, _, value in _split(pairs)}
    csv = kind.lower() == _CSV
    header = parameters.pop("header", None) if csv else None
    fits = kind.lower() in (_JSON, _CSV) and header in (None, "present", "absent")
    if not fits or parameters.pop("charset", "utf-8") not in ("utf-8", "utf8", "us-ascii") or parameters:
        raise EncodingRefused(f"the body has the content type {content_type!r}, which is not read here", hint=_HINT)
    return BodyForm(csv, cast("Header | None", header))


def _split(pairs: list[str]) -> list[tuple[str, str, str]]:
    return [pair.partition("=") for pair in pairs if pair]


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
