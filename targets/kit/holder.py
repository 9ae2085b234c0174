"""Who is changing a deployment, as it is written down at the deployment itself, for commands of other machines."""

import getpass
import json
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from packager.core.errors import DeploymentBusy

_CLOCK_TOLERANCE_S = 2.0
# Clocks of two machines differ by less.
_CLOCKS_S = 60.0
# Where it is written down, there may be room for 256 characters in all.
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Holder:
    """One command at work.

    Attributes:
        began: Of its process, seconds since 1970, so that an id that was given again is not taken for it.
        since: ISO 8601, UTC.
        limit_s: For how long it may take, the way back included.
    """

    who: str
    host: str
    pid: int
    began: float
    since: str
    limit_s: float

    @classmethod
    def me(cls, *, limit_s: float) -> "Holder":
        """This process, from now on."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        began = round(psutil.Process().create_time(), 2)
        return cls(_user(), _host(), os.getpid(), began, since, limit_s)

    @classmethod
    def parse(cls, text: str) -> "Holder | None":
        """What ``str`` wrote; None for anything else."""
        try:
            document: dict[str, Any] = json.loads(text)
            return cls(
                str(document["who"]),
                str(document["host"]),
                int(document["pid"]),
                float(document["began"]),
                str(document["since"]),
                float(document["limit_s"]),
            )
        except (ValueError, KeyError, TypeError):
            return None

    def __str__(self) -> str:
        fields = ("who", "host", "pid", "began", "since", "limit_s")
        return json.dumps({name: getattr(self, name) for name in fields}, separators=(",", ":"), ensure_ascii=False)

    @property
    def mine(self) -> bool:
        """Whether it is this very process."""
        return self._is_here and self.pid == os.getpid()

    def at_work(self, now: datetime | None = None) -> bool:
        """Whether another command, which may still be alive, holds it."""
        if self.mine:
            return False
        if self._is_here:
            return self._alive()
        return self.ends is not None and (now or datetime.now(UTC)) < self.ends

    @property
    def ends(self) -> datetime | None:
        """When it is over at the latest, as another machine sees it; None where nobody can say."""
        try:
            return datetime.fromisoformat(self.since) + timedelta(seconds=self.limit_s + _CLOCKS_S)
        except (ValueError, OverflowError):
            return None

    @property
    def _is_here(self) -> bool:
        return self.host == _host()

    def _alive(self) -> bool:
        try:
            return abs(psutil.Process(self.pid).create_time() - self.began) <= _CLOCK_TOLERANCE_S
        except psutil.Error:
            return False


def refuse_if_held(name: str, target: str, holder: Holder | None) -> None:
    """Let one command at a time change a deployment, wherever the others run.

    Raises:
        DeploymentBusy: Another one is at it; says who and since when.
    """
    if holder is not None and holder.at_work():
        raise busy(name, target, holder)


def busy(name: str, target: str, holder: Holder) -> DeploymentBusy:
    """The error that says who is at it."""
    return DeploymentBusy(
        f"{holder.who}@{holder.host} (process {holder.pid}) has been changing {name!r} on {target!r}"
        f" since {holder.since}",
        hint=f"wait until that command has ended, or end it, and run this again{_at_the_latest(holder)}",
        detail={"user": holder.who, "host": holder.host, "pid": holder.pid, "since": holder.since},
    )


def _at_the_latest(holder: Holder) -> str:
    """Of a command of another machine, which may have been killed, nobody here can know that."""
    here = holder.host == _host()
    return "" if here or holder.ends is None else f"; from {holder.ends:%H:%M} UTC on it counts as dead"


def _host() -> str:
    return socket.gethostname()[:_LONGEST]


def _user() -> str:
    try:
        return getpass.getuser()[:_LONGEST]
    except (OSError, KeyError):  # a user id without a name, as containers have them
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "somebody"
