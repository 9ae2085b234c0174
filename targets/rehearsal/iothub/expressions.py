"""Conditions, as target conditions, queries and routes have them: read once, then asked of many things.

The useful subset of IoT Hub's query language: comparisons, AND, OR, NOT, IN, NIN, parentheses, and functions of one or
two arguments. What is outside it is refused by name. A comparison with what is not there is false, as there.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

# What a name stands for; MISSING for what is not there.
Resolve = Callable[[tuple[str, ...]], Any]
_Ask = Callable[[Resolve], Any]

LONGEST: Final = 8192
_DEEPEST: Final = 50


class _Missing:
    def __repr__(self) -> str:
        return "undefined"


MISSING: Final = _Missing()


class ExpressionInvalid(ValueError):
    """Not a condition, or none that a rehearsal understands."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One that can be asked.

    Attributes:
        text: As it was written.
    """

    text: str
    _ask: _Ask

    def holds(self, resolve: Resolve) -> bool:
        """Whether it is true of something."""
        return self._ask(resolve) is True


_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*")
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<operator><=|>=|!=|<>|=|<|>|\(|\)|\[(?!\[)|\]|,|\*)
    | (?P<name>[$\w](?:[\w$:\-]|\.(?=[\w$\[])|\[\[[^\[\]]{1,256}\]\])*)
    )""",
    re.VERBOSE,
)
_WORDS: Final = frozenset({"and", "or", "not", "in", "nin", "true", "false", "null"})
_BRACKETED: Final = re.compile(r"\[\[([^\[\]]+)\]\]|([^.\[\]]+)")


def condition(text: str) -> Condition:
    """A condition to ask.

    Raises:
        ExpressionInvalid: With what is not understood.
    """
    if len(text) > LONGEST:
        raise ExpressionInvalid(f"a condition has at most {LONGEST} characters")
    reader = _Reader(_tokens(text))
    ask = reader.either()
    reader.end()
    return Condition(text, ask)


def path_of(name: str) -> tuple[str, ...]:
    """A name's parts: ``configurations.[[a b]].status`` has three."""
    return tuple(bracketed or plain for bracketed, plain in _BRACKETED.findall(name))


def at(document: Any, path: Sequence[str]) -> Any:
    """What lies at a path of a JSON value; MISSING for nothing."""
    for part in path:
        if not isinstance(document, dict) or part not in document:
            return MISSING
        document = document[part]
    return document


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        return self.text.lower() if self.kind == "name" else self.text if self.kind == "operator" else ""


