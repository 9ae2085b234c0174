"""Processes of one local deployment: start the next beside the current, exchange them, end what is left over.

Every function expects the deployment's lock to be held.
"""

import logging
from datetime import UTC, datetime

from packager.core.artifact import ModelPackage
from packager.core.errors import DeploymentFailed, PortInUse
from packager.core.progress import Progress
from targets.kit.engine.ports import free_port
from targets.kit.engine.process import RuntimeProcess, processes_in
from targets.local.record import DeploymentFolder, Record, Slot
from targets.local.settings import LocalSettings

logger = logging.getLogger(__name__)
_PORT_TRIES = 3
_TAKE_OVER_S = 15.0
_STRAY_GRACE_S = 5.0


def start_candidate(
    folder: DeploymentFolder,
    package: ModelPackage,
    settings: LocalSettings,
    program: tuple[str, ...],
    progress: Progress,
    *,
    timeout_s: float,
) -> Slot:
    """A release that is ready beside the live one; on any failure there is no trace of it.

    Raises:
        PortInUse, ProcessCrash, NotReady: As the runtime has it.
    """
    record = recover(folder, program) or Record(name=folder.name)
    tries = _PORT_TRIES
    try:
        while True:
            slot = _next_slot(folder, record, package, settings)
            record = folder.write(record.model_copy(update={"candidate": slot, "starts": slot.number}))
            folder.keep(package)
            tries -= 1
            try:
                return _start(folder, record, slot, program, progress, timeout_s=timeout_s)
            except PortInUse:
                # A port that the user gave, or that clients know, cannot be exchanged for another.
                fixed = slot.standby_port is None and (settings.port or record.live)
                if fixed or not tries:
                    raise
                progress.detail(f"port {slot.standby_port or slot.port} was taken meanwhile, trying another")
    except BaseException:
        recover(folder, program)
        raise


def promote(folder: DeploymentFolder, program: tuple[str, ...], progress: Progress) -> Slot:
    """Put the candidate in the live one's place: first it listens there too, then the live one drains and ends."""
    record = folder.read()
    if record is None or record.candidate is None or (process := folder.process(record.candidate)) is None:
        raise DeploymentFailed(f"the candidate of {folder.name!r} is gone", hint="deploy again")
    candidate = record.candidate
    if candidate.standby_port is not None:
        process.take_over(folder.launch(candidate, program), timeout_s=_TAKE_OVER_S)
    elif not process.alive():
        raise DeploymentFailed(
            f"the candidate of {folder.name!r} ended after its smoke tests", detail={"log": process.tail()}
        )
    live = candidate.model_copy(update={"since": now()})
    before = record.live
    previous = before.model_copy(update={"process": None}) if before else None
    # From here on the new one is the deployment; whatever happens next can only be finished, not undone.
    record = folder.write(
        record.model_copy(update={"live": live, "candidate": None, "retiring": before, "previous": previous})
    )
    if before:
        progress.detail(f"letting process {before.process.pid if before.process else '-'} finish its requests")
    recover(folder, program)
    return live


def recover(folder: DeploymentFolder, program: tuple[str, ...]) -> Record | None:
    """End what an interrupted command left: its candidate, the process it was replacing, files of neither.

    Returns:
        The record as it then is; None where nothing is deployed, and the folder is gone.
    """
    record = folder.read()
    if record is None:
        folder.remove()
        return None
    if record.candidate:
        _end(folder, record.candidate, grace_s=_STRAY_GRACE_S)
        if record.candidate.process is None:
            _end_strays(folder, record, program)
    if record.retiring:
        _end(folder, record.retiring, grace_s=record.retiring.settings.drain_timeout_s)
    if record.live is None:
        folder.remove()
        return None
    if record.candidate or record.retiring:
        record = folder.write(record.model_copy(update={"candidate": None, "retiring": None}))
    folder.prune(record)
    return record


def end_all(folder: DeploymentFolder, program: tuple[str, ...]) -> None:
    """End everything and remove the folder; the live process finishes what it has accepted."""
    record = recover(folder, program)
    if record and record.live:
        _end(folder, record.live, grace_s=record.live.settings.drain_timeout_s)
    folder.remove()


def now() -> str:
    """This moment, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _start(
    folder: DeploymentFolder,
    record: Record,
    slot: Slot,
    program: tuple[str, ...],
    progress: Progress,
    *,
    timeout_s: float,
) -> Slot:
    launch = folder.launch(slot, program)
    progress.step(f"starting the runtime at {launch.url}")
    process = RuntimeProcess.start(launch)
    try:
        begun = slot.model_copy(update={"process": process.identity})
        folder.write(record.model_copy(update={"candidate": begun}))
        process.wait_ready(launch, timeout_s=timeout_s)
    except BaseException:
        process.stop(grace_s=_STRAY_GRACE_S)
        raise
    return begun


def _next_slot(folder: DeploymentFolder, record: Record, package: ModelPackage, settings: LocalSettings) -> Slot:
    """Directly on its port where that is free; on one to stand by where the live process still has it."""
    live = record.live
    process = folder.process(live) if live else None
    port = settings.port or (live.port if live else free_port(settings.host))
    shares = live is not None and live.port == port and process is not None and process.alive()
    return Slot(
        number=record.starts + 1,
        model=package.manifest.name,
        version=package.manifest.version,
        digest=package.digest,
        settings=settings,
        host=settings.host,
        port=port,
        standby_port=free_port(settings.host) if shares else None,
        since=now(),
    )


def _end(folder: DeploymentFolder, slot: Slot, *, grace_s: float) -> None:
    process = folder.process(slot)
    if process and process.alive():
        logger.info("ending process %s of %s", process.identity.pid, folder.name)
        process.stop(grace_s=grace_s)


def _end_strays(folder: DeploymentFolder, record: Record, program: tuple[str, ...]) -> None:
    """Processes that were started in the moment before their id could be written down."""
    known = {slot.process.pid for slot in record.kept() if slot.process}
    for identity in list(processes_in(folder.path, program)):
        if identity.pid not in known:
            logger.info("ending process %s, left over from an interrupted start of %s", identity.pid, folder.name)
            RuntimeProcess(identity, folder.path, folder.path).stop(grace_s=_STRAY_GRACE_S)
