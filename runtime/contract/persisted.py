"""What all documents that dray writes to disk have in common."""

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Persisted(BaseModel):
    """Base of everything dray writes to disk: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _safe_relative(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not path or "\\" in path or path.startswith("/") or ".." in parts or str(PurePosixPath(path)) != path:
        raise ValueError(f"not a plain relative path: {path!r}")
    return path


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RelativePath = Annotated[str, AfterValidator(_safe_relative)]
