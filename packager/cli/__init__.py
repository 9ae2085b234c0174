"""The ``dray`` command: parse, call one function, print one result."""

import sys

from packager.cli.run import run
from packager.core import interrupts


def main() -> None:
    """Entry point of the console script."""
    interrupts.listen()
    sys.exit(run(sys.argv[1:]))
