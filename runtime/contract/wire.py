"""The Open Inference Protocol v2, JSON form, and the one error object that every dialect answers with.

Source: KServe "Open Inference Protocol" (v2), sections Inference, Metadata, Health.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from runtime.contract.dtypes import Datatype


class Wire(BaseModel):
    """Base of what travels: unknown keys are kept out of the way, as the protocol asks."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Tensor(Wire):
    """A tensor in JSON: ``data`` is flat in row-major order, or nested as ``shape`` says."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[Any]
    parameters: Mapping[str, Any] | None = None


class RequestedOutput(Wire):
    """An output that the client asks for by name."""

    name: str
    parameters: Mapping[str, Any] | None = None


class InferenceRequest(Wire):
    """Body of ``POST /v2/models/{name}/infer``."""

    id: str | None = None
    inputs: list[Tensor]
    outputs: list[RequestedOutput] | None = None
    parameters: Mapping[str, Any] | None = None


class InferenceResponse(Wire):
    """Answer to an inference request."""

    model_name: str
    model_version: str | None = None
    id: str | None = None
    outputs: list[Tensor]
    parameters: Mapping[str, Any] | None = None


class TensorMetadata(Wire):
    """A tensor in model metadata: -1 stands for a free axis."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: Mapping[str, Any] | None = None


class ModelMetadata(Wire):
    """Answer to ``GET /v2/models/{name}``; ``parameters`` holds digest, labels and the active execution provider."""

    name: str
    versions: list[str] = Field(default_factory=list)
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: Mapping[str, Any] | None = None


class ServerMetadata(Wire):
    """Answer to ``GET /v2``."""

    name: str
    version: str
    extensions: list[str]


class ErrorBody(Wire):
    """The error object of every dialect, on every status but 200."""

    error: str
    message: str
    error_code: str
    detail: Mapping[str, Any] = Field(default_factory=dict)
    request_id: str | None = None
