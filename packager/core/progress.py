"""How long work reports itself: libraries report, only the command line prints."""

from abc import abstractmethod
from typing import Protocol


class Progress(Protocol):
    """Receiver of progress; implementations print, record or ignore."""

    @abstractmethod
    def step(self, message: str) -> None:
        """A new stage of work begins."""

    @abstractmethod
    def advance(self, done: int, total: int) -> None:
        """``done`` of ``total`` equal parts of the current stage are finished."""

    @abstractmethod
    def detail(self, message: str) -> None:
        """Something that ``-v`` should show."""


class SilentProgress(Progress):
    """Ignores everything; the default of the Python interface."""

    def step(self, message: str) -> None:
        """Nothing."""

    def advance(self, done: int, total: int) -> None:
        """Nothing."""

    def detail(self, message: str) -> None:
        """Nothing."""
