"""Which paths the fast path answers: those of models that are ready, by their exact bytes."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.engine.queue import overloaded
from runtime.engine.repository import Slot, version_key
from runtime.routes.dialects import Answered, Dialect, invocations, open_inference, predict_v1, score
from runtime.routes.observing import traced
from runtime.routes.serving import Serving
from runtime.telemetry import Dialect as DialectName
from runtime.telemetry import dialect_of
from runtime.tracing import Traced

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.batching import Batcher, Turn
    from runtime.engine.session import OnnxModel

# Of the time that a request may wait, a turn gets this part: it waits for the turn in which it comes, then for its
# own, and probes, which come by new connections, for one more.
TURNS: Final = 4


@dataclass(slots=True)
class HotRoute:
    """One path.

    Attributes:
        batcher: None for a model whose runs are too long for the event loop.
        turn: Of the event loop.
        live: Until another table takes the place of the one that it is in.
    """

    path: str
    dialect_name: DialectName
    dialect: Dialect
    model: "OnnxModel"
    batcher: "Batcher | None"
    turn: "Turn"
    live: bool = True

    def check_turn(self, now_s: float, most_s: float) -> None:
        """Refuse what would make a long turn longer, where its run costs more than the refusal.

        Raises:
            Overloaded: The turn has lasted longer than ``most_s``.
        """
        if self.batcher is not None and self.batcher.costly and self.turn.lasted_s(now_s) > most_s:
            what = f"more requests came at once than are answered in {most_s:g} s"
            raise overloaded(what, "DRAY_MAX_WAIT_S", limit=most_s, wait_s=most_s)

    def traced(
        self,
        scheme: str | None,
        status: int,
        seconds: float,
        headers: Mapping[bytes, bytes],
        request_id: str,
        answered: Answered | None,
    ) -> Traced:
        """The facts of the span of a request to this path."""
        return traced(
            self.path,
            scheme or "http",
            status,
            seconds,
            headers=headers,
            dialect=self.dialect_name,
            request_id=request_id,
            model=self.model,
            answered=answered,
        )


class HotRoutes:
    """The table of a server; made anew when its models have changed."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._table: Mapping[bytes, HotRoute] = {}
        self._made_of: tuple[int, ...] = ()

    def find(self, url: bytes) -> HotRoute | None:
        """The route of a request target; None for what FastAPI answers, such as anything with a query."""
        return self._table.get(url)

    def refresh(self) -> None:
        """Take in what is ready now. Cheap where nothing has changed."""
        slots = [slot for slot in self._serving.repository.slots if slot.state == "ready"]
        made_of = tuple(id(slot.model) for slot in slots)
        if made_of != self._made_of:
            old, self._table = self._table, dict(self._entries(slots))
            for route in old.values():
                route.live = False
            self._made_of = made_of

    def _entries(self, slots: list[Slot]) -> Iterator[tuple[bytes, HotRoute]]:
        from runtime.engine.batching import Turn

        ordered = sorted(slots, key=lambda slot: version_key(slot.manifest.version if slot.manifest else ""))
        names = {slot.manifest.name for slot in self._serving.repository.slots if slot.manifest is not None}
        turn = Turn()
        for slot in ordered:  # the highest version last, so that the path without one is its
            model, batcher = slot.model, self._batcher(slot)
            if model is None:
                continue
            name, version = model.manifest.name, model.manifest.version
            paths: list[tuple[str, Dialect]] = []
            for base in (name, f"{name}/versions/{version}"):
                paths += [(f"/v2/models/{base}/infer", open_inference), (f"/v1/models/{base}:predict", predict_v1)]
            if len(names) == 1:
                paths += [("/score", score), ("/invocations", invocations)]
            for path, dialect in paths:
                yield path.encode("ascii"), HotRoute(path, dialect_of(path), dialect, model, batcher, turn)

    def _batcher(self, slot: Slot) -> "Batcher | None":
        from runtime.engine.batching import Batcher

        if slot.model is None or slot.costs is None or not slot.costs.inline:
            return None
        settings = self._serving.settings
        delay_s = (settings.max_delay_us or 0) / 1e6
        timed = self._serving.traces is not None
        return Batcher(slot.model, slot.costs, max_rows=settings.max_batch, delay_s=delay_s, timed=timed)


async def keep_fresh(routes: HotRoutes, serving: Serving, *, poll_s: float = 0.02) -> None:
    """Take in the models as they become ready, until all are or one failed."""
    while serving.repository.state == "starting":
        await asyncio.sleep(poll_s)
        routes.refresh()
    routes.refresh()
