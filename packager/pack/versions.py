"""The next version number of a model, as this state folder has counted them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from packager.core.files import write_atomic, writing_to
from packager.core.state import state_home


@contextmanager
def next_version(name: str, *, count: bool = True) -> Iterator[str]:
    """The next number for ``name``, used up only if the block ends without an error.

    Held for the length of the block, so two packages made at once do not get the same number.

    Args:
        count: False only looks, for a plan.
    """
    from filelock import FileLock  # kept out of start-up

    path = state_home() / "versions" / f"{name}.json"
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        lock.acquire()
    try:
        number = (json.loads(path.read_bytes())["last"] if path.exists() else 0) + 1
        yield str(number)
        if count:
            write_atomic(path, json.dumps({"last": number}).encode())
    finally:
        lock.release()
