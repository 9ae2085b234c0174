"""What every route works on: the one state of this server process."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from runtime.contract.errors import DrayError
from runtime.engine.queue import Queue
from runtime.engine.repository import Repository, Slot
from runtime.errors import Draining, ModelNotReady
from runtime.routes.counts import Counts, counts_of
from runtime.sampling import Samples
from runtime.settings import Settings
from runtime.telemetry import Messages, Requests
from runtime.tracing import Traces

ServingState = Literal["starting", "ready", "failed", "draining"]
Change = Literal["load", "unload"]


@dataclass(slots=True)
class Serving:
    """Models, queue and what the listener tells about itself.

    Attributes:
        addresses: ``host:port`` of every listening socket, IPv6 hosts in brackets.
        requests: Counts and logs them.
        samples, traces: Of answered requests; None where none are wanted.
        keys: API keys, one of which a request must carry; none where everyone may ask.
        handover_error: Why the public address could not be taken over.
        models_changed: Told when models were loaded or unloaded while serving.
        connection_made: Told of every new connection.
        retiring: This process finishes what it has; the server goes on in others.
        total: The counters of all processes; None where this is the only one.
        control: Loads or unloads a model in all processes; None where this is the only one.
        messages: What the edge module has counted; None where this is none.
    """

    settings: Settings
    repository: Repository
    queue: Queue
    requests: Requests = field(default_factory=Requests)
    samples: Samples | None = None
    traces: Traces | None = None
    keys: tuple[bytes, ...] = ()
    draining: bool = False
    addresses: list[str] = field(default_factory=list)
    handover_error: DrayError | None = None
    models_changed: Callable[[], None] = lambda: None
    connection_made: Callable[[], None] = lambda: None
    retiring: bool = False
    total: Callable[[], Awaitable[Counts]] | None = None
    control: Callable[[Change, str], Awaitable[None]] | None = None
    messages: Callable[[], Messages] | None = None

    @property
    def closing(self) -> bool:
        """Whether a connection has no further request to come here."""
        return self.draining or self.retiring

    async def counts(self) -> Counts:
        """Of the whole server, whichever process is asked."""
        return counts_of(self) if self.total is None else await self.total()

    async def change(self, verb: Change, model: str) -> None:
        """Load or unload a model; over when every process answers accordingly.

        Raises:
            DrayError: Why not; nothing has changed then.
        """
        if self.control is not None:
            await self.control(verb, model)
            return
        repository = self.repository
        await asyncio.to_thread(repository.reload if verb == "load" else repository.unload, model)
        self.models_changed()

    @property
    def state(self) -> ServingState:
        """``draining`` hides what the models are in."""
        return "draining" if self.draining else self.repository.state

    def not_ready(self) -> DrayError | None:
        """Why a probe must not send traffic here; None when it may."""
        state = self.state
        if state == "ready":
            return None
        if state == "draining":
            return Draining("the server is draining: it finishes what it has and stops")
        if state == "starting":
            return ModelNotReady("the server is starting: its models are being loaded and tested")
        return next(slot.error for slot in self.repository.slots if slot.error is not None)

    def close(self) -> None:
        """Let go of threads, and write out what is to be told of requests; within a few seconds."""
        self.queue.close()
        self.requests.flush()
        if self.samples is not None:
            self.samples.close()
        if self.traces is not None:
            self.traces.close()

    def report(self) -> dict[str, Any]:
        """The body of ``/readyz``."""
        report: dict[str, Any] = {
            "state": self.state,
            "models": [_describe(slot) for slot in self.repository.slots],
            "addresses": list(self.addresses),
        }
        if self.handover_error is not None:
            report["handover_error"] = self.handover_error.as_dict()
        return report


def _describe(slot: Slot) -> dict[str, Any]:
    manifest, package, model = slot.manifest, slot.package, slot.model
    described: dict[str, Any] = {
        "name": manifest.name if manifest else None,
        "version": manifest.version if manifest else None,
        "digest": package.digest if package else None,
        "state": slot.state,
        "provider": model.providers[0] if model else None,
    }
    if model is not None and model.placement is not None:
        described["acceleration"] = model.placement.report()
    if slot.error is not None:
        described["reason"] = slot.error.message
        described["error_code"] = slot.error.code
    return described
