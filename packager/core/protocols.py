"""The plugin interface: converters, targets, and what they are given.

Register by entry point, group ``dray.converters`` or ``dray.targets``; the built-in ones do the same.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from packager.core.artifact import ModelPackage, Release
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Findings, TargetSettings
from packager.core.form import Form
from packager.core.image import ImageRef, Platform
from packager.core.progress import Progress
from packager.core.smoke import SmokeReport
from runtime.contract.wire import InferenceRequest, InferenceResponse, ModelMetadata

S = TypeVar("S", bound=TargetSettings)
S_contra = TypeVar("S_contra", bound=TargetSettings, contravariant=True)
Secrets = Mapping[str, str]


@runtime_checkable
class Converter(Protocol):
    """Turns the files of one framework into ONNX and asks the framework for the expected answers.

    Attributes:
        name: The framework, as ``--framework`` and the manifest say it.
        requires: Distributions that ``convert`` imports; dray names them when they are absent.
        isolated: True when ``convert`` must run in a child process, because loading the model may run code.

    A converter may also have
    ``unpickles: ClassVar[tuple[str, ...]]``, the frameworks whose classes its pickles may hold; its files are then read
    before it gets them. Without it, that is done for files that look like pickles, with all lists.
    ``companions(source: Path) -> tuple[Path, ...]``, files beside the source that belong to the model, which
    the child may read too and finds in ``request.options["companions"]``.
    ``options: ClassVar[tuple[str, ...]]``, which of ``packager.core.conversion.OPTIONS``, ``inputs`` and ``packages``
    it knows; without it, none. A user who asks for another is told so.
    ``needs_here: ClassVar[tuple[str, ...]]``, distributions that the proof needs in dray's own environment, wherever
    the model is converted.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]
    isolated: ClassVar[bool]

    @abstractmethod
    def recognises(self, source: ModelSource) -> bool:
        """Whether the file looks like this framework's. Cheap: suffix and magic bytes, no framework import."""

    @abstractmethod
    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX, samples and reference answers, written to ``request.workdir``.

        Raises:
            ConversionError: One of its family, with what would mend it.
        """


@runtime_checkable
class FolderConverter(Protocol):
    """A converter of folders that can tell, without loading anything, what of a folder may run code."""

    @abstractmethod
    def runs(self, source: Path) -> tuple[str, ...]:
        """Modules of the folder's own that run when it is loaded; they need ``--trust``."""

    @abstractmethod
    def unpickled(self, source: Path) -> tuple[Path, ...]:
        """Files of the folder that are unpickled, as weights of PyTorch are; what they would call is read first."""


@runtime_checkable
class CodeAware(Protocol):
    """A converter of files that can hold or name code without being pickles."""

    @abstractmethod
    def code_in(self, path: Path, options: Mapping[str, Any]) -> tuple[str, ...]:
        """What loading would run and no list of harmless names holds, by name; read without the framework.

        Args:
            path: A copy, which is what will be loaded; never a Python file, which is code that the user named.

        Raises:
            ModelInvalid: It cannot be read, or is larger inside than any model.
            UnsafeModel: It was made to deceive.
        """


class InferenceClient(Protocol):
    """A way to a running model: HTTP, a tunnel, or direct methods."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether the runtime says it is ready. Raises NotReady when it says that it never will be."""

    @abstractmethod
    def metadata(self, model: str) -> ModelMetadata:
        """Metadata of the model. Raises InvocationError."""

    @abstractmethod
    def infer(self, model: str, request: InferenceRequest, *, timeout_s: float) -> InferenceResponse:
        """The answer to one request. Raises InvocationError with the server's own words."""


@runtime_checkable
class SelfTesting(Protocol):
    """A client of a runtime that replays its package's test data where it is, for a way that carries little."""

    @abstractmethod
    def self_test(self, *, timeout_s: float) -> SmokeReport:
        """What it found, each data set a check. Raises InvocationError."""

    @abstractmethod
    def fits(self, request: InferenceRequest) -> bool:
        """Whether the way carries a request."""


