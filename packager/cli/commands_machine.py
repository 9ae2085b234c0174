"""``targets`` and ``doctor``: what is installed here, and what is missing."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import typer

from packager.cli.common import command
from packager.cli.console import Console
from packager.core.extras import PROGRAMS, extras, missing_from, missing_programs
from packager.core.state import state_home
from packager.documents import Document

_FREE_MIB_WANTED = 1024


class TargetRow(Document):
    """A target; ``settings`` with their defaults as text."""

    name: str
    takes: str
    settings: dict[str, str]


class ConverterRow(Document):
    """A converter; ``installed`` is False while the framework is absent."""

    name: str
    installed: bool


class RehearsalRow(Document):
    """The stand-in of a target; ``faults`` in words, by what ``--fault`` calls them."""

    name: str
    faults: dict[str, str]


class TargetsDocument(Document):
    """All plugins."""

    targets: tuple[TargetRow, ...]
    converters: tuple[ConverterRow, ...]
    rehearsals: tuple[RehearsalRow, ...] = ()


class DoctorCheck(Document):
    """One thing looked at; ``cure`` is what mends it."""

    name: str
    ok: bool
    found: str
    cure: str = ""


class DoctorDocument(Document):
    """All checks; ``ok`` when a scikit-learn model can be shipped to ``local`` from here.

    Attributes:
        environments: Those that were made for models of other versions.
    """

    ok: bool
    checks: tuple[DoctorCheck, ...]
    optional: tuple[DoctorCheck, ...]
    environments: tuple[DoctorCheck, ...] = ()
    confinement: tuple[DoctorCheck, ...] = ()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, name="targets", help="List the installed targets with settings and rehearsals, and the converters.")(
        _targets
    )
    command(app, name="doctor", help="Say what is missing on this machine, with the cure.")(_doctor)


def _targets(console: Console) -> None:
    from packager import plugins  # kept out of start-up

    targets = tuple(
        TargetRow(
            name=target.name,
            takes="image" if target.takes_image else "package",
            settings={key: str(field.get_default()) for key, field in target.settings_type.model_fields.items()},
        )
        for target in plugins.targets().values()
    )
    converters = tuple(
        ConverterRow(name=name, installed=not plugins.absent_requirements(converter))
        for name, converter in plugins.converters().items()
    )
    rehearsals = tuple(
        RehearsalRow(name=name, faults=dict(rehearsal.faults)) for name, rehearsal in plugins.rehearsals().items()
    )
    document = TargetsDocument(targets=targets, converters=converters, rehearsals=rehearsals)
    console.result(document, lambda: _targets_text(console, document))


def _targets_text(console: Console, document: TargetsDocument) -> str:
    rows = [
        ("target", row.name, row.takes, " ".join(f"{key}={value}" for key, value in row.settings.items()))
        for row in document.targets
    ]
    rows += [("converter", row.name, "model", "" if row.installed else "not installed") for row in document.converters]
    for row in document.rehearsals:
        rows.append(("rehearsal", row.name, "", "--rehearse"))
        rows += [("fault", f"{row.name} {name}", "", words) for name, words in row.faults.items()]
    return console.table(("KIND", "NAME", "TAKES", "SETTINGS"), rows)


def _doctor(console: Console) -> None:
    checks = tuple(_checks())
    optional = (
        *(_extra_check(extra) for extra in extras() if extra not in {"runtime", "sklearn", "all"}),
        *(_programs_check(extra) for extra in PROGRAMS),
        _azure_account_check(),
    )
    environments = tuple(_environment_checks())
    confinement = tuple(_confinement_checks())
    document = DoctorDocument(
        ok=all(check.ok for check in checks),
        checks=checks,
        optional=optional,
        environments=environments,
        confinement=confinement,
    )
    rows = [_row(check, "MISSING") for check in checks] + [_row(check, "absent") for check in optional]
    rows += [_row(check, "BROKEN") for check in environments]
    rows += [_row(check, "not kept") for check in confinement]
    console.result(document, lambda: console.table(("CHECK", "STATE", "FOUND", "CURE"), rows))


def _row(check: DoctorCheck, absent: str) -> tuple[str, str, str, str]:
    return check.name, "ok" if check.ok else absent, check.found, check.cure


def _checks() -> Iterator[DoctorCheck]:
    system = platform.system()
    yield DoctorCheck(
        name="system",
        ok=system in {"Linux", "Darwin"},
        found=f"{system} {platform.machine()}",
        cure="" if system in {"Linux", "Darwin"} else "run dray inside WSL (wsl --install)",
    )
    yield DoctorCheck(name="python", ok=sys.version_info >= (3, 11), found=platform.python_version())
    yield _extra_check("runtime")
    yield _extra_check("sklearn")
    yield _state_check()
    free_mib = shutil.disk_usage(_nearest_existing(state_home())).free >> 20
    enough = free_mib >= _FREE_MIB_WANTED
    cure = "" if enough else f"free {_FREE_MIB_WANTED - free_mib} MiB, or set DRAY_HOME to another disk"
    yield DoctorCheck(name="disk", ok=enough, found=f"{free_mib} MiB free", cure=cure)


def _extra_check(extra: str) -> DoctorCheck:
    absent = missing_from(extra)
    found = f"without {', '.join(absent)}" if absent else "installed"
    return DoctorCheck(name=extra, ok=not absent, found=found, cure=f'pip install "dray[{extra}]"' if absent else "")


def _programs_check(extra: str) -> DoctorCheck:
    """The programs that an extra calls."""
    absent = missing_programs(extra)
    found = f"without {', '.join(absent)}" if absent else ", ".join(PROGRAMS[extra])
    cure = "install them with your system's packages" if absent else ""
    return DoctorCheck(name=f"{extra}: programs", ok=not absent, found=found, cure=cure)


def _azure_account_check() -> DoctorCheck:
    """Where the account comes from; whether somebody is signed in, only the network could say."""
    if os.environ.get("AZURE_ACCESS_TOKEN"):
        return DoctorCheck(name="azure account", ok=True, found="the token in AZURE_ACCESS_TOKEN")
    if missing_from("azure"):
        cure = 'pip install "dray[azure]"; --rehearse needs no account'
        return DoctorCheck(name="azure account", ok=False, found="azure-identity is not installed", cure=cure)
    return DoctorCheck(name="azure account", ok=True, found="what azure-identity finds at its first use; not asked now")


def _environment_checks() -> Iterator[DoctorCheck]:
    """The environments of ``--env``, each asked whether it still runs."""
    from packager.core.errors import EnvironmentFailed
    from packager.environments import listed  # kept out of start-up

    for name, found in listed():
        label = f"environment {name}"
        if isinstance(found, EnvironmentFailed):
            yield DoctorCheck(name=label, ok=False, found=found.message, cure=found.hint)
            continue
        size = f"{found.record.size_bytes >> 20} MiB, " if found.record else ""
        what = f"{size}Python {found.python_version}, {found.python.parent.parent}"
        yield DoctorCheck(name=label, ok=True, found=what)


def _confinement_checks() -> Iterator[DoctorCheck]:
    """What a model that runs code of its own is kept from while it is converted."""
    from packager.convert.confinement import protections  # kept out of start-up

    for part in protections():
        yield DoctorCheck(name=f"conversion: {part.what}", ok=part.holds, found=part.how)


def _state_check() -> DoctorCheck:
    home = state_home()
    try:
        with tempfile.TemporaryFile(dir=_nearest_existing(home)):
            return DoctorCheck(name="state", ok=True, found=str(home))
    except OSError as error:
        return DoctorCheck(
            name="state", ok=False, found=f"{home}: {error.strerror}", cure="set DRAY_HOME to a folder of yours"
        )


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
