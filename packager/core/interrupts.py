"""Ctrl-C and SIGTERM that are not lost.

The exception that a signal raises may be swallowed: native modules clear errors of calls that they make while they are
imported, and this process imports some while a child converts. The signal is remembered, and looked for again.
"""

import signal
import threading
from types import FrameType

_seen = threading.Event()


def listen() -> None:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt, for a command that owns its process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def check() -> None:
    """Raise KeyboardInterrupt where a signal came; for places from which nothing has been changed yet."""
    if _seen.is_set():
        raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _seen.set()
    raise KeyboardInterrupt
