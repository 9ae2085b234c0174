"""ONNX for CountVectorizer and TfidfVectorizer over words or characters, without a difference on any of them."""

import re
from typing import Any

import numpy as np
from onnx import TensorProto

from packager.converters.sklearn.emission import Emitter, Frame, numbers
from packager.converters.sklearn.emit_numbers import normalized
from packager.converters.sklearn.text_characters import (
    characters,
    characters_of_words,
    padded,
    preprocessed,
    splits,
)
from packager.core.errors import ConverterMissing

_MICROSOFT = "com.microsoft"
# Python's \w is a letter, a number of any kind, or an underscore; RE2's is ASCII.
_WORD = r"[\p{L}\p{N}_]"
# Patterns whose matches are whole runs of word characters: RE2 without \b finds the same.
_PATTERNS = {
    r"(?u)\b\w\w+\b": _WORD + _WORD + "+",
    r"\b\w\w+\b": _WORD + _WORD + "+",
    r"(?u)\b\w+\b": _WORD + "+",
    r"\b\w+\b": _WORD + "+",
    r"(?u)\w+": _WORD + "+",
    r"\w+": _WORD + "+",
    r"(?u)\w\w+": _WORD + _WORD + "+",
    r"\w\w+": _WORD + _WORD + "+",
    r"\w{2,}": _WORD + "{2,}",
    r"\w{3,}": _WORD + "{3,}",
    r"(?u)\b\w\w\w+\b": _WORD + "{3,}",
    r"(?u)\b\w{3,}\b": _WORD + "{3,}",
    r"[a-z]+": "[a-z]+",
    r"[A-Za-z]+": "[A-Za-z]+",
    r"[a-zA-Z]+": "[a-zA-Z]+",
    r"\S+": r"[^\s\p{Z}\x{1c}-\x{1f}\x{85}\v]+",
    r"[^\s]+": r"[^\s\p{Z}\x{1c}-\x{1f}\x{85}\v]+",
}
# No word: no pattern above matches it, so no n-gram holds it.
_PAD = " "


