"""What every object of a request is: known names only, strict types, no null."""

from typing import Annotated

from pydantic import AliasGenerator, BaseModel, ConfigDict, Field, model_validator
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


# Numbers of 32 bits, as the swagger says; 80.0 is none, for Json.NET as for the schema's draft.
Whole = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Number = Annotated[float, Field(allow_inf_nan=False)]
