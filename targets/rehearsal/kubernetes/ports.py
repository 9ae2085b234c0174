"""Ports that this user may not open, and those that stand for them."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_ABOVE: Final = 8000
_USUAL: Final = 1024
_FIRST_FREE: Final = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def port_here(port: int) -> int:
    """The port that stands for one: another where this user may not listen on it."""
    return port if port >= _first_free_port() else port + _ABOVE


def moved_words(ports: Iterable[int]) -> str:
    """Which ports of some stand for others, as the annotation says it; empty where none does."""
    return ",".join(f"{port}={port_here(port)}" for port in sorted(ports) if port_here(port) != port)


def _first_free_port() -> int:
    if sys.platform != "linux" or os.geteuid() == 0:
        return 1
    try:
        return int(_FIRST_FREE.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return _USUAL
