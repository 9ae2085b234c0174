"""What a peer is to the benchmark."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.serving.bodies import Answer, Request, inference_json, read_inference, read_rows, rows_json
from benchmarks.serving.cells import Cell, Encoding
from benchmarks.serving.subjects import Array, Subject

ROOT: Final = Path(__file__).parents[3]
SERVERS: Final = ROOT / "benchmarks" / "serving" / "servers"
# What dray's own environment has, so that all run the same kernels.
ONNXRUNTIME: Final = f"onnxruntime=={version('onnxruntime')}"


class PeerUnavailable(Exception):
    """A peer cannot be had or started here; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer runs for one model.

    Attributes:
        python: The interpreter of the peer's environment.
        folder: Empty; the peer's own.
        ports: Free ones; the first answers requests.
    """

    subject: Subject
    python: Path
    folder: Path
    ports: tuple[int, ...]

    @property
    def port(self) -> int:
        """Of the server."""
        return self.ports[0]

    def variables(self) -> dict[str, str]:
        """What the programs in ``servers`` read."""
        return {
            "BENCH_MODEL": str(self.subject.model),
            "BENCH_DTYPE": self.subject.row.dtype.name,
            "BENCH_PORT": str(self.port),
            "PYTHONPATH": str(SERVERS),
        }


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


class Peer(ABC):
    """A server, or what it is compared with.

    Attributes:
        requirements: Of its own environment; empty for dray's.
        kind: "dray", "triton", "python" (a server written in Python that people would pick), or "limit" (what no server
            of a model passes).
        mark: What must stand beside each of its figures.
        note: What else a reader of them must know.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "python"
    requirements: ClassVar[tuple[str, ...]] = ()
    encodings: ClassVar[tuple[Encoding, ...]] = ("json",)
    mark: ClassVar[str] = ""
    note: ClassVar[str] = ""

    @property
    def environment(self) -> str:
        """The name of its environment; variants of a peer share one."""
        return self.name.partition("-")[0]

    def takes(self, cell: Cell) -> bool:
        """Whether it is measured there."""
        return cell.encoding in self.encodings

    @abstractmethod
    def prepare(self, place: Place) -> Launch:
        """Write what the server needs into its folder, and say how it is started.

        Raises:
            PeerUnavailable: It cannot be.
        """

    @abstractmethod
    def request(self, subject: Subject, encoding: Encoding) -> Request:
        """One row."""

    def read(self, answer: Answer) -> Array:
        """The probabilities in its answer."""
        return read_inference(answer)


class RowsPeer(Peer):
    """One that takes rows in JSON of its own."""

    path: ClassVar[str]
    key: ClassVar[str] = "instances"

    def request(self, subject: Subject, encoding: Encoding) -> Request:
        """Rows under the peer's key."""
        return Request(self.path, rows_json(subject, self.key))

    def read(self, answer: Answer) -> Array:
        """Rows, by name or not."""
        return read_rows(answer)


def infer_json(subject: Subject, model: str) -> Request:
    """The Open Inference Protocol's request to a model of that name."""
    return Request(f"/v2/models/{model}/infer", inference_json(subject))