def _tokens(text: str) -> list[_Token]:
    found, position = [], 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise ExpressionInvalid(f"{text[position : position + 20].strip()!r} is not understood in a condition")
        found.append(_Token(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


class _Reader:
    """Recursive descent over tokens."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    def either(self) -> _Ask:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionInvalid(f"a condition nests at most {_DEEPEST} deep")
        sides = [self._both()]
        while self._takes("or"):
            sides.append(self._both())
        self._depth -= 1
        return sides[0] if len(sides) == 1 else lambda resolve: any(side(resolve) is True for side in sides)

    def end(self) -> None:
        if self._position < len(self._tokens):
            raise ExpressionInvalid(f"{self._tokens[self._position].text!r} was not expected in a condition")

    def _both(self) -> _Ask:
        sides = [self._negated()]
        while self._takes("and"):
            sides.append(self._negated())
        return sides[0] if len(sides) == 1 else lambda resolve: all(side(resolve) is True for side in sides)

    def _negated(self) -> _Ask:
        negated = False
        while self._takes("not"):
            negated = not negated
        inner = self._compared()
        return (lambda resolve: inner(resolve) is not True) if negated else inner

    def _compared(self) -> _Ask:
        if self._takes("("):
            inner = self.either()
            self._needs(")")
            return inner
        left = self._value()
        for operator, compares in _COMPARISONS.items():
            if self._takes(operator):
                right = self._value()
                return lambda resolve: _compared(compares, left(resolve), right(resolve))
        if self._takes("in"):
            return self._among(left, wanted=True)
        if self._takes("nin"):
            return self._among(left, wanted=False)
        return left

    def _among(self, left: _Ask, *, wanted: bool) -> _Ask:
        self._needs("[")
        choices = [self._value()]
        while self._takes(","):
            choices.append(self._value())
        self._needs("]")

        def among(resolve: Resolve) -> bool:
            value = left(resolve)
            return value is not MISSING and any(_same(value, choice(resolve)) for choice in choices) is wanted

        return among

    def _value(self) -> _Ask:
        token = self._next()
        if token.kind == "string":
            text = re.sub(r"\\(.)", r"\1", token.text[1:-1].replace("''", "'"))
            return lambda _: text
        if token.kind == "number":
            number = float(token.text)
            return lambda _: number
        if token.kind != "name":
            raise ExpressionInvalid(f"{token.text!r} was not expected in a condition")
        if token.word in ("true", "false", "null"):
            constant = {"true": True, "false": False, "null": None}[token.word]
            return lambda _: constant
        if token.word in _WORDS:
            raise ExpressionInvalid(f"{token.text!r} was not expected in a condition")
        if self._takes("("):
            return self._call(token)
        path = path_of(token.text)
        return lambda resolve: resolve(path)

    def _call(self, token: _Token) -> _Ask:
        name = token.word.replace("_", "")
        if name not in _FUNCTIONS:
            known = "is_defined, is_null, is_string, is_number, is_bool, starts_with, ends_with, contains, as_number"
            raise ExpressionInvalid(f"the function {token.text!r} is not known in a rehearsal; it knows {known}, …")
        count, function = _FUNCTIONS[name]
        arguments = [self._value()]
        while self._takes(","):
            arguments.append(self._value())
        self._needs(")")
        if len(arguments) != count:
            raise ExpressionInvalid(f"{token.text} takes {count} arguments, not {len(arguments)}")
        return lambda resolve: function(*(argument(resolve) for argument in arguments))

    def _next(self) -> _Token:
        if self._position >= len(self._tokens):
            raise ExpressionInvalid("the condition ends too soon")
        self._position += 1
        return self._tokens[self._position - 1]

    def _takes(self, word: str) -> bool:
        if self._position < len(self._tokens) and self._tokens[self._position].word == word:
            self._position += 1
            return True
        return False

    def _needs(self, word: str) -> None:
        if not self._takes(word):
            raise ExpressionInvalid(f"{word!r} is missing in the condition")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _compared(compares: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    if left is MISSING or right is MISSING:
        return False
    if compares in (_same, _differs):
        return compares(left, right)
    comparable = (_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str))
    return comparable and compares(left, right)


def _differs(left: Any, right: Any) -> bool:
    return not _same(left, right)


_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": _same,
    "!=": _differs,
    "<>": _differs,
    "<=": lambda left, right: bool(left <= right),
    ">=": lambda left, right: bool(left >= right),
    "<": lambda left, right: bool(left < right),
    ">": lambda left, right: bool(left > right),
}


def _as_number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return MISSING


def _texts(function: Callable[[str, str], bool]) -> Callable[[Any, Any], Any]:
    return lambda one, other: function(one, other) if isinstance(one, str) and isinstance(other, str) else MISSING


_FUNCTIONS: Final[dict[str, tuple[int, Callable[..., Any]]]] = {
    "isdefined": (1, lambda value: value is not MISSING),
    "isnull": (1, lambda value: value is None),
    "isstring": (1, lambda value: isinstance(value, str)),
    "isnumber": (1, _is_number),
    "isbool": (1, lambda value: isinstance(value, bool)),
    "isobject": (1, lambda value: isinstance(value, dict)),
    "isarray": (1, lambda value: isinstance(value, list)),
    "isprimitive": (1, lambda value: value is not MISSING and not isinstance(value, dict | list)),
    "asnumber": (1, _as_number),
    "length": (1, lambda value: len(value) if isinstance(value, str) else MISSING),
    "lower": (1, lambda value: value.lower() if isinstance(value, str) else MISSING),
    "upper": (1, lambda value: value.upper() if isinstance(value, str) else MISSING),
    "startswith": (2, _texts(str.startswith)),
    "endswith": (2, _texts(str.endswith)),
    "contains": (2, _texts(lambda one, other: other in one)),
}
