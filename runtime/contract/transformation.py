"""The part of a certificate that says what --optimize and --quantize did to a model, and what it cost."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from runtime.contract.persisted import Persisted

Count = Annotated[int, Field(strict=True, ge=0)]


class OutputAgreement(Persisted):
    """How one output agrees with the source's, at the batch size where it agrees least.

    Attributes:
        agreement: The smallest of ``measures``; 1 is complete.
        measures: ``labels`` and ``classes``: share of rows with the source's label, or its highest score; ``variance``:
            1 - (squared error / variance of the source's answers); ``cosine``: mean over the rows.
        max_abs_error: Over the entries that are finite on both sides; labels have none (None).
        worst_cosine: That of the worst row, for embeddings.
    """

    rows: Count
    agreement: float
    measures: Mapping[str, float]
    max_abs_error: float | None = None
    worst_cosine: float | None = None


class Variant(Persisted):
    """One form of the model that was made and measured.

    Attributes:
        accepted: Whether it could have been packaged; ``reason`` says why not.
        nodes: Of its graph.
        latency_ms: Median of one run, by batch size; empty where it was not worth measuring.
        outputs: Against the source's answers, by output name; empty where it does not run.
        batchable: Whether a row's answer is the same whatever rows are beside it.
    """

    name: str
    accepted: bool
    reason: str = ""
    size_bytes: Count | None = None
    nodes: Count | None = None
    latency_ms: Mapping[str, float] = Field(default_factory=dict)
    outputs: Mapping[str, OutputAgreement] = Field(default_factory=dict)
    batchable: bool | None = None

    @property
    def agreement(self) -> float:
        """Of the output that agrees least."""
        return min((output.agreement for output in self.outputs.values()), default=0.0)

    @property
    def max_abs_error(self) -> float | None:
        """Of all outputs; None where there are only labels."""
        errors = [output.max_abs_error for output in self.outputs.values() if output.max_abs_error is not None]
        return max(errors, default=None)


class Calibration(Persisted):
    """The rows that set the ranges of the integers.

    Attributes:
        weak: True when nothing says that the rows are like those that users will send.
    """

    rows: Count
    origin: Literal["samples", "calibration-file", "synthetic"]
    weak: bool


class Transformation(Persisted):
    """What was done to the model after its conversion.

    Attributes:
        steps: What made the packaged model from the converted one, in order; none where nothing was gained.
        before: The converted model. ``after``: the packaged one. ``tried``: all forms that were made.
        rule: How the packaged one was chosen among them.
        lossless: The packaged model holds the ordinary tolerance of parity.
        min_agreement: The gate that it passed.
        measured: On what, and how, latencies were measured.
    """

    steps: tuple[str, ...]
    before: Variant
    after: Variant
    tried: tuple[Variant, ...]
    rule: str
    lossless: bool
    min_agreement: float
    calibration: Calibration | None = None
    measured: str
