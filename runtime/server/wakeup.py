"""How a process that waits with ``select`` hears of signals and of its own threads."""

import signal
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_NUMBERS: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGCHLD", "SIGUSR1") if hasattr(signal, name)
)


class Wakeup:
    """A socket that is readable when a signal has come, or when somebody called ``wake``."""

    def __init__(self) -> None:
        self._out, self._in = socket.socketpair()
        self._out.setblocking(False)
        self._in.setblocking(False)
        self._signals: deque[int] = deque()

    def fileno(self) -> int:
        """For whoever waits for it."""
        return self._out.fileno()

    @contextmanager
    def handled_signals(self) -> Iterator[None]:
        """Take signals in rather than end by them."""
        before = {number: signal.signal(number, self._note) for number in _NUMBERS}
        signal.set_wakeup_fd(self._in.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)

    def wake(self) -> None:
        """From any thread."""
        try:
            self._in.send(b"\0")
        except BlockingIOError:  # it has enough to wake up for
            return

    def taken(self) -> list[int]:
        """The signals that have come since the last call."""
        try:
            self._out.recv(4096)
        except BlockingIOError:
            pass
        numbers = list(self._signals)
        self._signals.clear()
        return numbers

    def forget(self) -> None:
        """In a process that was forked: leave all of it to the other."""
        signal.set_wakeup_fd(-1)
        for number in _NUMBERS:
            # Until the new process says otherwise; a terminal's Ctrl-C and a hand-over are the supervisor's to hear.
            ignored = number in (signal.SIGINT, getattr(signal, "SIGUSR1", None))
            signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
        self._out.close()
        self._in.close()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)
