"""What a server has counted: taken as it stands, and added up over processes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runtime.engine.statistics import Statistics
from runtime.telemetry import Dialect, Latencies

if TYPE_CHECKING:
    from runtime.routes.serving import Serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Of one process, or of several together.

    Attributes:
        by_status, latencies: As ``Requests`` has them.
        models: Statistics by the serial number of the slot.
        taken: Places in the queue.
        waiting: Requests that wait for a thread.
        expected_wait_s: How long one more would wait where that is longest.
        sampled, unsampled: Samples that were written, and that were dropped.
        workers: Processes that answer.
        restarts: Workers that were replaced because they had died.
    """

    by_status: Mapping[tuple[Dialect, int], int] = field(default_factory=dict)
    latencies: Mapping[Dialect, Latencies] = field(default_factory=dict)
    models: Mapping[int, Statistics] = field(default_factory=dict)
    taken: int = 0
    waiting: int = 0
    expected_wait_s: float = 0.0
    sampled: int = 0
    unsampled: int = 0
    workers: int = 1
    restarts: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Of both together; ``workers`` and ``restarts`` stay this one's."""
        latencies = {
            name: self.latencies.get(name, Latencies()).plus(other.latencies.get(name, Latencies()))
            for name in {**self.latencies, **other.latencies}
        }
        models = {
            serial: self.models.get(serial, Statistics()).plus(other.models.get(serial, Statistics()))
            for serial in {**self.models, **other.models}
        }
        statuses = {**self.by_status, **other.by_status}
        by_status = {key: self.by_status.get(key, 0) + other.by_status.get(key, 0) for key in statuses}
        return replace(
            self,
            by_status=by_status,
            latencies=latencies,
            models=models,
            taken=self.taken + other.taken,
            waiting=self.waiting + other.waiting,
            expected_wait_s=max(self.expected_wait_s, other.expected_wait_s),
            sampled=self.sampled + other.sampled,
            unsampled=self.unsampled + other.unsampled,
        )

    def ended(self) -> "Counts":
        """What stays of a process that has ended: nothing waits in it any more."""
        return replace(self, taken=0, waiting=0, expected_wait_s=0.0)

    def of_models(self, serials: Collection[int]) -> "Counts":
        """Without the models that are no longer served: what is loaded anew begins at nothing."""
        return replace(self, models={serial: found for serial, found in self.models.items() if serial in serials})

    def of(self, serial: int) -> Statistics:
        """A model's."""
        return self.models.get(serial) or Statistics()


def counts_of(serving: "Serving") -> Counts:
    """Of this process, as they stand; what other processes get is a copy."""
    queue, samples = serving.queue, serving.samples
    return Counts(
        by_status=serving.requests.by_status,
        latencies=serving.requests.latencies,
        models={slot.serial: slot.model.statistics for slot in serving.repository.slots if slot.model is not None},
        taken=queue.taken,
        waiting=queue.waiting,
        expected_wait_s=queue.expected_wait_s,
        sampled=samples.written if samples is not None else 0,
        unsampled=samples.dropped if samples is not None else 0,
    )
