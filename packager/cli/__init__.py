"""The ``dray`` command: parse, call one function, print one result."""

import sys


def main() -> None:
    """Entry point of the console script; loads the rest itself, so that an interrupt meanwhile ends like any other."""
    try:
        from packager.cli.run import run
        from packager.core import interrupts

        interrupts.listen()
        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("error E-INTERRUPTED: interrupted; nothing was begun\n")
        status = 130
    sys.exit(status)
