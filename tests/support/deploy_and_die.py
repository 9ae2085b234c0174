"""Deploys with the stand-in runtime and kills itself at one moment: `deploy_and_die.py PACKAGE NAME MOMENT`.

MOMENT: `before-write-N`, `after-write-N` (the N-th write of the record in this process) or `after-start`.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from packager.core.artifact import Release
from packager.core.progress import SilentProgress
from packager.deploy import deploy
from packager.smoke import run_smoke
from runtime.contract.package import read_package
from targets.kit.engine.process import RuntimeProcess
from targets.local import LocalSettings, LocalTarget
from targets.local.record import DeploymentFolder
from tests.support.fakes import fake_program


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(package: str, name: str, moment: str) -> None:
    writes = 0
    write, start = DeploymentFolder.write, RuntimeProcess.start.__func__

    def counted(self: DeploymentFolder, record: Any) -> Any:
        nonlocal writes
        writes += 1
        if moment == f"before-write-{writes}":
            die()
        written = write(self, record)
        if moment == f"after-write-{writes}":
            die()
        return written

    def started(cls: type[RuntimeProcess], launch: Any) -> RuntimeProcess:
        process = start(cls, launch)
        if moment == "after-start":
            die()
        return process

    DeploymentFolder.write = counted
    RuntimeProcess.start = classmethod(started)
    deploy(
        LocalTarget(program=fake_program()), name, Release(read_package(Path(package))), LocalSettings(),
        smoke=run_smoke, confirm=lambda plan: True, secrets={}, progress=SilentProgress(), timeout_s=30,
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
