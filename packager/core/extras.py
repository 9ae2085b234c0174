"""Which of dray's extras are installed, read from dray's own metadata so that no list is kept twice."""

import shutil
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Final

from packager.core.errors import EnvironmentMissing

if TYPE_CHECKING:
    from packaging.markers import Marker

# A look costs tens of milliseconds, and targets look whenever they connect.
_found_met: Final = set[str]()
# Programs that an extra calls, which no Python package brings.
PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {"fpga": ("perl", "make", "g++")}


def require_extra(extra: str) -> None:
    """Check that everything an extra names is installed; what was found once is not looked for again.

    Raises:
        EnvironmentMissing: With the command that installs it.
    """
    if extra in _found_met:
        return
    if absent := missing_from(extra):
        raise EnvironmentMissing(
            f"this needs {', '.join(absent)}, not installed here",
            hint=f'pip install "dray[{extra}]"',
            detail={"extra": extra, "missing": list(absent)},
        )
    _found_met.add(extra)


def missing_from(extra: str) -> tuple[str, ...]:
    """Requirements of an extra that this environment does not meet."""
    from packaging.requirements import Requirement  # kept out of start-up

    absent = []
    for text in metadata.requires("dray") or ():
        requirement = Requirement(text)
        if not _chosen_by(requirement.marker, extra):
            continue
        if requirement.name == "dray":
            absent += [name for inner in sorted(requirement.extras) for name in missing_from(inner)]
        elif (version := installed_version(requirement.name)) is None or version not in requirement.specifier:
            absent.append(str(requirement).partition(";")[0].strip())
    return tuple(dict.fromkeys(absent))


def missing_programs(extra: str) -> tuple[str, ...]:
    """Programs that an extra calls and that are not on the path here."""
    return tuple(name for name in PROGRAMS.get(extra, ()) if shutil.which(name) is None)


def extras() -> tuple[str, ...]:
    """All extras that dray declares."""
    return tuple(metadata.metadata("dray").get_all("Provides-Extra") or ())


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def versions_of(*distributions: str) -> Mapping[str, str]:
    """Versions of those that are installed, by name."""
    found = ((name, installed_version(name)) for name in distributions)
    return {name: version for name, version in found if version is not None}


def _chosen_by(marker: "Marker | None", extra: str) -> bool:
    """Whether the extra, and nothing else, brings the requirement in."""
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})
