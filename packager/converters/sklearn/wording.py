"""Documents for a vectoriser that came without samples: its own words, and what tokenisers trip over."""

import re
from typing import Any

import numpy as np

_DOCUMENTS = 160
_EDGES = ("", " ", "!?", "a", "Ab", "é à ü", "x-y_z 42 3", "tab\tand\nline", "Ünïcode ÄÖÜ ßtraße", "don't stop")


def documents(step: Any) -> list[str]:
    """Texts of words from a fitted vectoriser's vocabulary, equal on every call."""
    words = sorted({word for term in getattr(step, "vocabulary_", ()) for word in re.split(r"\s+", term) if word})
    if not words:
        return list(_EDGES)
    rng = np.random.default_rng(len(words))
    stop = sorted(step.get_stop_words() or ())[:50]
    strange = ["unseenword", "q", "É", *stop]
    made = list(_EDGES)
    for number in range(_DOCUMENTS):
        chosen = [str(word) for word in rng.choice(words, int(rng.integers(1, 12)))]
        if number % 3 == 0:
            chosen.insert(int(rng.integers(0, len(chosen))), str(rng.choice(strange)))
        text = (" ", ", ", "  ")[number % 3].join(chosen)
        made.append(_cased(text, number % 4))
    return made


def _cased(text: str, how: int) -> str:
    # Letters that change in number when they change case have no form that every tokeniser agrees on.
    plain = len(text.upper()) == len(text) and not set("ςσ") & set(text)
    return text.upper() if how == 0 and plain else text.capitalize() if how == 1 and plain else text
