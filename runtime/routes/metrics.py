"""``/metrics`` for Prometheus: made from what the process counts anyway, when it is asked for."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import Response

from runtime.engine.repository import Slot
from runtime.routes.counts import Counts
from runtime.routes.serving import Serving
from runtime.telemetry import BUCKETS, Messages

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import OnnxModel


def metrics_routes(serving: Serving) -> APIRouter:
    """The one route."""
    router = APIRouter(tags=["observability"])

    @router.get("/metrics", summary="Counters of this server, as Prometheus reads them")
    async def metrics() -> Response:
        from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(_Collector(serving, await serving.counts()))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router


class _Collector:
    """What Prometheus asks for its families of metrics."""

    def __init__(self, serving: Serving, counts: Counts) -> None:
        self._serving = serving
        self._counts = counts

    def collect(self) -> Iterable[Any]:
        """All of them, as they stand now."""
        yield from self._of_requests()
        yield from self._of_models()
        if self._serving.messages is not None:
            yield from _of_messages(self._serving.messages())

    def _of_requests(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        counted = self._counts
        answers = CounterMetricFamily("dray_requests", "Answers by dialect and status", labels=["dialect", "status"])
        for (dialect, status), count in sorted(counted.by_status.items()):
            answers.add_metric([dialect, str(status)], count)
        yield answers
        seconds = HistogramMetricFamily("dray_request_seconds", "From the head to the answer", labels=["dialect"])
        for name, found in sorted(counted.latencies.items()):
            seconds.add_metric([name], _cumulative(found.counts), found.sum_s)
        yield seconds
        for metric, what, value in (
            ("dray_queue_places_taken", "Requests that are read, waiting or running", counted.taken),
            ("dray_queue_waiting", "Requests that are read and wait for a thread", counted.waiting),
            ("dray_queue_expected_wait_seconds", "How long one more would wait", counted.expected_wait_s),
            ("dray_ready", "1 when every model passed its self-test and traffic may come", self._ready()),
            ("dray_workers", "Processes that answer", counted.workers),
        ):
            yield GaugeMetricFamily(metric, what, value=value)
        yield CounterMetricFamily("dray_worker_restarts", "Workers that died and were replaced", value=counted.restarts)
        if self._serving.samples is not None:
            samples = CounterMetricFamily("dray_samples", "Answered requests drawn for samples", labels=["outcome"])
            samples.add_metric(["written"], counted.sampled)
            samples.add_metric(["dropped"], counted.unsampled)
            yield samples

    def _ready(self) -> int:
        return int(self._serving.not_ready() is None)

    def _of_models(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        labels = ["model", "version"]
        info = GaugeMetricFamily("dray_model_info", "1 for each model", labels=[*labels, "digest", "provider"])
        nodes = GaugeMetricFamily(
            "dray_model_nodes", "Nodes that compute, where a provider was asked for", labels=[*labels, "provider"]
        )
        fell = GaugeMetricFamily(
            "dray_provider_fallback", "1 where the CPU does what was asked of a provider", labels=[*labels, "asked"]
        )
        rows = CounterMetricFamily("dray_model_rows", "Rows answered", labels=labels)
        runs = CounterMetricFamily("dray_model_runs", "Runs of the graph", labels=[*labels, "outcome"])
        seconds = CounterMetricFamily("dray_model_run_seconds", "Time in runs of the graph", labels=labels)
        sizes = HistogramMetricFamily("dray_batch_rows", "Rows of a run", labels=labels)
        for slot, model in self._models():
            found, named = self._counts.of(slot.serial), [model.manifest.name, model.manifest.version]
            info.add_metric([*named, model.package.digest, model.providers[0]], 1)
            if (placement := model.placement) is not None:
                fell.add_metric([*named, ",".join(placement.asked)], int(placement.fell_back))
                for provider, count in placement.nodes.items():
                    nodes.add_metric([*named, provider], count)
            rows.add_metric(named, found.rows)
            runs.add_metric([*named, "succeeded"], found.succeeded.count)
            runs.add_metric([*named, "failed"], found.failed.count)
            seconds.add_metric(named, (found.succeeded.ns + found.failed.ns) / 1e9)
            sizes.add_metric(named, _by_size({size: each.count for size, each in found.by_batch.items()}), found.rows)
        yield from (info, nodes, fell, rows, runs, seconds, sizes)

    def _models(self) -> "Iterator[tuple[Slot, OnnxModel]]":
        return ((slot, slot.model) for slot in self._serving.repository.slots if slot.model is not None)


def _of_messages(found: Messages) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    yield CounterMetricFamily("dray_edge_received", "Messages taken from the hub", value=found.received)
    answers = CounterMetricFamily("dray_edge_answers", "Answers that the hub has", labels=["output"])
    answers.add_metric(["predictions"], found.answered - found.errors - found.uncertain)
    answers.add_metric(["uncertain"], found.uncertain)
    answers.add_metric(["errors"], found.errors)
    yield answers
    for metric, what, value in (
        ("dray_edge_replayed", "Answered messages that an earlier process took", found.replayed),
        ("dray_edge_repeated", "Answers that were sent more than once", found.repeated),
        ("dray_edge_held_back", "Messages left at the hub for want of room", found.held_back),
        ("dray_edge_connections", "Connections to the hub", found.connections),
    ):
        yield CounterMetricFamily(metric, what, value=value)
    yield GaugeMetricFamily("dray_edge_journal_messages", "Messages in the journal", value=found.journaled)
    yield GaugeMetricFamily("dray_edge_journal_bytes", "Bytes in the journal", value=found.journaled_bytes)


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    total, found = 0, []
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found


def _by_size(counts: dict[int, int]) -> list[tuple[str, float]]:
    """Buckets of 1, 2, 4, … rows."""
    bounds, top = [1], max(counts, default=1)
    while bounds[-1] < top:
        bounds.append(bounds[-1] * 2)
    found = [(str(bound), float(sum(n for size, n in counts.items() if size <= bound))) for bound in bounds]
    return [*found, ("+Inf", float(sum(counts.values())))]
