import subprocess
import sys

SWALLOWED = """
import os, signal
from packager.core import interrupts
interrupts.listen()
try:
    os.kill(os.getpid(), signal.{name})
except KeyboardInterrupt:
    print("raised")
try:
    interrupts.check()
except KeyboardInterrupt:
    print("found again")
"""


def printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.split("\n")[:-1]


def test_a_signal_whose_exception_was_swallowed_is_found_again() -> None:
    for name in ("SIGINT", "SIGTERM"):
        assert printed(SWALLOWED.format(name=name)) == ["raised", "found again"]


def test_without_a_signal_nothing_is_raised() -> None:
    assert printed("from packager.core import interrupts; interrupts.check(); print('on')") == ["on"]
