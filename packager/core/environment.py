"""A Python environment that a conversion needs and this one is not: what a converter asks for."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.state import state_home

LEGACY = "legacy"


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """An environment to find in the cache, or to make.

    Names of distributions come from dray's own code or the command line, never from a file; versions are parsed
    (PEP 440) before they get here.

    Attributes:
        name: Of its folder, such as ``sklearn-1.4.2``.
        reason: Why it is needed, as a clause: "'m.pkl' was saved by scikit-learn 1.4.2, and 1.9.1 is installed here".
        instead: What ``--env current`` would do, as a clause.
        requirements: What must be in it, PEP 508; a cached environment that has it all is used again.
        constraints: What is chosen when it is made, PEP 508; no reason to make one again.
        cpu_builds: Those of the requirements that are wanted without GPU libraries.
        by_hand: What a person can do where no Python that dray runs on can have it, as a clause.
        otherwise: What will do where no Python here has wheels of this one.
        download_mib, disk_mib: Roughly, for the person who is asked.
    """

    name: str
    reason: str
    instead: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    cpu_builds: tuple[str, ...] = ()
    by_hand: str = ""
    otherwise: "EnvironmentSpec | None" = None
    download_mib: int = 0
    disk_mib: int = 0


@dataclass(frozen=True, slots=True)
class HandMadeEnvironment:
    """An environment that only a person can make: its Python is too old for dray's tools.

    Attributes:
        framework: Its folder's name.
        title: What is in it, as a person says it.
        commands: What makes it, as a person types it.
        libraries: Folders of shared libraries, relative to its own.
    """

    framework: str
    title: str
    commands: str
    libraries: tuple[str, ...] = ()

    @property
    def home(self) -> Path:
        """Where it is kept; not necessarily there."""
        return legacy_home(self.framework)


@dataclass(frozen=True, slots=True)
class LegacyProgram:
    """A program that asks a retired framework for its answers, in that framework's own environment.

    It is run as ``python -I SCRIPT ARGUMENTS… SAMPLES ANSWERS``: reads the samples (``.npz`` by input name), writes the
    answers (``.npz`` by output name), and may print the framework's version. What it prints last to stderr, when it
    fails, is the reason.

    Attributes:
        script: For the old Python of that environment: the standard library, numpy and the framework only.
    """

    environment: EnvironmentSpec | HandMadeEnvironment
    script: Path
    arguments: tuple[str, ...]


@runtime_checkable
class LegacyAware(Protocol):
    """A converter whose framework runs on no current Python, and can be asked on an old one."""

    @abstractmethod
    def legacy_program(self, request: ConversionRequest, raw: RawConversion) -> LegacyProgram:
        """What computes the framework's own answers.

        Args:
            request: As it was given; the files are those of the user.
            raw: What the conversion has left.

        Raises:
            ConversionError: The source is not all there.
        """


@runtime_checkable
class EnvironmentAware(Protocol):
    """A converter that can say, without loading a model, which environment its conversion needs."""

    @abstractmethod
    def environment_for(self, source: ModelSource, samples: Path | None) -> EnvironmentSpec | None:
        """What the file needs; None where this environment will do.

        Args:
            samples: The user's, whose format may need a reader.

        Raises:
            ModelInvalid: The file names a version that is none.
        """


def legacy_home(framework: str) -> Path:
    """Where a person keeps the environment of a retired framework; not necessarily there."""
    return state_home() / LEGACY / framework
