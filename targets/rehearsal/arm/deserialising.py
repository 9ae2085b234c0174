"""Requests' bodies, read as strictly as the service reads them, with its words for what is wrong."""

import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from targets.rehearsal.arm.errors import invalid_content

Model = TypeVar("Model", bound=BaseModel)

# What the service calls the inner types of a conversion, by pydantic's type of error.
_CONVERSIONS = {"float_type": "double", "int_type": "integer", "bool_type": "boolean", "int_from_float": "integer"}


def read(model: type[Model], content: bytes) -> Model:
    """The body as a model.

    Raises:
        ArmError: 400 ``InvalidRequestContent``, with the path of the first thing that is wrong.
    """
    if not content.strip():
        raise invalid_content("A non-empty request body is required.")
    try:
        given = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid_content(f"{_first_line(error)}. Path '', line 1, position 1.") from None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise invalid_content(_words(error.errors(include_input=True, include_url=False)[0], model)) from None


def _no_constant(name: str) -> float:
    raise ValueError(f"Unexpected character encountered while parsing value: {name[0]}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].replace("'", '"')


def _words(error: ErrorDetails, model: type[BaseModel]) -> str:
    """In the words of Json.NET, which reads requests in Azure; never with the value, which may be a secret."""
    location = error["loc"]
    kind, path = error["type"], _path(location)
    end = f" Path '{path}', line 1, position 1."
    if kind == "extra_forbidden":
        owner = _path(location[:-1]).rpartition(".")[2].partition("[")[0] or model.__name__
        return f"Could not find member '{location[-1]}' on object of type '{owner[:1].upper()}{owner[1:]}'.{end}"
    if kind == "missing":
        parent = _path(location[:-1])
        return f"Required property '{location[-1]}' not found in JSON. Path '{parent}', line 1, position 1."
    if kind == "literal_error":
        return f"Error converting value to one of {error['ctx']['expected'].replace(chr(39), chr(34))}.{end}"
    if kind == "value_error":
        name = str(error["ctx"]["error"]).partition(":")[2]
        where = _path((*location, name))
        return f"Required property '{name}' expects a value but got null. Path '{where}', line 1, position 1."
    if kind in _CONVERSIONS:
        return f"Could not convert {_json_type(error['input'])} to {_CONVERSIONS[kind]}.{end}"
    if kind == "string_type":
        return f"Error reading string. Unexpected token: {_json_type(error['input'])}.{end}"
    return f"Cannot deserialize the current JSON {_json_type(error['input'])} here: {error['msg']}.{end}"


def _path(location: tuple[int | str, ...]) -> str:
    """As Json.NET writes paths: ``properties.containers[0].name``."""
    text = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in location)
    return text.removeprefix(".")


def _json_type(value: object) -> str:
    names = {dict: "StartObject", list: "StartArray", str: "string", bool: "boolean", int: "integer", float: "float"}
    return names.get(type(value), "null")
