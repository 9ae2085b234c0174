"""The HTTP servers of one gateway or ingress: as many as it has ports, on an address of its own."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.http_fronts import Certificate, HttpFront
from targets.rehearsal.kubernetes.ports import moved_words, port_here
from targets.rehearsal.kubernetes.traffic import Rule

logger = logging.getLogger(__name__)


class Listening:
    """Settles by itself what listens, whenever something else is wanted."""

    def __init__(self, cluster: Cluster, label: str, rules: Callable[[], Sequence[Rule]]) -> None:
        """Nothing listens yet.

        Args:
            label: The address is the same each time, as long as that is free.
        """
        self._cluster = cluster
        self._label = label
        self._rules = rules
        self._fronts: dict[int, tuple[HttpFront, Certificate | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""

    def settle(self, wanted: Mapping[int, Certificate | None]) -> str:
        """Listen on these ports and no others; which stand for others, as the annotation says it."""
        if not self.address:
            self.address = self._cluster.addresses.take(self._label, [port_here(port) for port in wanted])
        for port, (front, certificate) in list(self._fronts.items()):
            if port not in wanted or wanted[port] != certificate:
                del self._fronts[port]
                self._spawn(front)
        for port, certificate in wanted.items():
            if port not in self._fronts:
                self._begin(port, port_here(port), certificate)
        return moved_words(wanted)

    def end(self) -> "asyncio.Task[None]":
        """Listen no more."""
        fronts = [front for front, _ in self._fronts.values()]
        self._fronts.clear()
        if self.address:
            self._cluster.addresses.give_back(self.address)
        return asyncio.ensure_future(_end_all(fronts))

    def _begin(self, port: int, number: int, certificate: Certificate | None) -> None:
        front = HttpFront(self._cluster, self._rules)
        try:
            front.begin(self.address, number, certificate)
        except OSError as error:
            logger.warning("%s cannot listen on %s:%d: %s", self._label, self.address, number, error)
            return
        self._fronts[port] = front, certificate

    def _spawn(self, front: HttpFront) -> None:
        task = asyncio.ensure_future(front.end())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _end_all(fronts: Sequence[HttpFront]) -> None:
    await asyncio.gather(*(front.end() for front in fronts))
