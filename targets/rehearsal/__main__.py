"""``python -m targets.rehearsal NAME --folder FOLDER``: the stand-in of one target's cloud, until nobody needs it."""

import argparse
import logging
import os
import sys
from pathlib import Path

from packager.core.errors import DrayError
from targets.rehearsal.layout import StageFolder
from targets.rehearsal.service import run


def main() -> int:
    """Serve; the exit status."""
    parser = argparse.ArgumentParser(prog="targets.rehearsal", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--api", help="a module with create_app and FAULTS, where the name has none of its own")
    given = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        run(given.name, StageFolder(given.folder), given.api)
    except DrayError as error:
        sys.stderr.write(f"{error.code} {error.message}\n")
        return 1
    except Exception:
        # Told here, for the process ends without the interpreter's own end.
        logging.getLogger(__name__).exception("the stand-in of %s ended", given.name)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    sys.stderr.flush()
    # Threads of the API may still wait for something; nothing that they could do matters any more.
    os._exit(status)
