"""Texts to prove a model on: the user's, or a mixture of scripts, lengths and vocabulary."""

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.core.conversion import ConversionRequest
from packager.core.errors import SampleError, UsageError
from runtime.contract.certificate import Coverage

Array = NDArray[Any]
TEXT, PAIR = "text", "text_pair"
MOST_ROWS = 256
_DRAWN = 24
_WORDS = (1, 2, 3, 5, 8, 13, 21, 34)
_LONGEST_DRAWN = 1024
_WEAK = Coverage(weak=True, reason="built-in sentences and words of the vocabulary, not texts of yours")
_SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "I would not recommend this film to anyone; what a waste of two hours!",
    "Absolutely wonderful service, we will be back :-)",
    "How do I reset my password?",
    "The invoice of 2024-03-31 amounts to 1,234.56 €.",
    "Naïve façade, coöperate, crème brûlée, Ærøskøbing.",
    "ÄÖÜ äöü ß — „Anführungszeichen“ und Gedankenstriche",
    "¿Dónde está la biblioteca? ¡Allí!",
    "Быстрая коричневая лиса прыгает через ленивую собаку.",
    "敏捷的棕色狐狸跳过了懒狗。",
    "素早い茶色の狐がのろまな犬を飛び越える。",
    "다람쥐 헌 쳇바퀴에 타고파",
    "الثعلب البني السريع يقفز فوق الكلب الكسول",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है।",
    "😀 👩🏽‍💻 🇪🇺 emoji 🎉🎉",
    "e\u0301 is e with a combining accent",
    "tabs\tand\nnew lines\r\n  and   spaces  ",
    "UPPER lower MiXeD",
    "https://example.com/a?b=c&d=%20 <b>html</b> &amp; a@b.example",
    "[CLS] [SEP] [PAD] [MASK] <s> </s> <pad> <unk>",
    "x",
    "7",
    "…",
    "",
    "   ",
    "\u200b\ufeff\u0000zero width",
)


@dataclass(frozen=True, slots=True)
class Texts:
    """One text a row, by input name.

    Attributes:
        notes: What a person should know of them.
    """

    columns: Mapping[str, Array]
    synthetic: bool
    coverage: Coverage
    notes: tuple[str, ...] = ()


def wants_pairs(request: ConversionRequest, *, by_default: bool) -> bool:
    """Whether the user declares a second text.

    Raises:
        UsageError: ``--input`` declares something else.
    """
    for hint in request.inputs:
        if hint.name not in (TEXT, PAIR) or hint.dtype != "BYTES" or len(hint.shape) != 1:
            raise UsageError(
                f"--input declares {hint.name!r} as {hint.dtype} of {len(hint.shape)} axes, and the model takes texts",
                hint=f"write --input {TEXT}=BYTES:N, and {PAIR}=BYTES:N where it compares two",
            )
    return by_default or any(hint.name == PAIR for hint in request.inputs)


def texts_for(request: ConversionRequest, tokenizer: Any, *, pairs: bool, longest: int) -> Texts:
    """The texts to compare answers on, and whether a row has two.

    Raises:
        SampleError: The samples hold no column of texts, or no row.
    """
    if request.samples is None:
        return Texts(_drawn(tokenizer, request.seed, pairs, longest), True, _WEAK)
    columns = _given(request.samples, pairs)
    rows = len(columns[TEXT])
    if rows <= MOST_ROWS:
        return Texts(columns, False, Coverage())
    from packager.converters.sample_files import thinned

    kept = thinned(rows, limit=MOST_ROWS)
    note = f"{MOST_ROWS} of {rows} samples were compared, evenly spaced"
    return Texts({name: column[kept] for name, column in columns.items()}, False, Coverage(), (note,))


def _drawn(tokenizer: Any, seed: int, pairs: bool, longest: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    words = _vocabulary(tokenizer)
    lengths = [int(length) for length in rng.choice(_WORDS, _DRAWN)] if words else []
    # Every token may be a part of a word, so that this is cut for certain where it is not too long to be asked about.
    long = [min(longest, _LONGEST_DRAWN) * 2, min(longest, _LONGEST_DRAWN) // 2] if words else []
    texts = [*_SENTENCES, *(" ".join(rng.choice(words, max(1, length))) for length in (*lengths, *long))]
    texts = [text for text in texts if _has_tokens(tokenizer, text)]
    column = np.array(texts)
    return {TEXT: column, PAIR: column[rng.permutation(len(column))]} if pairs else {TEXT: column}


def _vocabulary(tokenizer: Any) -> list[str]:
    """What tokens of the vocabulary read as, in the order of their numbers."""
    special = set(tokenizer.all_special_ids)
    ids = [index for index in sorted(tokenizer.get_vocab().values()) if index not in special]
    some = [ids[place] for place in np.linspace(0, len(ids) - 1, min(len(ids), 4096)).astype(int)] if ids else []
    read = (tokenizer.decode([index]).strip() for index in some)
    return [word for word in dict.fromkeys(read) if word and "\ufffd" not in word and not word.startswith("##")]


def _has_tokens(tokenizer: Any, text: str) -> bool:
    return bool(tokenizer.backend_tokenizer.encode(text).ids)


def _given(path: Path, pairs: bool) -> dict[str, Array]:
    from packager.converters.sample_files import read_samples

    if path.suffix.lower() == ".csv" and path.is_file():
        columns = _of_csv(path)
    else:
        file = read_samples(path, texts=None)
        columns = dict(file.arrays or {})
        if file.frame is not None:
            columns = {str(name): file.frame[name].to_numpy() for name in file.frame.columns}
    texts = {name: _column(values) for name, values in columns.items()}
    found = {name: values for name, values in texts.items() if values is not None}
    wanted = (TEXT, PAIR) if pairs or PAIR in found else (TEXT,)
    if len(wanted) == 1 and len(found) == 1:
        found = {TEXT: next(iter(found.values()))}
    for name in wanted:
        if name not in found:
            raise SampleError(
                f"the samples {path.name!r} have no column {name!r} of texts; they hold {_listed(columns)}",
                hint=f"name the column {name!r}" + ("" if len(wanted) > 1 else ", or give one column of texts alone"),
            )
    taken = {name: found[name] for name in wanted}
    if {len(column) for column in taken.values()} != {len(taken[TEXT])} or not len(taken[TEXT]):
        raise SampleError(f"the samples {path.name!r} hold no rows, or columns of different lengths")
    return taken


def _of_csv(path: Path) -> dict[str, Array]:
    """The columns of a CSV with a header; every cell is text, an empty one too, and nothing stands for a gap."""
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header, *rows = filter(None, csv.reader(stream, strict=True))
        columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    except (csv.Error, ValueError) as error:
        raise SampleError(
            f"cannot read the samples {path.name!r}: {error}",
            hint="write a CSV in UTF-8 with a line of names and rows of as many cells",
        ) from error
    return {name: np.array(column) for name, column in columns.items()}


def _column(values: Array) -> Array | None:
    """Texts as an array of them; None where the column holds something else, or gaps."""
    flat = values.ravel() if values.ndim == 2 and values.shape[1] == 1 else values
    if flat.ndim != 1 or (flat.dtype.kind not in "UO" and flat.dtype.kind != "T"):
        return None
    items: Sequence[object] = flat.tolist()
    return np.array(items) if items and all(isinstance(item, str) for item in items) else None


def _listed(columns: Mapping[str, Array]) -> str:
    return ", ".join(repr(name) for name in list(columns)[:20]) or "nothing"
