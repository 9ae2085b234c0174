"""A runner whose workloads come to a bad end that the stand-in was told of: nothing is started."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from targets.rehearsal.clock import now
from targets.rehearsal.workload import PullCredential, Runner, Workload, WorkloadStatus

# So long each lives: a caller sees it start, as on Azure.
LIFE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class End:
    """How a container ends.

    Attributes:
        last_words: The end of its log.
    """

    exit_code: int
    reason: str
    last_words: str


_LISTENING = '{"time": "%s", "level": "info", "logger": "runtime.server.http", "message": "listening"}\n'

ENDS: Final[Mapping[str, End]] = MappingProxyType(
    {
        "crash": End(
            1,
            "Error",
            _LISTENING + "Traceback (most recent call last):\n"
            '  File "/opt/dray/runtime/engine/session.py", line 61, in open_session\n'
            "    return InferenceSession(path, options, providers=providers)\n"
            "onnxruntime.capi.onnxruntime_pybind11_state.Fail: [ONNXRuntimeError] : 1 : FAIL : "
            "Load model from /model/model.onnx failed:Protobuf parsing failed. (rehearsed fault: crash)\n",
        ),
        "oom": End(137, "OOMKilled", _LISTENING),
        "arch": End(1, "Error", "exec /usr/local/bin/python: exec format error\n"),
    }
)


@dataclass(slots=True)
class _Run:
    started: str
    until: float
    finished: str = ""


class DoomedRunner:
    """Stands in front of the real one, for one group."""

    def __init__(self, inner: Runner, end: End) -> None:
        self.kind: Literal["containers", "processes"] = inner.kind
        self._inner = inner
        self._end = end
        self._runs: dict[str, _Run] = {}

    def pull(self, image: str, credential: PullCredential | None) -> str:
        """As the real one."""
        return self._inner.pull(image, credential)

    def start(self, workload: Workload) -> None:
        """It lives for a moment."""
        self._runs[workload.id] = _Run(now(), time.monotonic() + LIFE_S)

    def status(self, id: str) -> WorkloadStatus:  # noqa: A002 - the protocol's own name
        """Running, then ended as it must."""
        run = self._runs.get(id)
        if run is None:
            return WorkloadStatus("terminated", self._end.exit_code, self._end.reason)
        if time.monotonic() < run.until:
            return WorkloadStatus("running", started_at=run.started)
        run.finished = run.finished or now()
        return WorkloadStatus("terminated", self._end.exit_code, self._end.reason, run.started, run.finished)

    def logs(self, id: str, *, tail: int | None = None) -> str:  # noqa: A002
        """Its last words, once it has said them."""
        run = self._runs.get(id)
        if run is None:
            return ""
        words = self._end.last_words.replace("%s", run.started)
        lines = words.splitlines(keepends=True)[: None if time.monotonic() >= run.until else 1]
        return "".join(lines if tail is None else lines[max(len(lines) - tail, 0) :])

    def stop(self, id: str, *, grace_s: float) -> None:  # noqa: A002
        """Its end comes now."""
        if id in self._runs:
            self._runs[id].until = 0.0

    def remove(self, id: str) -> None:  # noqa: A002
        """Forget it."""
        self._runs.pop(id, None)

    def running(self) -> Iterator[str]:
        """Of the real one."""
        return self._inner.running()
