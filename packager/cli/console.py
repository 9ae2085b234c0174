"""What the command line writes: results to stdout, everything else to stderr."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from packager.core.errors import DrayError
from packager.core.progress import Progress, SilentProgress
from packager.documents import Printable

if TYPE_CHECKING:
    from rich.status import Status


REHEARSAL = "rehearsal: "
_SHOWN_LINES = 10
# In a hint that was written for the real thing.
_COMMAND_OF_A_DEPLOYMENT = re.compile(r"`(dray (?:status|test|invoke|logs|rollback|delete)(?:(?! --rehearse)[^`])*)`")


class Format(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


class CommonFormat(StrEnum):
    """Those that every command knows."""

    TEXT = "text"
    JSON = "json"


class ProgressStyle(StrEnum):
    """How progress is shown."""

    AUTO = "auto"
    TTY = "tty"
    PLAIN = "plain"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Console:
    """Where a command prints, and how.

    Attributes:
        verbosity: -1 quiet, 0 as usual, 1 with details.
        rehearsal: Whether every line and document says that nothing of it was the real thing.
    """

    format: Format = Format.TEXT
    progress_style: ProgressStyle = ProgressStyle.AUTO
    verbosity: int = 0
    color: bool = True
    assume_yes: bool = False
    rehearsal: bool = False
    began: float = field(default_factory=time.monotonic)

    def result(self, document: Printable, text: Callable[[], str]) -> None:
        """Print one result: the document as JSON, or what ``text`` makes of it."""
        if self.format is Format.JSON:
            self.write(marked_document(document.to_json()) if self.rehearsal else document.to_json())
        else:
            self.lines(text())

    def lines(self, text: str) -> None:
        """Lines for people on stdout."""
        self.write(self._marked(text))

    def write(self, text: str) -> None:
        """One block of text on stdout, as it is."""
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        """Columns as kubectl prints them: aligned, no rules, easy to cut."""
        widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
        lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        head = "   ".join(cell.ljust(width) for cell, width in zip(headings, widths, strict=True))
        return "\n".join(line.rstrip() for line in [head, *lines])

    def note(self, message: str) -> None:
        """A message for people, on stderr; ``-q`` hides it."""
        if self.verbosity >= 0:
            sys.stderr.write(self._marked(message) + "\n")

    def error(self, error: DrayError) -> None:
        """An error: one document on stdout with ``-o json``, else code, message and hint on stderr."""
        advice = _COMMAND_OF_A_DEPLOYMENT.sub(r"`\1 --rehearse`", error.hint) if self.rehearsal else error.hint
        if self.format is Format.JSON:
            import json

            mark = {"rehearsal": True} if self.rehearsal else {}
            self.write(json.dumps({**mark, "error": {**error.as_dict(), "hint": advice}}, indent=2, default=str))
            return
        label = self._styled(f"error {error.code}", "31;1")
        hint = f"\n  {self._styled('hint', '36')}: {advice}" if advice else ""
        sys.stderr.write(self._marked(f"{label}: {error.message}{hint}{self._evidence(error)}") + "\n")

    def _evidence(self, error: DrayError) -> str:
        """What else a person must see of an error: what was left, and the last events and log lines."""
        shown = [("left", line) for line in getattr(error, "__notes__", ())]
        for name, key in (("tried", "tried"), ("event", "events"), ("log", "log")):
            lines = error.detail.get(key)
            if isinstance(lines, list):
                shown += [(name, str(line)) for line in lines[-_SHOWN_LINES:]]
        return "".join(f"\n  {self._styled(name, '36')}: {line}" for name, line in shown)

    def ask(self, question: str) -> bool | None:
        """A person's answer, or None where nobody can answer."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        sys.stderr.write(self._marked(f"{question} [y/N] "))
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A receiver of progress for the length of the block."""
        style = self.progress_style
        if style is ProgressStyle.AUTO:
            style = (
                ProgressStyle.TTY if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else ProgressStyle.PLAIN
            )
        if self.verbosity < 0 or style is ProgressStyle.QUIET:
            yield SilentProgress()
        elif style is ProgressStyle.PLAIN:
            yield PlainProgress(self.began, details=self.verbosity > 0, mark=self.mark)
        else:
            with self._spinner() as status:
                yield SpinnerProgress(status, self.began, details=self.verbosity > 0, mark=self.mark)

    @property
    def mark(self) -> str:
        """What every line begins with."""
        return REHEARSAL if self.rehearsal else ""

    def _marked(self, text: str) -> str:
        return "\n".join(f"{self.mark}{line}" for line in text.rstrip("\n").split("\n"))

    @contextmanager
    def _spinner(self) -> Iterator["Status"]:
        from rich.console import Console as RichConsole  # kept out of start-up

        console = RichConsole(stderr=True, no_color=not self._colored(sys.stderr.isatty()), highlight=False)
        with console.status("") as status:
            yield status

    def _styled(self, text: str, ansi: str) -> str:
        return f"\x1b[{ansi}m{text}\x1b[0m" if self._colored(sys.stderr.isatty()) else text

    def _colored(self, is_terminal: bool) -> bool:
        return self.color and is_terminal and not os.environ.get("NO_COLOR")


def marked_document(text: str) -> str:
    """A document that says that it is of a rehearsal; of a list, every row does."""
    import json

    document = json.loads(text)
    mark = {"rehearsal": True}
    marked = [{**mark, **row} for row in document] if isinstance(document, list) else {**mark, **document}
    return json.dumps(marked, indent=2, ensure_ascii=False)


class PlainProgress(Progress):
    """A line a stage, with the seconds since the command began; for logs and CI."""

    def __init__(self, began: float, *, details: bool, mark: str = "") -> None:
        self._began = began
        self._details = details
        self._mark = mark

    def step(self, message: str) -> None:
        """Print the stage."""
        self._line(message)

    def advance(self, done: int, total: int) -> None:
        """Print the share, for those who asked for details."""
        self.detail(f"{done} of {total}")

    def detail(self, message: str) -> None:
        """Print it, for those who asked for details."""
        if self._details:
            self._line(f"  {message}")

    def _line(self, message: str) -> None:
        sys.stderr.write(f"{self._mark}{time.monotonic() - self._began:6.1f} s  {message}\n")


class SpinnerProgress(Progress):
    """A spinner with the current stage; finished stages stay above it with the time each took."""

    def __init__(self, status: "Status", began: float, *, details: bool, mark: str = "") -> None:
        self._status = status
        self._details = details
        self._mark = mark
        self._stage: str | None = None
        self._since = began

    def step(self, message: str) -> None:
        """Leave the last stage behind and show the next."""
        now = time.monotonic()
        if self._stage is not None:
            self._print(f"{now - self._since:6.1f} s  {self._stage}")
        self._stage, self._since = message, now
        self._status.update(f"{self._mark}{message}")

    def advance(self, done: int, total: int) -> None:
        """Show the share beside the stage."""
        self._status.update(f"{self._mark}{self._stage} ({done} of {total})")

    def detail(self, message: str) -> None:
        """Print it, for those who asked for details."""
        if self._details:
            self._print(f"          {message}")

    def _print(self, line: str) -> None:
        # soft_wrap and markup off: paths and brackets must come out as they are.
        self._status.console.print(f"{self._mark}{line}", markup=False, soft_wrap=True)
