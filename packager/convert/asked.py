"""What a person asked of a conversion that the chosen converter does not know: refused, never ignored."""

from collections.abc import Mapping
from typing import Any

from packager.core.conversion import InputHint, ModelSource
from packager.core.errors import UsageError
from packager.core.protocols import Converter

# Of what a converter declares in ``options``, how the command line says it. Other keys follow from these.
_SAID = {
    "inputs": "--input",
    "dynamic": "--dynamic",
    "function": "FILE.py:FUNCTION",
    "class": "--class",
    "class_args": "--class-args",
    "packages": "--with",
    "signature": "--signature",
    "lengths": "--lengths",
    "plugin": "--plugin",
}


def check_options(
    converter: Converter, source: ModelSource, inputs: tuple[InputHint, ...], options: Mapping[str, Any]
) -> None:
    """Whether the converter knows all that was asked.

    Raises:
        UsageError: It does not; names the first, and what it does know.
    """
    known: tuple[str, ...] = getattr(converter, "options", ())
    asked = {**options, "inputs": inputs, "packages": source.packages, "function": source.function}
    foreign = [said for name, said in _SAID.items() if asked.get(name) and name not in known]
    if foreign:
        taken = ", ".join(said for name, said in _SAID.items() if name in known) or "none of this kind"
        raise UsageError(
            f"{foreign[0]} is not for {converter.name} models",
            hint=f"leave it out, or say another framework with --framework; {converter.name} models take {taken}",
            detail={"options": foreign},
        )
