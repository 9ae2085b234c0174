"""A runner of rehearsals whose images are scripts of the tests, run as processes; the rest is as a fake's."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from targets.rehearsal.clock import now
from targets.rehearsal.workload import Workload, WorkloadStatus
from tests.support.fake_runner import FakeRunner, Image

ECHO = Path(__file__).parent / "echo_module.py"


@dataclass
class _Run:
    process: subprocess.Popen[bytes]
    log: Path
    started: str
    finished: str = ""


@dataclass
class ModuleRunner(FakeRunner):
    """Images by name as in ``programs``; others are as the fake has them.

    Attributes:
        settings: Further environment by the image's name with its tag.
    """

    folder: Path
    programs: dict[str, Sequence[str]] = field(default_factory=lambda: {"echo": (sys.executable, str(ECHO))})
    settings: dict[str, Mapping[str, str]] = field(default_factory=dict)
    kind: Literal["containers", "processes"] = "processes"

    def __post_init__(self) -> None:
        super().__init__()
        self.processes: dict[str, _Run] = {}

    def start(self, workload: Workload) -> None:
        program = self.programs.get(workload.image.partition(":")[0])
        if program is None:
            super().start(workload)
            return
        self.started.append(workload)
        log = self.folder / f"{workload.id}.log"
        places = {f"unix://{target}": f"unix://{source}" for target, source in workload.mounts.sockets.items()}
        for target, name in workload.mounts.volumes.items():
            (self.folder / "volumes" / name).mkdir(parents=True, exist_ok=True)
            places[target] = str(self.folder / "volumes" / name)
        given = {name: places.get(value, value) for name, value in workload.environment.items()}
        environment = {
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
            **self.settings.get(workload.image, {}),
            **given,
        }
        with log.open("wb") as stream:
            process = subprocess.Popen(list(program), env=environment, stdout=stream, stderr=stream)
        self.processes[workload.id] = _Run(process, log, now())

    def status(self, id: str) -> WorkloadStatus:  # noqa: A002
        run = self.processes.get(id)
        if run is None:
            return super().status(id)
        code = run.process.poll()
        if code is None:
            return WorkloadStatus("running", started_at=run.started)
        run.finished = run.finished or now()
        shown = code if code >= 0 else 128 - code
        return WorkloadStatus("terminated", shown, "Error" if code else "Completed", run.started, run.finished)

    def logs(self, id: str, *, tail: int | None = None) -> str:  # noqa: A002
        run = self.processes.get(id)
        if run is None:
            return super().logs(id, tail=tail)
        lines = run.log.read_text().splitlines(keepends=True)
        return "".join(lines if tail is None else lines[max(0, len(lines) - tail) :])

    def stop(self, id: str, *, grace_s: float) -> None:  # noqa: A002
        run = self.processes.get(id)
        if run is None:
            super().stop(id, grace_s=grace_s)
            return
        run.process.send_signal(signal.SIGTERM if grace_s else signal.SIGKILL)
        try:
            run.process.wait(max(grace_s, 1))
        except subprocess.TimeoutExpired:
            run.process.kill()
            run.process.wait(5)

    def remove(self, id: str) -> None:  # noqa: A002
        if id in self.processes:
            self.stop(id, grace_s=0)
            del self.processes[id]
        else:
            super().remove(id)

    @staticmethod
    def refusing(kind: Literal["denied", "missing", "unreachable"]) -> Image:
        """An image that cannot be pulled."""
        return Image(refused=kind)

    def running_processes(self) -> list[str]:
        """Ids of scripts that run."""
        return [name for name, run in self.processes.items() if run.process.poll() is None]
