"""The certificate of a model package: the evidence that the ONNX model answers as its source did."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field

from runtime.contract.circuit import CircuitEvidence
from runtime.contract.manifest import Digest
from runtime.contract.persisted import Persisted, Sha256
from runtime.contract.transformation import Transformation

CERTIFICATE_NAME: Final = "certificate.json"
Count = Annotated[int, Field(strict=True, ge=0)]
Label = bool | int | float | str


class OutputDeviation(Persisted):
    """How far one output is from the source's, over all rows and batch sizes.

    Attributes:
        max_abs_error: Over the entries that are finite on both sides; labels have none (None).
        max_rel_error: The same, divided by the expected magnitude, over expected values that are not 0.
        rows_over: Rows with an entry above tolerance (NaN against a number is above any).
        labels_differing: Entries that had to be equal and are not.
        worst_row: The row that deviates most, counted from 0 in the samples; None when all agree exactly.
        expected: The source's value there. ``actual``: ONNX Runtime's.
    """

    rows: Count
    max_abs_error: float | None
    max_rel_error: float | None
    rows_over: Count
    labels_differing: Count
    worst_row: Count | None = None
    expected: Label | None = None
    actual: Label | None = None

    @property
    def passed(self) -> bool:
        """True when no row is above tolerance and no label differs."""
        return self.rows_over == 0 and self.labels_differing == 0


class Comparison(Persisted):
    """Source against ONNX on one feeding of the same samples, by output name."""

    outputs: Mapping[str, OutputDeviation]

    @property
    def passed(self) -> bool:
        """True when every output passed; an empty comparison proves nothing."""
        return bool(self.outputs) and all(deviation.passed for deviation in self.outputs.values())


class Share(Persisted):
    """Part of a whole that the samples reached."""

    reached: Count
    total: Count


class Coverage(Persisted):
    """What the samples exercise in the model: ``leaves`` of its trees, ``categories`` of its encoders, and so on.

    Attributes:
        weak: True when the evidence is thin (under 95 % of leaves, say); ``reason`` says in what.
    """

    measures: Mapping[str, Share] = Field(default_factory=dict)
    weak: bool = False
    reason: str = ""


class Parity(Persisted):
    """Both comparisons and how they were made.

    Attributes:
        conversion: Source and ONNX fed the same values, cast to the input type.
        user_visible: Source fed the original values, ONNX fed what HTTP gives it.
        accepted_precision_loss: The user-visible comparison failed, and ``--accept-precision-loss`` took it.
    """

    samples: Count
    synthetic: bool
    seed: int | None
    batch_sizes: tuple[int, ...]
    atol: float
    rtol: float
    coverage: Coverage
    conversion: Comparison
    user_visible: Comparison
    accepted_precision_loss: bool = False


class BatchSafety(Persisted):
    """Whether rows may share a run: proven by rows one at a time against batches, shuffled, at two free sizes."""

    batchable: bool
    reason: str


class ResourceHint(Persisted):
    """What serving took when it was measured."""

    memory_mib: float
    cpu_millicores: int
    startup_s: float


class Certificate(Persisted):
    """Evidence about one content digest.

    Attributes:
        reference: Where the expected answers come from: the source framework, a file of the user's, the ONNX model
            itself (``self``, for a model that came as ONNX), or nowhere (``none``).
        parity: None only where there is nothing to compare with (``none``).
        versions: Of everything that took part, by distribution name.
        trusted: What ``--trust`` let a model file call.
        transform: What was done to the model after its conversion; parity is about the model that is packaged, so that
            of a quantised one counts the rows and labels that differ.
        circuit: What was found of the circuit that answers in the model's place.
        seal: SHA-256 of this certificate without its seal: finds damage; signatures are what finds forgery.
    """

    digest: Digest
    reference: Literal["source", "expected-file", "self", "none"]
    parity: Parity | None
    batch_safety: BatchSafety
    resources: ResourceHint | None = None
    versions: Mapping[str, str]
    trusted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    transform: Transformation | None = None
    circuit: CircuitEvidence | None = None
    seal: Sha256 | None = None

    def sealed(self) -> Self:
        """This certificate with its seal set."""
        return self.model_copy(update={"seal": self._seal()})

    @property
    def intact(self) -> bool:
        """True when the seal is that of this content."""
        return self.seal == self._seal()

    def _seal(self) -> str:
        return hashlib.sha256(self.model_dump_json(exclude=self._absent() | {"seal"}).encode()).hexdigest()

    def to_bytes(self) -> bytes:
        """The bytes of ``certificate.json``."""
        return (self.model_dump_json(indent=2, exclude=self._absent()) + "\n").encode()

    def _absent(self) -> set[str]:
        """Fields that older certificates do not have, so that theirs keep their seals."""
        return {name for name in ("transform", "circuit") if getattr(self, name) is None}
