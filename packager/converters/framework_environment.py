"""The environment of a framework that is not installed here, or of a model whose own code needs further packages."""

import re
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from packager.core.conversion import ModelSource
from packager.core.environment import EnvironmentSpec
from packager.core.errors import UsageError
from packager.core.extras import installed_version, versions_of

# What dray's own code in the child needs beside the framework, and is the same as here where it is here.
_NEEDED = ("numpy>=2.0", "onnx>=1.18", "onnxruntime>=1.20", "pydantic>=2.11")
_SAME_AS_HERE = ("onnx", "onnxruntime", "pydantic")
_PARQUET = ("pandas>=2.2", "pyarrow>=18")
_TABLES = ("pandas>=2.2",)


def framework_environment(
    name: str,
    requirements: Sequence[str],
    source: ModelSource,
    samples: Path | None,
    *,
    download_mib: int,
    disk_mib: int,
    cpu_builds: tuple[str, ...] = (),
) -> EnvironmentSpec | None:
    """An environment with these requirements and the model's own packages; None where all are installed here.

    Args:
        name: Of the framework, as in ``dray[NAME]``; the environment's name begins with it.
        requirements: PEP 508, of the framework and what converts its models.
        samples: Their format may need a reader.

    Raises:
        UsageError: What ``--with`` names is no requirement of the package index.
    """
    own = tuple(str(_of_index(text)) for text in source.packages)
    readers = {".parquet": _PARQUET, ".csv": _TABLES, ".json": _TABLES}.get(
        samples.suffix.lower() if samples else "", ()
    )
    wanted = (*requirements, *own)
    missing = [text for text in wanted if not _is_here(text)]
    if not missing:
        return None
    listed = ", ".join(dict.fromkeys(Requirement(text).name for text in missing))
    return EnvironmentSpec(
        name="-".join([name, *(re.sub(r"[^a-z0-9.]+", ".", text.lower()) for text in own)])[:80],
        reason=f"converting {source.path.name!r} needs {listed}, not installed here",
        instead=f'pip install "dray[{name}]"' if not own else f"pip install {' '.join(own)} beside dray[{name}]",
        requirements=tuple(dict.fromkeys((*wanted, *_NEEDED, *readers))),
        constraints=tuple(f"{same}=={version}" for same, version in versions_of(*_SAME_AS_HERE).items()),
        cpu_builds=cpu_builds,
        by_hand="make an environment with a Python that has wheels of it, and name its folder with --env PATH",
        download_mib=download_mib,
        disk_mib=disk_mib,
    )


def _of_index(text: str) -> Requirement:
    """A name and versions: nothing is installed from an address, or with the options of an installer."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise UsageError(
            f"not a package: {text!r}", hint="write a name of the package index, as in timm>=1.0"
        ) from error
    if requirement.url:
        raise UsageError(
            f"{text!r} names an address, and only the package index is asked", hint=f"write --with {requirement.name}"
        )
    return requirement


def _is_here(text: str) -> bool:
    requirement = Requirement(text)
    version = installed_version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)
