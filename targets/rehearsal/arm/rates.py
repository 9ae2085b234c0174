"""How many requests a subscription may send: a bucket a kind, as ARM has them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from targets.rehearsal.arm.resource_errors import throttled

Kind = Literal["read", "write", "delete"]


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests at once, and how many a second come back."""

    size: int
    refill: int


# Source: "Understand how Azure Resource Manager throttles requests" on Microsoft Learn: subscription and service
# principal, all regions of the public cloud.
LIMITS: dict[Kind, Limit] = {"read": Limit(250, 25), "write": Limit(200, 10), "delete": Limit(200, 10)}


def kind_of(method: str) -> Kind:
    """Of a request."""
    return "read" if method in ("GET", "HEAD") else "delete" if method == "DELETE" else "write"


class Rates:
    """The buckets of all subscriptions."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[tuple[str, Kind], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, subscription: str, method: str) -> dict[str, str]:
        """One request more; the header that says how many are left.

        Raises:
            ArmError: There is none left.
        """
        kind = kind_of(method)
        limit, now = LIMITS[kind], self._clock()
        with self._lock:
            left, then = self._left.get((subscription, kind), (float(limit.size), now))
            left = min(left + (now - then) * limit.refill, limit.size)
            if left < 1:
                raise throttled(subscription, kind, 1)
            self._left[subscription, kind] = left - 1, now
        return {f"x-ms-ratelimit-remaining-subscription-{kind}s": str(int(left - 1))}
