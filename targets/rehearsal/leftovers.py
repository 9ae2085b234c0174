"""The end of everything that a stand-in started: of one that ends, and of one that was killed."""

import logging
import shutil
import sys
from pathlib import Path
from typing import Final

from packager.core.errors import DrayError
from targets.kit.engine.containers import ContainerEngine
from targets.kit.engine.docker_host import DockerHost, docker_host
from targets.kit.engine.process import RUNTIME, RuntimeProcess, processes_in
from targets.rehearsal.layout import StageFacts, StageFolder
from targets.rehearsal.runner_containers import STAGE_LABEL, images_name

logger = logging.getLogger(__name__)
_GRACE_S: Final = 1.0
_SERVICE_GRACE_S: Final = 20.0


def program(name: str, folder: StageFolder, api: str | None) -> tuple[str, ...]:
    """What runs a stand-in; no folder of the user's can shadow a module of ours."""
    other = ("--api", api) if api else ()
    return (sys.executable, "-P", "-m", "targets.rehearsal", name, "--folder", str(folder.path), *other)


def end_service(folder: StageFolder, argv: tuple[str, ...]) -> None:
    """End the stand-ins of a folder, whether they could say that they run or not."""
    for identity in list(processes_in(folder.path, argv)):
        RuntimeProcess(identity, folder.path, folder.log).stop(grace_s=_SERVICE_GRACE_S)


def end_workloads(folder: StageFolder, engine: DockerHost | None) -> None:
    """End the processes, containers and images of a folder's stand-in.

    Args:
        engine: That may have something of it.
    """
    homes = sorted(folder.workloads.iterdir()) if folder.workloads.is_dir() else []
    for home in homes:
        for identity in list(processes_in(home, RUNTIME)):
            RuntimeProcess(identity, home, home).stop(grace_s=_GRACE_S)
    if engine:
        try:
            _end_containers(engine, folder.id)
        except DrayError as error:
            logger.warning("containers of a rehearsal may be left: %s", error.message)


def engine_of(facts: StageFacts | None) -> DockerHost | None:
    """The engine that a stand-in used, which need not be the one that is chosen now."""
    if facts is None or not facts.engine:
        return None
    try:
        chosen = docker_host()
    except DrayError:
        return DockerHost(facts.engine)
    return chosen if chosen.url == facts.engine else DockerHost(facts.engine)


def remove_folder(folder: StageFolder) -> None:
    """Remove all that lies there, the facts last."""
    for path in sorted(folder.path.iterdir()) if folder.path.is_dir() else []:
        if path != folder.facts_file:
            _remove(path)
    folder.facts_file.unlink(missing_ok=True)
    shutil.rmtree(folder.path, ignore_errors=True)


def _end_containers(host: DockerHost, stage: str) -> None:
    with ContainerEngine(host) as engine:
        for container in engine.containers([f"{STAGE_LABEL}={stage}"]):
            engine.remove(container)
        engine.remove_volumes([f"{STAGE_LABEL}={stage}"])
        for name in engine.image_names(images_name(stage)):
            engine.remove_image(name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
