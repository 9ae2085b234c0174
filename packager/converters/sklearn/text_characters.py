"""Texts by their characters: lower case and accents as Python has them, and what a character n-gram is made of."""

import unicodedata
from functools import cache
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from packager.converters.sklearn.emission import Emitter

_MICROSOFT = "com.microsoft"
_ML = "ai.onnx.ml"
# Python's \s, which is more than RE2's.
SPACE = r"\s\p{Z}\x{1c}-\x{1f}\x{85}\v"
# No character, so that no n-gram holds it.
PAD = "\u0001 no character"
# The one locale that slim images have and that knows letters beyond ASCII.
_LOCALE = "C.UTF-8"
# Nothing beyond has another case or is made of other characters.
_LAST_CHANGED = 0x2FFFF
# Σ after something and before no letter: at the end of a word it is ς, which only what is around it says.
_LAST_SIGMA = rf"[^{SPACE}]Σ(?:$|[^\p{{Lu}}\p{{Ll}}\p{{Lt}}])"


def preprocessed(emitter: Emitter, flat: str, *, lowercase: bool, accents: str | None, path: str) -> str:
    """Texts in lower case and without accents, where a vectoriser wants that, (rows,)."""
    if accents is None and not lowercase:
        return flat
    if accents is None:
        # Of all characters, this one alone has another lower case in the C library than in Python.
        flat = _refusing(emitter, flat, rf"(?s)(?:.*{_LAST_SIGMA}.*|.*İ.*)", f"İ, or a word that ends in Σ, in {path}")
        return emitter.add("StringNormalizer", flat, case_change_action="LOWER", is_case_sensitive=1, locale=_LOCALE)
    if lowercase and accents == "unicode":
        flat = _refusing(emitter, flat, rf"(?s).*{_LAST_SIGMA}.*", f"a word that ends in Σ, in {path}")
    tokens = padded(emitter, _matched(emitter, flat, "(?s).", ""), "")
    return _joined(emitter, _mapped(emitter, tokens, lowercase=lowercase, accents=accents))


def characters(emitter: Emitter, flat: str) -> str:
    """Characters of each text, (rows, most characters + 1); several blanks count as one space."""
    tokens = padded(emitter, _matched(emitter, flat, rf"(?s)[{SPACE}]{{2,}}|.", PAD), PAD)
    several = emitter.add("RegexFullMatch", tokens, pattern=rf"[{SPACE}]{{2,}}")
    return emitter.add("Where", several, emitter.constant(np.array([[" "]])), tokens)


def characters_of_words(emitter: Emitter, flat: str) -> str:
    """Characters of each word between two spaces, and padding behind each, (rows, most words * characters)."""
    words = padded(emitter, _matched(emitter, flat, rf"[^{SPACE}]+", ""), "")
    rows = emitter.add("Shape", words, start=0, end=1)
    each = emitter.add("Reshape", words, emitter.constant(np.array([-1])))
    is_none = emitter.add("LabelEncoder", each, domain=_ML, keys_strings=[""], values_int64s=[1], default_int64=0)
    space = emitter.constant(np.array([" "]))
    wrapped = emitter.add("StringConcat", emitter.add("StringConcat", space, each), space)
    empty = emitter.constant(np.array([""]))
    wrapped = emitter.add("Where", emitter.cast(is_none, TensorProto.BOOL), empty, wrapped)
    tokens = padded(emitter, _matched(emitter, wrapped, "(?s).", PAD), PAD)
    shape = emitter.add("Concat", rows, emitter.constant(np.array([-1])), axis=0)
    return emitter.add("Reshape", tokens, shape)


def padded(emitter: Emitter, tokens: str, pad: str) -> str:
    """The tokens and a column of padding: rows without any give a matrix without columns, which operators refuse."""
    rows = emitter.add("Shape", tokens, start=0, end=1)
    column = emitter.add("Concat", rows, emitter.constant(np.array([1])), axis=0)
    return emitter.add("Concat", tokens, emitter.add("Expand", emitter.constant(np.array([[pad]])), column), axis=1)


