"""What every object of a request is: known names only, strict types, no null."""

from typing import Annotated

from pydantic import AliasGenerator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class Body(BaseModel):
    """One object of a request: known names only, and no null."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=AliasGenerator(validation_alias=to_camel, serialization_alias=to_camel),
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _no_null(cls, value: object) -> object:
        if isinstance(value, dict):
            for key, each in value.items():
                if each is None:
                    raise ValueError(f"null:{key}")
        return value


def _whole(value: object) -> object:
    """JSON knows one kind of number: 80.0 is the integer 80."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole), Field(ge=-(2**31), lt=2**31)]
Number = Annotated[float, Field(allow_inf_nan=False)]
