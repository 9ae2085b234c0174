"""A Python environment that a conversion needs and this one is not: what a converter asks for."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from packager.core.conversion import ModelSource


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """An environment to find in the cache, or to make.

    Names of distributions come from dray's own code, never from a file; versions are parsed (PEP 440) before they
    get here.

    Attributes:
        name: Of its folder, such as ``sklearn-1.4.2``.
        reason: Why it is needed, as a clause: "'m.pkl' was saved by scikit-learn 1.4.2, and 1.9.1 is installed here".
        instead: What ``--env current`` would do, as a clause.
        requirements: What must be in it, PEP 508; a cached environment that has it all is used again.
        constraints: What is chosen when it is made, PEP 508; no reason to make one again.
        by_hand: What a person can do where no Python that dray runs on can have it, as a clause.
        otherwise: What will do where no Python here has wheels of this one.
        download_mib, disk_mib: Roughly, for the person who is asked.
    """

    name: str
    reason: str
    instead: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    by_hand: str = ""
    otherwise: "EnvironmentSpec | None" = None
    download_mib: int = 0
    disk_mib: int = 0


@dataclass(frozen=True, slots=True)
class LegacyProgram:
    """A program that asks a retired framework for its answers, in that framework's own environment.

    It is run as ``python -I SCRIPT ARGUMENTS… SAMPLES ANSWERS``: reads the samples (``.npz`` by input name), writes the
    answers (``.npz`` by output name). What it prints last, when it fails, is the reason.

    Attributes:
        script: For the old Python of that environment: the standard library, numpy and the framework only.
    """

    environment: EnvironmentSpec
    script: Path
    arguments: tuple[str, ...]


@runtime_checkable
class LegacyAware(Protocol):
    """A converter whose framework no current Python can have, but an old one can."""

    @abstractmethod
    def legacy_program(self, source: Path) -> LegacyProgram:
        """What computes the framework's own answers.

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
