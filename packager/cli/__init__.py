"""The ``dray`` command: parse, call one function, print one result."""

import signal
import sys
from types import FrameType

from packager.cli.run import run


def main() -> None:
    """Entry point of the console script."""
    # A CI job that is cancelled gets SIGTERM: clean up as for Ctrl-C, instead of dying with half a deployment.
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(sys.argv[1:]))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
