"""Where in a JSON text something stands: Azure's refusals of bodies say line and position."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Position:
    """After the last character read, as Json.NET counts: lines from 1, characters from 0."""

    line: int
    position: int

    def __str__(self) -> str:
        return f"line {self.line}, position {self.position}"


def position_of(text: str, path: Sequence[int | str]) -> Position:
    """After the name of a member, or after the first token of an item; the text's end for a path that is not there."""
    wanted = list(path)
    here: list[int | str] = []
    tokens = list(_TOKEN.finditer(text))
    for number, token in enumerate(tokens):
        word = token.group()
        if word in "{[":
            if here == wanted and (not here or isinstance(here[-1], int)):
                return _at(text, token.end())
            here.append("" if word == "{" else 0)
        elif word in "}]":
            here.pop()
        elif word == ",":
            last = here[-1] if here else ""
            here[-1:] = [last + 1 if isinstance(last, int) else ""]
        elif word != ":":
            name = number + 1 < len(tokens) and tokens[number + 1].group() == ":"
            if name:
                here[-1] = str(json.loads(word))
            if here == wanted and (name or isinstance(here[-1], int)):
                return _at(text, tokens[number + 1].end() if name else token.end())
    return _at(text, len(text))


def _at(text: str, offset: int) -> Position:
    line_start = text.rfind("\n", 0, offset) + 1
    return Position(text.count("\n", 0, offset) + 1, offset - line_start)
