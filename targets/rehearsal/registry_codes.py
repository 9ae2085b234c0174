"""What the registry of a stand-in refuses, by the distribution specification's codes; without a web framework."""

from typing import Final

# Source: github.com/opencontainers/distribution-spec, ``spec.md``, "Error Codes".
_STATUS: Final = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 400,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "SIZE_INVALID": 413,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED": 405,
}


class Refused(Exception):
    """A request that the registry does not grant."""

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or _STATUS[code]
