"""The ``dray`` command: parse, call one function, print one result."""

import sys

from packager.cli.run import run


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))
