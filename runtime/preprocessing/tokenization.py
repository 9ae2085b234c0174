"""Texts → token ids, by the library ``tokenizers``: the same code proves a package and serves it."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.contract.manifest import Tokenization

if TYPE_CHECKING:
    import tokenizers

Array = NDArray[Any]

# Padded tokens of one run. Attention takes memory by their number times the length of a row: here some 100 MB a layer.
TOKENS_PER_RUN: Final = 8192
# Of one text. The library makes tokens of all of it before it cuts: of this many, in some 0.5 s and 100 MB.
MAX_CHARACTERS: Final = 1 << 18


class TokenizationError(ValueError):
    """Texts that cannot be tokenised, or a tokenizer that cannot be used; whoever asks says what that means.

    Attributes:
        detail: ``tensor`` and ``row`` where a text is to blame.
    """

    def __init__(self, message: str, *, hint: str = "", detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = dict(detail or {})


@dataclass(frozen=True, slots=True)
class Tokens:
    """One row, before it is filled up to the length of others."""

    ids: Array
    type_ids: Array


def groups(rows: Sequence[Tokens], order: Iterable[int], *, limit: int = TOKENS_PER_RUN) -> Iterator[list[int]]:
    """Rows, by index and in this order, that go through the graph together: few enough for their padded tokens."""
    group: list[int] = []
    longest = 0
    for index in order:
        longest = max(longest, len(rows[index].ids))
        if group and (len(group) + 1) * longest > limit:
            yield group
            group, longest = [], len(rows[index].ids)
        group.append(index)
    yield group


class Tokenizer:
    """A tokenizer as the manifest declares it.

    Args:
        content: Of its file.

    Raises:
        TokenizationError: The library is absent, or does not take the file.
    """

    def __init__(self, step: Tokenization, content: bytes) -> None:
        self._step = step
        self._tokenizer = _loaded(step, content)

    def encode(self, texts: Mapping[str, Array], *, stopped: Callable[[], bool] = lambda: False) -> list[Tokens]:
        """The tokens of every row, cut to the longest that the model takes.

        Args:
            texts: By input of the signature: ``str``, or ``bytes`` in UTF-8.
            stopped: Asked now and then whether the tokens are still wanted.

        Raises:
            TokenizationError: A text is not UTF-8, too long to be read, or has no token; names input and row. Or
                the tokens are not wanted any more.
        """
        columns = [self._prepared(name, texts[name]) for name in self._step.text_names]
        rows = list(zip(*columns, strict=True))
        found: list[Tokens] = []
        for piece in _pieces(rows):
            if stopped():
                raise TokenizationError("the request was given up before all its texts were read")
            found += self._encoded(piece, len(found))
        return found

    def _encoded(self, rows: Sequence[tuple[str, ...]], first: int) -> list[Tokens]:
        step = self._step
        # Offsets, which nobody asks for, would take half of the time.
        encoded = self._tokenizer.encode_batch_fast([row[0] if step.text_pair is None else row for row in rows])
        for index, entry in enumerate(encoded):
            if not entry.ids:
                raise TokenizationError(
                    f"input {step.text!r} needs texts with at least one token, got {rows[index][0]!r:.40} in row"
                    f" {first + index}",
                    detail={"tensor": step.text, "row": first + index},
                )
        return [Tokens(np.array(entry.ids, np.int32), np.array(entry.type_ids, np.int32)) for entry in encoded]

    def padded(self, rows: Sequence[Tokens]) -> dict[str, Array]:
        """The graph's inputs for these rows, all as long as the longest."""
        step = self._step
        length = max(len(row.ids) for row in rows)
        shape = (len(rows), length)
        ids, types = np.full(shape, step.pad_id, np.int64), np.full(shape, step.pad_type_id, np.int64)
        mask = np.zeros(shape, np.int64)
        for index, row in enumerate(rows):
            count = len(row.ids)
            place = slice(0, count) if step.padding_side == "right" else slice(length - count, length)
            ids[index, place], types[index, place], mask[index, place] = row.ids, row.type_ids, 1
        feeds = ((step.input_ids, ids), (step.attention_mask, mask), (step.token_type_ids, types))
        return {name: values for name, values in feeds if name is not None}

    def _prepared(self, name: str, column: Array) -> list[str]:
        return [self._text(name, row, item) for row, item in enumerate(column.tolist())]

    def _text(self, name: str, row: int, item: object) -> str:
        try:
            text = item.decode("utf-8") if isinstance(item, bytes) else item
            if not isinstance(text, str):
                raise _no_text(name, row, f"{item!r:.80}")
            if len(text) > MAX_CHARACTERS:
                raise _too_long(name, row, len(text))
            text.encode("utf-8")  # the library panics at half of a surrogate pair
        except UnicodeError as error:
            raise _no_text(name, row, f"{item!r:.80}") from error
        return self._step.prefix + text if name == self._step.text else text


def _loaded(step: Tokenization, content: bytes) -> "tokenizers.Tokenizer":
    # One thread a request, as for the graph: those of the library would go beyond the container's share.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import tokenizers
    except ImportError as error:
        raise TokenizationError(
            "the model takes texts, and the package tokenizers that makes tokens of them is not installed here",
            hint='pip install "dray[text]"',
        ) from error
    try:
        tokenizer = tokenizers.Tokenizer.from_str(content.decode("utf-8"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(step.max_length, strategy="longest_first", direction=step.truncation_side)
    except Exception as error:  # the library knows no class of its own for what it refuses
        raise TokenizationError(
            f"tokenizers {tokenizers.__version__} cannot use {step.path}: {' '.join(str(error).split())[:300]}",
            hint="use the version of tokenizers that the package's certificate names, or package the model again",
        ) from error
    return tokenizer


def _no_text(name: str, row: int, actual: str) -> TokenizationError:
    return TokenizationError(
        f"input {name!r} needs texts in UTF-8, got {actual} in row {row}", detail={"tensor": name, "row": row}
    )


def _too_long(name: str, row: int, characters: int) -> TokenizationError:
    return TokenizationError(
        f"input {name!r} takes texts of at most {MAX_CHARACTERS} characters, got {characters} in row {row}",
        hint="cut it: of a long text the model sees its first tokens only",
        detail={"tensor": name, "row": row, "expected": MAX_CHARACTERS, "actual": characters},
    )


def _pieces(rows: Sequence[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
    """The rows in turn, few enough at a time that what the library makes of them is small."""
    piece: list[tuple[str, ...]] = []
    characters = 0
    for row in rows:
        size = sum(map(len, row))
        if piece and characters + size > MAX_CHARACTERS:
            yield piece
            piece, characters = [], 0
        piece.append(row)
        characters += size
    if piece:
        yield piece
