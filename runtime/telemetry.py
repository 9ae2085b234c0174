"""What is told of requests: one JSON object a line on stderr, and counters for ``/metrics``."""

import json
import logging
import sys
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Dialect = Literal["v2", "v1", "azureml", "mlflow", "other"]

_requests = logging.getLogger("runtime.requests")
# Upper bounds of the latency histogram, in seconds: from what a small model takes to what a request may take.
BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip

# Of one write to a pipe. Source: Linux, pipe(7), PIPE_BUF.
_ATOMIC_BYTES: Final = 4096


class JsonLines(logging.Formatter):
    """Records as JSON objects; what a record carries as ``fields`` stands beside its message.

    Args:
        pid: Whether each line names the process, as it must where several write.
    """

    def __init__(self, *, pid: bool = False) -> None:
        super().__init__()
        self._pid = pid

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": f"{moment(int(record.created))}.{int(record.msecs):03d}Z",
            **({"pid": record.process} if self._pid else {}),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def moment(seconds: int) -> str:
    """A time since 1970 as text, to the second, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def configure_logging(level: str, *, pid: bool = False) -> None:
    """Send the runtime's and uvicorn's records of ``level`` and above to stderr.

    Args:
        pid: Whether each line names the process.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(pid=pid))
    for name in ("runtime", "uvicorn", "opentelemetry"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())
    logging.getLogger("opentelemetry").setLevel(logging.WARNING)
    # Of what they meet in the background they tell with a traceback each; whoever uses them tells what it means.
    for name in ("azure", "paho"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if level == "info":  # uvicorn tells at info what the runtime tells better
        logging.getLogger("uvicorn").setLevel(logging.WARNING)


@dataclass(slots=True)
class Latencies:
    """A histogram: how many requests took up to each of ``BUCKETS``, and more."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum_s += seconds

    def plus(self, other: "Latencies") -> "Latencies":
        """Of both together."""
        counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        return Latencies(counts, self.sum_s + other.sum_s)


@dataclass(slots=True)
class Requests:
    """Counts and logs every request of one process; belongs to the event loop's thread.

    Attributes:
        by_status: Answers by dialect and HTTP status.
        latencies: Of inference requests, by dialect.
        pid: Stands in every line where several processes write them; None where one does.
    """

    by_status: dict[tuple[Dialect, int], int] = field(default_factory=dict)
    latencies: dict[Dialect, Latencies] = field(default_factory=dict)
    pid: int | None = None
    _lines: list[str] = field(default_factory=list)
    _now_ms: int = 0
    _moment: str = ""

    def add(
        self, *, method: str, path: str, status: int, seconds: float, request_id: str, probe: bool, trace_id: str = ""
    ) -> None:
        """Take in an answer that has gone out; probes, which come every few seconds, are logged at debug only."""
        self.count(dialect_of(path), status, seconds)
        level = logging.DEBUG if probe else logging.INFO
        if _requests.isEnabledFor(level):
            fields = {
                "method": method,
                "path": path,
                "status": status,
                "duration_ms": round(seconds * 1000, 3),
                "request_id": request_id,
                **({"trace_id": trace_id} if trace_id else {}),
            }
            _requests.log(level, "request", extra={"fields": fields})

    def add_hot(
        self,
        *,
        dialect: Dialect,
        path: str,
        status: int,
        seconds: float,
        request_id: str,
        later: Callable[..., Any],
        trace_id: str = "",
    ) -> None:
        """As ``add``, for the fast path: its lines are written together.

        Args:
            path, request_id: Of characters that JSON takes as they are.
            later: Calls a function some time soon.
        """
        self.count(dialect, status, seconds)
        if not _requests.isEnabledFor(logging.INFO):
            return
        if not self._lines:
            later(self.flush)
        now_ms = int(time.time() * 1000)
        if now_ms != self._now_ms:
            self._now_ms = now_ms
            self._moment = f"{moment(now_ms // 1000)}.{now_ms % 1000:03d}Z"
        mark = "" if self.pid is None else f'"pid": {self.pid}, '
        self._lines.append(
            f'{{"time": "{self._moment}", {mark}"level": "info", "logger": "runtime.requests",'
            f' "message": "request", "method": "POST", "path": "{path}", "status": {status},'
            f' "duration_ms": {seconds * 1000:.3f}, "request_id": "{request_id}"'
            + (f', "trace_id": "{trace_id}"}}\n' if trace_id else "}\n")
        )

    def flush(self) -> None:
        """Write the lines that have gathered."""
        lines, self._lines = self._lines, []
        # What several processes write to one pipe stays whole only up to its atomic size.
        at_once = len(lines) if self.pid is None else max(1, _ATOMIC_BYTES // max(map(len, lines), default=1))
        for first in range(0, len(lines), max(1, at_once)):
            sys.stderr.write("".join(lines[first : first + at_once]))
            sys.stderr.flush()

    def count(self, dialect: Dialect, status: int, seconds: float) -> None:
        """One more answer."""
        key = (dialect, status)
        self.by_status[key] = self.by_status.get(key, 0) + 1
        if dialect != "other":
            if dialect not in self.latencies:
                self.latencies[dialect] = Latencies()
            self.latencies[dialect].add(seconds)


@dataclass(slots=True)
class Messages:
    """What a module of an edge device has done with messages, since its process began.

    Attributes:
        received: Taken from the hub, and kept.
        answered: Whose answers the hub has, errors among them.
        errors: Of these, on the output for errors.
        uncertain: Of these, on the output for answers of little confidence.
        replayed: Of these, taken from the hub by an earlier process.
        repeated: Of these, sent more than once, for the connection was lost before the hub had acknowledged them.
        held_back: Left at the hub, for there was no room.
        connections: That were opened.
        journaled, journaled_bytes: In the journal now.
    """

    received: int = 0
    answered: int = 0
    errors: int = 0
    uncertain: int = 0
    replayed: int = 0
    repeated: int = 0
    held_back: int = 0
    connections: int = 0
    journaled: int = 0
    journaled_bytes: int = 0


def dialect_of(path: str) -> Dialect:
    """The dialect of an inference request; ``other`` for everything else."""
    if path.startswith("/v2/models/") and path.endswith("/infer"):
        return "v2"
    if path.startswith("/v1/models/") and path.endswith(":predict"):
        return "v1"
    return {"/score": "azureml", "/invocations": "mlflow"}.get(path, "other")  # type: ignore[return-value]
