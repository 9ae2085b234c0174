"""Requests of texts: rows of like length go through the graph together, and no more tokens at a time than it bears."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InvalidInput
from runtime.preprocessing.tokenization import TOKENS_PER_RUN, TokenizationError, Tokenizer, groups

Array = NDArray[Any]
Ask = Callable[[Mapping[str, Array]], Sequence[Array]]


def answer_texts(
    tokenizer: Tokenizer,
    texts: Mapping[str, Array],
    ask: Ask,
    *,
    batchable: bool,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Array]:
    """The outputs for all rows, in their order.

    Args:
        ask: The graph: its inputs by name → its outputs.
        batchable: Whether rows may share a run; else each has its own.
        stopped: Whether the answer is not wanted any more.

    Raises:
        InvalidInput: No row, or a text that cannot be tokenised.
    """
    if not len(next(iter(texts.values()))):
        raise InvalidInput("the request holds no text", hint="send at least one row")
    try:
        rows = tokenizer.encode(texts, stopped=stopped)
    except TokenizationError as error:
        raise InvalidInput(error.message, hint=error.hint, detail=error.detail) from error
    order: list[int] = []
    parts: list[Sequence[Array]] = []
    by_length = sorted(range(len(rows)), key=lambda index: len(rows[index].ids))  # little of a run is then padding
    for group in groups(rows, by_length, limit=TOKENS_PER_RUN if batchable else 0):
        order += group
        parts.append(ask(tokenizer.padded([rows[index] for index in group])))
    if len(parts) == 1 and order == sorted(order):
        return list(parts[0])
    back = np.argsort(order)
    return [np.concatenate(pieces)[back] for pieces in zip(*parts, strict=True)]
