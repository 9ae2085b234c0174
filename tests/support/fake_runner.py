"""A runner of rehearsals that starts no process: each workload is a small HTTP server, or what a test says."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from targets.rehearsal.clock import now
from targets.rehearsal.workload import PullCredential, PullRefused, Workload, WorkloadStatus

Answering = Callable[[str], tuple[int, bytes]]


def healthy(path: str) -> tuple[int, bytes]:
    """What a workload answers when a test says nothing else."""
    return 200, b'{"name": "fake", "outputs": [{"name": "label", "datatype": "INT64", "shape": [1], "data": [3]}]}'


@dataclass
class Image:
    """What an image does.

    Attributes:
        exit_code: It ends with it at once; None: it runs and answers.
        refused: It cannot be pulled, for this reason.
        password: That its registry wants.
    """

    exit_code: int | None = None
    reason: str = ""
    log: str = "ready\n"
    refused: Literal["denied", "missing", "unreachable"] | None = None
    password: str | None = None
    answering: Answering = healthy
    pull_gate: threading.Event | None = None


@dataclass
class _Run:
    workload: Workload
    image: Image
    status: WorkloadStatus
    servers: list[ThreadingHTTPServer] = field(default_factory=list)


class FakeRunner:
    """Workloads by id; ``images`` says what each image does, others are healthy."""

    kind: Literal["containers", "processes"] = "processes"

    def __init__(self) -> None:
        self.images: dict[str, Image] = {}
        self.runs: dict[str, _Run] = {}
        self.pulls: list[tuple[str, PullCredential | None]] = []
        self.started: list[Workload] = []
        self.stop_gate: threading.Event | None = None

    def pull(self, image: str, credential: PullCredential | None) -> str:
        """As its Image says."""
        known = self.images.get(image, Image())
        self.pulls.append((image, credential))
        if known.pull_gate is not None:
            known.pull_gate.wait(10)
        if known.refused is not None:
            raise PullRefused(known.refused, f"{image} is {known.refused}")
        if known.password is not None and (credential is None or credential.password != known.password):
            raise PullRefused("denied", f"{image} wants a password")
        return "sha256:" + "0" * 64

    def start(self, workload: Workload) -> None:
        """Serve, or end at once."""
        image = self.images.get(workload.image, Image())
        self.started.append(workload)
        if image.exit_code is not None:
            reason = image.reason or ("Error" if image.exit_code else "Completed")
            self.runs[workload.id] = _Run(
                workload, image, WorkloadStatus("terminated", image.exit_code, reason, now(), now())
            )
            return
        run = self.runs[workload.id] = _Run(workload, image, WorkloadStatus("running", started_at=now()))
        for port in workload.ports:
            server = ThreadingHTTPServer((workload.address, port), _handler(image))
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            run.servers.append(server)

    def status(self, id: str) -> WorkloadStatus:  # noqa: A002
        """As it was left."""
        run = self.runs.get(id)
        return run.status if run is not None else WorkloadStatus("terminated", 137, "Error")

    def logs(self, id: str, *, tail: int | None = None) -> str:  # noqa: A002
        """The image's log."""
        lines = self.runs[id].image.log.splitlines(keepends=True) if id in self.runs else []
        return "".join(lines if tail is None else lines[len(lines) - tail :] if tail else [])

    def stop(self, id: str, *, grace_s: float) -> None:  # noqa: A002
        """Let it end well."""
        if self.stop_gate is not None:
            self.stop_gate.wait(10)
        self.end(id, 0)

    def end(self, id: str, exit_code: int, reason: str = "") -> None:  # noqa: A002
        """It ends of itself, as a test wants it."""
        run = self.runs.get(id)
        if run is not None and run.status.state != "terminated":
            self._close(run)
            reason = reason or ("Error" if exit_code else "Completed")
            run.status = WorkloadStatus("terminated", exit_code, reason, run.status.started_at, now())

    def remove(self, id: str) -> None:  # noqa: A002
        """Forget it."""
        run = self.runs.pop(id, None)
        if run is not None:
            self._close(run)

    def running(self) -> Iterator[str]:
        """Those that have not ended."""
        return iter([each for each, run in list(self.runs.items()) if run.status.state == "running"])

    def _close(self, run: _Run) -> None:
        for server in run.servers:
            server.shutdown()
            server.server_close()
        run.servers.clear()


def _handler(image: Image) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = image.answering(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the base class looks for it

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's own name
            pass

    return Handler
