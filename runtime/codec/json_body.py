"""JSON request bodies, which may hold the literals that JSON itself does not have."""

import json
from typing import Any

import orjson

from runtime.errors import InvalidInput


def parse_json(body: bytes) -> Any:
    """The document in ``body``; the literals NaN, Infinity and -Infinity are taken as well.

    Raises:
        InvalidInput: Not JSON, not UTF-8, or nested too deep.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in body and b"Infinity" not in body:
            raise InvalidInput(f"the body is not JSON: {error}") from error
    try:
        document = json.loads(body.decode("utf-8"))
    except RecursionError as error:
        raise InvalidInput("the body is not JSON that can be read: it is nested too deep") from error
    except ValueError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error
    if b"\\u" in body:
        _refuse_lone_surrogates(document)
    return document


def _refuse_lone_surrogates(document: object) -> None:
    # orjson refuses these strings while it reads, json does not; neither ONNX Runtime nor an answer can hold them.
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput("the body is not JSON: half of a surrogate pair in a string") from error
    except RecursionError as error:
        raise InvalidInput("the body is not JSON that can be read: it is nested too deep") from error
