"""What is kept of an inference request beyond counts and a line in the log: its sample and its span."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runtime.engine.runs import count_rows
from runtime.routes.dialects import Answered
from runtime.routes.serving import Serving
from runtime.tracing import Traced

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import OnnxModel


def sample(serving: Serving, model: "OnnxModel", answered: Answered, *, dialect: str, request_id: str) -> None:
    """Keep an answer for drift work if the lot falls on it."""
    samples = serving.samples
    if samples is not None and samples.drawn():
        samples.take(
            model.manifest,
            digest=model.package.digest,
            dialect=dialect,
            request_id=request_id,
            inputs=answered.inputs,
            outputs=answered.outputs,
        )


def traced(
    path: str,
    scheme: str,
    status: int,
    seconds: float,
    *,
    headers: Mapping[bytes, bytes],
    dialect: str,
    request_id: str,
    model: "OnnxModel | None",
    answered: Answered | None,
) -> Traced:
    """The facts of the span of an inference request.

    Args:
        model: None where none was found.
        answered: None where the request was refused.
    """
    return Traced(
        method="POST",
        path=path,
        scheme=scheme,
        status=status,
        seconds=seconds,
        headers=headers,
        dialect=dialect,
        request_id=request_id,
        manifest=model.manifest if model is not None else None,
        rows=_rows(model, answered) if model is not None and answered is not None else None,
        ran_ns=answered.ran_ns if answered is not None else None,
    )


def _rows(model: "OnnxModel", answered: Answered) -> int:
    return count_rows(answered.inputs) if model.manifest.signature.batch_dim is not None else 1