def emit_vectorizer(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """CountVectorizer and TfidfVectorizer.

    Raises:
        ConverterMissing: An analyser, tokeniser or pattern without a faithful ONNX form; names it.
    """
    if reason := unconvertible(step):
        raise ConverterMissing(f"{path} cannot be converted faithfully: {reason[0]}", hint=reason[1])
    if len(frame) != 1 or frame[0].kind != "string" or frame[0].width != 1:
        raise ConverterMissing(f"{path} reads text and is not given one column of it", hint="give it one text column")
    counts = _counted(emitter, step, _tokens(emitter, step, frame[0].value, path))
    if step.binary:
        counts = emitter.cast(emitter.cast(counts, TensorProto.BOOL), TensorProto.DOUBLE)
    transformer = getattr(step, "_tfidf", None)
    width = len(step.vocabulary_)
    return numbers(counts if transformer is None else _weighted(emitter, transformer, counts), width)


def refuse_hashes(_emitter: Emitter, _step: Any, _frame: Frame, path: str) -> Frame:
    """HashingVectorizer.

    Raises:
        ConverterMissing: Always.
    """
    raise ConverterMissing(
        f"{path} has no ONNX form: ONNX Runtime has no operator that counts by hashes",
        hint="use a TfidfVectorizer or CountVectorizer with max_features",
    )


def emit_tfidf(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """TfidfTransformer."""
    return numbers(_weighted(emitter, step, emitter.matrix(frame, path)), sum(block.width for block in frame))


def unconvertible(step: Any) -> tuple[str, str] | None:
    """Why a vectoriser has no faithful form, and what would mend it; None when it has one."""
    if step.analyzer != "word" and not splits(step.analyzer):
        return f"analyzer={_named(step.analyzer)}", "use analyzer='word', 'char' or 'char_wb'"
    for name in ("preprocessor", "tokenizer"):
        if getattr(step, name) is not None:
            return f"{name}={_named(getattr(step, name))}", f"use {name}=None, and prepare the text before the model"
    if step.strip_accents not in (None, "ascii", "unicode"):
        return f"strip_accents={_named(step.strip_accents)}", "use strip_accents='unicode', 'ascii' or None"
    if step.input != "content":
        return f"input={step.input!r}", "use input='content'"
    if splits(step.analyzer):
        return None
    if step.token_pattern not in _PATTERNS:
        return f"token_pattern={step.token_pattern!r}", f"use one of {', '.join(sorted(_PATTERNS))}"
    odd = next((term for term in step.vocabulary_ if term != term.strip() or re.search(r"\s\s", term)), None)
    if odd is not None:
        return f"its vocabulary holds {odd!r}", "use terms of words with single spaces between them"
    return None


def _tokens(emitter: Emitter, step: Any, text: str, path: str) -> str:
    """Words or characters of each row, (rows, most + 1), padded; stop words moved behind where n-grams matter."""
    flat = emitter.add("Reshape", text, emitter.constant(np.array([-1])))
    flat = preprocessed(emitter, flat, lowercase=step.lowercase, accents=step.strip_accents, path=path)
    if splits(step.analyzer):
        return (characters if step.analyzer == "char" else characters_of_words)(emitter, flat)
    tokens = emitter.add(
        "Tokenizer",
        flat,
        domain=_MICROSOFT,
        mark=0,
        mincharnum=1,
        pad_value=_PAD,
        tokenexp=_PATTERNS[step.token_pattern],
    )
    tokens = padded(emitter, tokens, _PAD)
    stop = sorted(step.get_stop_words() or ())
    return _without(emitter, tokens, stop) if stop and step.ngram_range[1] > 1 else tokens


def _without(emitter: Emitter, tokens: str, stop: list[str]) -> str:
    """The tokens with the stop words of each row replaced by padding at its end, the rest in order."""
    shape = emitter.add("Shape", tokens)
    flat = emitter.add("Reshape", tokens, emitter.constant(np.array([-1])))
    is_stop = emitter.add(
        "LabelEncoder", flat, domain="ai.onnx.ml", keys_strings=stop, values_int64s=[1] * len(stop), default_int64=0
    )
    is_stop = emitter.add("Reshape", is_stop, shape)
    columns = emitter.add("Gather", shape, emitter.constant(np.int64(1)), axis=0)
    place = emitter.add("Range", emitter.constant(np.int64(0)), columns, emitter.constant(np.int64(1)))
    order = emitter.add("Add", emitter.add("Mul", is_stop, columns), place)
    size = emitter.add("Reshape", columns, emitter.constant(np.array([1])))
    values, indices = emitter.fresh("TopK_order"), emitter.fresh("TopK_indices")
    from onnx import helper

    emitter.nodes.append(
        helper.make_node("TopK", [order, size], [values, indices], name=indices, axis=1, largest=0, sorted=1)
    )
    padded = emitter.add("Where", emitter.cast(is_stop, TensorProto.BOOL), emitter.constant(np.array([[_PAD]])), tokens)
    return emitter.add("GatherElements", padded, indices, axis=1)


def _counted(emitter: Emitter, step: Any, tokens: str) -> str:
    """How often each term of the vocabulary stands in each row, as doubles."""
    low, high = step.ngram_range
    if step.analyzer == "char_wb":
        low = 1  # of a word that is shorter than every n-gram, the whole counts
    terms: list[list[tuple[list[str], int]]] = [[] for _ in range(high)]
    for term, column in sorted(step.vocabulary_.items(), key=lambda item: item[1]):
        words = list(term) if splits(step.analyzer) else term.split(" ")
        if low <= len(words) <= high:
            terms[len(words) - 1].append((words, int(column)))
    pool = [word for sized in terms for words, _ in sized for word in words]
    starts = np.cumsum([0, *(len(sized) * size for size, sized in enumerate(terms, 1))])[:-1].tolist()
    places = [column for sized in terms for _, column in sized]
    counts = emitter.add(
        "TfIdfVectorizer", tokens, mode="TF", min_gram_length=low, max_gram_length=high, max_skip_count=0,
        pool_strings=pool, ngram_counts=starts, ngram_indexes=places,
    )  # fmt: skip
    return emitter.cast(counts, TensorProto.DOUBLE)


def _weighted(emitter: Emitter, transformer: Any, counts: str) -> str:
    if transformer.sublinear_tf:
        empty = emitter.add("Equal", counts, emitter.constant(np.float64(0)))
        safe = emitter.add("Where", empty, emitter.constant(np.float64(1)), counts)
        grown = emitter.add("Add", emitter.add("Log", safe), emitter.constant(np.float64(1)))
        counts = emitter.add("Where", empty, emitter.constant(np.float64(0)), grown)
    if transformer.use_idf:
        counts = emitter.add("Mul", counts, emitter.constant(np.asarray(transformer.idf_, np.float64)))
    return normalized(emitter, counts, transformer.norm) if transformer.norm else counts


def _named(value: Any) -> str:
    return repr(value) if isinstance(value, str) else getattr(value, "__qualname__", type(value).__name__)
