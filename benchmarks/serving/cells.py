"""What is measured: a model, how a request is encoded, and how many connections ask at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, cast

# "json": Open Inference v2 where a peer speaks it, otherwise rows in its own form. "v1": rows, KServe v1.
Encoding = Literal["json", "v1", "binary"]
ENCODINGS: Final[tuple[Encoding, ...]] = ("json", "v1", "binary")
CONNECTIONS: Final = (1, 8, 32)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One line of the benchmark."""

    model: str
    encoding: Encoding
    connections: int

    @property
    def name(self) -> str:
        """As it is selected: ``logreg-json-32``."""
        return f"{self.model}-{self.encoding}-{self.connections}"


def cell(name: str) -> Cell:
    """The cell of a name."""
    model, encoding, connections = name.rsplit("-", 2)
    return Cell(model, cast("Encoding", encoding), int(connections))


DEFAULT: Final = tuple(
    cell(name)
    for name in (
        "logreg-json-1", "logreg-json-8", "logreg-json-32", "logreg-v1-32", "logreg-binary-32",
        "gbdt-json-1", "gbdt-json-32", "cnn-json-32", "cnn-binary-8",
        "image-json-1", "image-binary-1", "image-binary-8", "mobilenet-binary-1", "mobilenet-binary-8",
    )
)  # fmt: skip


def matrix(models: Sequence[str]) -> tuple[Cell, ...]:
    """Every cell there is."""
    return tuple(Cell(model, encoding, count) for model in models for encoding in ENCODINGS for count in CONNECTIONS)


def select(patterns: Sequence[str], models: Sequence[str]) -> tuple[Cell, ...]:
    """Cells whose names match one of the patterns (``logreg-*-32``), in the order of the matrix.

    Raises:
        ValueError: A pattern matches nothing.
    """
    every = matrix(models)
    for pattern in patterns:
        if not any(fnmatchcase(one.name, pattern) for one in every):
            raise ValueError(f"no cell is called {pattern!r}; there is {every[0].name!r}, and others like it")
    return tuple(one for one in every if any(fnmatchcase(one.name, pattern) for pattern in patterns))
