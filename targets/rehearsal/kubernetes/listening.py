"""The HTTP servers of gateways and ingresses: as many as each has ports, on an address of its own."""

import asyncio
import base64
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.http_fronts import Certificate, HttpFront
from targets.rehearsal.kubernetes.ports import moved_words, port_here
from targets.rehearsal.kubernetes.store import Event, Key, key_of
from targets.rehearsal.kubernetes.traffic import Rule, Users, ordered

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


class Listeners:
    """Of all objects of one kind."""

    def __init__(self, cluster: Cluster, kind: str, want: Callable[[Key], None]) -> None:
        """Nothing listens yet.

        Args:
            want: Called with an object whose rules or certificates may have come to mean something else.
        """
        self._cluster = cluster
        self._kind = kind
        self._want = want
        self._listening: dict[Key, Listening] = {}
        self._rules: dict[Key, Sequence[Rule]] = {}
        self._users = Users()
        self._ending: set[asyncio.Task[None]] = set()
        cluster.store.listen(resources.SERVICES, self._service_heard)
        cluster.store.listen(resources.SECRETS, self._secret_heard)

    def settle(self, key: Key, rules: Iterable[Rule], wanted: Mapping[int, Certificate | None]) -> tuple[str, str]:
        """Serve by these rules on these ports; the address, and which ports stand for others."""
        listening = self._listening.get(key)
        if listening is None:
            label = f"{self._kind}/{'/'.join(key)}"
            listening = self._listening[key] = Listening(self._cluster, label, lambda: self._rules.get(key, ()))
        self._rules[key] = ordered(rules)
        self._users.note(key, self._rules[key])
        moved = listening.settle(wanted)
        return listening.address, moved

    def forget(self, key: Key) -> None:
        """An object is gone, or no longer ours."""
        listening = self._listening.pop(key, None)
        self._rules.pop(key, None)
        self._users.note(key, ())
        if listening is not None:
            task = listening.end()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def certificate(self, namespace: str, name: str) -> Certificate | None:
        """What a Secret holds; None where there is none, or it holds something else."""
        secret = self._cluster.store.get(resources.SECRETS, namespace, name)
        data = (secret or {}).get("data") or {}
        if "tls.crt" not in data or "tls.key" not in data:
            return None
        return Certificate(base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"]))

    async def end(self) -> None:
        """Listen no more."""
        await asyncio.gather(*self._ending, *(each.end() for each in self._listening.values()))

    def _service_heard(self, event: Event) -> None:
        """A backend came or went."""
        if event.change != "MODIFIED" or (event.before or {}).get("spec") != event.found["spec"]:
            for each in self._users.of(key_of(event.found)):
                self._want(each)

    def _secret_heard(self, event: Event) -> None:
        if event.found.get("type") == "kubernetes.io/tls":
            for each in self._listening:
                self._want(each)


async def _end_all(fronts: Sequence[HttpFront]) -> None:
    await asyncio.gather(*(front.end() for front in fronts))
