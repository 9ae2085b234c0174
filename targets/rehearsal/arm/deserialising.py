"""Requests' bodies, read as strictly as the service reads them, with its words for what is wrong."""

import json
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from targets.rehearsal.arm.errors import invalid_content
from targets.rehearsal.arm.positions import position_of

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
    except json.JSONDecodeError as error:
        words = error.msg.replace("'", '"')
        raise invalid_content(f"{words}. Path '', line {error.lineno}, position {error.colno - 1}.") from None
    except (ValueError, RecursionError) as error:
        raise invalid_content(f"{str(error).replace(chr(39), chr(34))}. Path '', line 1, position 0.") from None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=True, include_url=False)[0]
        raise invalid_content(_Finding(first, model, content.decode("utf-8", "replace")).words()) from None


def _no_constant(name: str) -> float:
    raise ValueError(f"Unexpected character encountered while parsing value: {name[0]}")


@dataclass(frozen=True, slots=True)
class _Finding:
    """What is wrong, in the words of Json.NET, which reads requests in Azure; without the value: it may be secret."""

    error: ErrorDetails
    model: type[BaseModel]
    text: str = field(repr=False)

    def words(self) -> str:
        kind, location = self.error["type"], self.error["loc"]
        if kind == "extra_forbidden":
            owner = next((each for each in reversed(location[:-1]) if isinstance(each, str)), self.model.__name__)
            name = f"{owner[:1].upper()}{owner[1:]}"
            return f"Could not find member '{location[-1]}' on object of type '{name}'. {self._place(location)}"
        if kind == "missing":
            return f"Required property '{location[-1]}' not found in JSON. {self._place(location[:-1])}"
        if kind == "value_error":
            name = str(self.error["ctx"]["error"]).partition(":")[2]
            return f"Required property '{name}' expects a value but got null. {self._place((*location, name))}"
        return f"{self._of_a_value(kind)}. {self._place(location)}"

    def _of_a_value(self, kind: str) -> str:
        given = _json_type(self.error["input"])
        if kind == "literal_error":
            return f"Error converting value to one of {self.error['ctx']['expected'].replace(chr(39), chr(34))}"
        if kind in _CONVERSIONS:
            return f"Could not convert {given} to {_CONVERSIONS[kind]}"
        if kind == "string_type":
            return f"Error reading string. Unexpected token: {given}"
        return f"Cannot deserialize the current JSON {given} here: {self.error['msg']}"

    def _place(self, location: tuple[int | str, ...]) -> str:
        return f"Path '{_path(location)}', {position_of(self.text, location)}."


def _path(location: tuple[int | str, ...]) -> str:
    """As Json.NET writes paths: ``properties.containers[0].name``."""
    text = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in location)
    return text.removeprefix(".")


def _json_type(value: object) -> str:
    names = {dict: "StartObject", list: "StartArray", str: "string", bool: "boolean", int: "integer", float: "float"}
    return names.get(type(value), "null")
