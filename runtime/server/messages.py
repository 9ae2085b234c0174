"""What a worker and the supervisor tell one another."""

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.contract.errors import DrayError
from runtime.routes.counts import Counts
from runtime.routes.serving import Change

# --- a worker tells


@dataclass(frozen=True, slots=True)
class Up:
    """It runs, its models are loaded or were never to be; it waits for ``Serve``.

    Attributes:
        errors: Why models cannot serve, by the serial number of their slots.
    """

    errors: Mapping[int, DrayError]


@dataclass(frozen=True, slots=True)
class Leaving:
    """Somebody told this worker alone to stop."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """It has answered everything but what waits for the supervisor."""


@dataclass(frozen=True, slots=True)
class Ask:
    """It wants the counters of all workers; these are its own."""

    number: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Counted:
    """Its counters: the answer to ``Count``, or the last ones before it ends (``number`` 0)."""

    number: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Wanted:
    """A client of its wants a model loaded or unloaded."""

    number: int
    verb: Change
    model: str


# --- the supervisor tells


@dataclass(frozen=True, slots=True)
class Serve:
    """Accept connections."""


@dataclass(frozen=True, slots=True)
class Retire:
    """Accept no more, finish what there is, end; others serve on."""


@dataclass(frozen=True, slots=True)
class Drain:
    """The server ends: accept what waits, finish, end.

    Attributes:
        stopped: Whether the listeners take no new connections any more.
        at_once: Wait for nothing.
    """

    stopped: bool
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """Tell the counters."""

    number: int


@dataclass(frozen=True, slots=True)
class Answer:
    """To ``Ask`` or ``Wanted``: what was asked for, nothing, or why not."""

    number: int
    result: Counts | DrayError | None


@dataclass(frozen=True, slots=True)
class HandoverFailed:
    """The public port could not be taken."""

    error: DrayError
