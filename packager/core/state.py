"""Where dray keeps what it remembers between commands, and locks that two commands of one name share."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packager.core.errors import DeploymentBusy
from packager.core.files import ensure_folder, write_atomic, writing_to

_HOLDER_READS = 10
_HOLDER_WAIT_S = 0.02


def state_home() -> Path:
    """``DRAY_HOME``, else the platform's folder for application data; not necessarily there yet."""
    if home := os.environ.get("DRAY_HOME"):
        return Path(os.path.abspath(os.path.expanduser(home)))
    from platformdirs import user_data_path  # kept out of start-up

    return user_data_path("dray", appauthor=False)


def cache_home() -> Path:
    """Folder for what can be made again."""
    return state_home() / "cache"


@contextmanager
def deployment_lock(target: str, name: str) -> Iterator[None]:
    """Only one command at a time changes a deployment; the lock ends with the process that holds it.

    Raises:
        DeploymentBusy: Another command holds it; says which and since when.
        NotWritable, DiskFull: The lock could not be made.
    """
    from filelock import FileLock, Timeout  # kept out of start-up

    holder = state_home() / "locks" / f"{target}--{name}.json"
    with writing_to(holder):
        ensure_folder(holder.parent)
        lock = FileLock(holder.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise _busy(target, name, _read_holder(holder)) from error
    try:
        facts = {"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        write_atomic(holder, json.dumps(facts).encode())
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _busy(target: str, name: str, facts: dict[str, Any]) -> DeploymentBusy:
    return DeploymentBusy(
        f"another command (process {facts.get('pid', 'unknown')}) has been changing {name!r} on {target!r}"
        f" since {facts.get('since', 'a moment ago')}",
        hint="wait until it has ended, or end it, and run this again",
        detail=facts,
    )


def _read_holder(path: Path) -> dict[str, Any]:
    """What the holder wrote about itself; it writes just after it has the lock, so a moment of patience pays."""
    for _ in range(_HOLDER_READS):
        try:
            facts = json.loads(path.read_bytes())
        except FileNotFoundError:
            time.sleep(_HOLDER_WAIT_S)
            continue
        except ValueError:
            return {}
        return facts if isinstance(facts, dict) else {}
    return {}