def _matched(emitter: Emitter, flat: str, pattern: str, pad: str) -> str:
    return emitter.add("Tokenizer", flat, domain=_MICROSOFT, mark=0, mincharnum=1, pad_value=pad, tokenexp=pattern)


def _refusing(emitter: Emitter, flat: str, pattern: str, what: str) -> str:
    """The texts; one that matches stops the request, with its reason as the name of the node that fails."""
    found = emitter.cast(emitter.add("RegexFullMatch", flat, pattern=pattern), TensorProto.INT64)
    label = f"a text whose lower case has no ONNX form: {what}"
    nothing = emitter.add("Gather", emitter.constant(np.array([""])), found, label=label, axis=0)
    return emitter.add("StringConcat", flat, nothing)


def _mapped(emitter: Emitter, tokens: str, *, lowercase: bool, accents: str) -> str:
    keys, values = _table(lowercase, accents)
    if accents == "ascii":
        return emitter.add(
            "LabelEncoder", tokens, domain=_ML, keys_strings=keys, values_strings=values, default_string=""
        )
    place = emitter.add(
        "LabelEncoder", tokens, domain=_ML,
        keys_strings=keys, values_int64s=list(range(len(keys))), default_int64=len(keys),
    )  # fmt: skip
    changed = emitter.add("Gather", emitter.constant(np.array([*values, ""])), place, axis=0)
    return emitter.add("Where", emitter.add("Equal", place, emitter.constant(np.int64(len(keys)))), tokens, changed)


@cache
def _table(lowercase: bool, accents: str) -> tuple[list[str], list[str]]:
    """Characters and what becomes of them: all that changes, or for ASCII all that leaves something."""
    keys, values = [], []
    for code in range(1, _LAST_CHANGED + 1):
        character = chr(code)
        if 0xD800 <= code <= 0xDFFF:
            continue
        made = character.lower() if lowercase else character
        if accents == "ascii":
            made = unicodedata.normalize("NFKD", made).encode("ascii", "ignore").decode("ascii")
        elif not made.isascii():
            made = "".join(part for part in unicodedata.normalize("NFKD", made) if not unicodedata.combining(part))
        if made if accents == "ascii" else made != character:
            keys.append(character)
            values.append(made)
    return keys, values


def _joined(emitter: Emitter, tokens: str) -> str:
    """The tokens of each row as one text, (rows,): neighbours are put together until one is left."""
    kept, emitter.nodes = emitter.nodes, []
    given = emitter.fresh("tokens")
    pairs, more = _paired(emitter, given)
    inner, emitter.nodes = emitter.nodes, kept
    count, going = emitter.fresh("count"), emitter.fresh("going")
    body = helper.make_graph(
        inner,
        emitter.fresh("body"),
        [
            helper.make_tensor_value_info(count, TensorProto.INT64, []),
            helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            helper.make_tensor_value_info(given, TensorProto.STRING, ["rows", "columns"]),
        ],
        [
            helper.make_tensor_value_info(more, TensorProto.BOOL, []),
            helper.make_tensor_value_info(pairs, TensorProto.STRING, ["rows", "pairs"]),
        ],
    )
    whole = emitter.add("Loop", "", emitter.constant(np.array(True)), tokens, body=body)
    return emitter.add("Reshape", whole, emitter.constant(np.array([-1])))


def _paired(emitter: Emitter, tokens: str) -> tuple[str, str]:
    """Each two neighbours as one, and whether there are several still."""
    one, two = emitter.constant(np.array([1])), emitter.constant(np.array([2]))
    even = padded(emitter, tokens, "")
    width = emitter.add("Shape", even, start=1, end=2)
    kept = emitter.add("Mul", emitter.add("Div", width, two), two)
    sides = [emitter.add("Slice", even, emitter.constant(np.array([first])), kept, one, two) for first in (0, 1)]
    pairs = emitter.add("StringConcat", *sides)
    left = emitter.add("Shape", pairs, start=1, end=2)
    several = emitter.add("Greater", left, one)
    return pairs, emitter.add("Reshape", several, emitter.constant(np.array([], np.int64)))


def splits(analyzer: Any) -> bool:
    """Whether a vectoriser counts characters."""
    return analyzer in ("char", "char_wb")