@runtime_checkable
class Target(Protocol, Generic[S]):
    """A place where models are served.

    Attributes:
        takes_image: False when the release is a package alone.
    """

    name: ClassVar[str]
    settings_type: type[S]
    takes_image: ClassVar[bool]

    @abstractmethod
    def preflight(self, settings: S) -> Findings:
        """What would stop a deployment here, before anything is built: devices, quota, architecture, credentials."""

    @abstractmethod
    def plan(self, name: str, release: Release, settings: S) -> DeploymentPlan:
        """What ``apply`` would do. Reads only; equal on every call while nothing changes."""

    @abstractmethod
    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        """The new release, running and ready, while the old one still serves. Leaves nothing behind on failure."""

    @abstractmethod
    def connect(self, deployment: Deployment) -> AbstractContextManager[InferenceClient]:
        """A client of the deployment, closed at the end of the block."""

    @abstractmethod
    def promote(self, candidate: Candidate, progress: Progress) -> Deployment:
        """Put the candidate, whose smoke tests passed, in the old one's place."""

    @abstractmethod
    def discard(self, candidate: Candidate, progress: Progress) -> None:
        """Remove the candidate; the old one stays."""

    @abstractmethod
    def inspect(self, name: str, settings: S) -> Deployment | None:
        """The deployment as the target itself shows it, or None."""

    @abstractmethod
    def deployments(self, settings: S) -> tuple[Deployment, ...]:
        """All of dray's deployments there, by name."""

    @abstractmethod
    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        """Lines of its log, oldest first; with ``follow``, on until interrupted."""

    @abstractmethod
    def previous(self, deployment: Deployment) -> tuple[Release | ImageRef, S] | None:
        """What served before, for a rollback through the same plan, smoke tests and promotion; None if nothing did.

        An image alone stands for the release whose package it holds, where the target keeps no copy of that.
        """

    @abstractmethod
    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        """Remove the deployment and all that belongs to it; done already is done."""


@runtime_checkable
class HoldsImages(Protocol[S_contra]):
    """A target that may hold an image that no registry has, as a container engine does."""

    @abstractmethod
    def package_of(self, image: ImageRef, settings: S_contra) -> ModelPackage | None:
        """The package in an image, every digest checked; None where the target does not hold it."""

    @abstractmethod
    def load_image(self, archive: Iterator[bytes], settings: S_contra) -> None:
        """Take an image in the form that ``docker load`` reads.

        Raises:
            DeploymentError, ImageError: It does not.
        """

    @abstractmethod
    def platform(self, settings: S_contra) -> Platform:
        """What images must be built for to run there."""


@runtime_checkable
class PullsImages(Protocol[S_contra]):
    """A target that pulls its images from a registry, where they must be before it is asked."""

    @abstractmethod
    def platforms(self, settings: S_contra) -> tuple[Platform, ...]:
        """What an image must be built for to run there."""


@runtime_checkable
class Various(Protocol[S]):
    """A target that is several: which one, its settings say."""

    @abstractmethod
    def at(self, settings: S) -> "Target[S]":
        """The one that is meant, under the same name.

        Raises:
            ConfigurationError: The settings name none.
        """


@runtime_checkable
class ChoosesForm(Protocol[S_contra]):
    """A target whose hosts take models in a certain form."""

    @abstractmethod
    def form(self, settings: S_contra) -> Form:
        """What a model is packaged as; what the command line says besides must not contradict it."""


@runtime_checkable
class Gradual(Protocol):
    """A target that may give a release the traffic step by step, tested at each."""

    @abstractmethod
    def advance(self, candidate: Candidate, progress: Progress) -> Candidate | None:
        """The candidate with its next share of the traffic, watched there for a while; None where nothing is left.

        Raises:
            DrayError: It does not stand it; ``discard`` takes the traffic back.
        """


@runtime_checkable
class Waits(Protocol):
    """A target whose place may be out of reach: a release waits for it there, and is tested when it is back."""

    @abstractmethod
    def settle(self, deployment: Deployment, progress: Progress) -> Deployment:
        """Take a release that waited, and has passed its tests now, for the one that serves."""
