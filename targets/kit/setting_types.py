"""What settings of several targets hold: secrets by reference, variables of containers, lists."""

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import BeforeValidator, StringConstraints


def _text(value: object) -> object:
    """``--set`` reads 1 and true as YAML does; a variable and a tag are text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _several(value: object) -> object:
    """One stands for a list of one."""
    return (value,) if isinstance(value, str | int) else value


Reference = Annotated[str, StringConstraints(pattern=r"^(env|file):.+$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
AsText = BeforeValidator(_text)
Text = Annotated[str, AsText]
Several = BeforeValidator(_several)
# The runtime's own, which settings of their own set.
_OURS: Final = "DRAY_"


def check_environment(plain: Iterable[str], secret: Iterable[str], where: str) -> None:
    """Look at the names of a container's variables.

    Args:
        where: The setting with the secret ones.

    Raises:
        ValueError: One is the runtime's, or in both.
    """
    variables, secrets = list(plain), list(secret)
    if ours := [name for name in (*variables, *secrets) if name.startswith(_OURS)]:
        raise ValueError(f"{ours[0]} is the runtime's: it has a setting of its own")
    if both := sorted({*variables} & {*secrets}):
        raise ValueError(f"{both[0]} is in env and in {where}")
