"""A request and its answer, without the server's types."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from targets.rehearsal.kubernetes.errors import ApiError, bad_request, invalid
from targets.rehearsal.kubernetes.problems import Problems
from targets.rehearsal.kubernetes.resources import Resource

_MAX_MANAGER: Final = 128
APPLY: Final = ("application/apply-patch+yaml", "application/apply-patch+cbor")


@dataclass(frozen=True, slots=True)
class Call:
    """A request on a resource.

    Attributes:
        namespace: Empty for all, and for resources without.
        name: Empty for the whole collection.
        subresource: Empty for the object itself.
        headers: Names in lower case.
    """

    method: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes = field(default=b"", repr=False)

    def flag(self, name: str) -> bool:
        """A query parameter that is true or false."""
        return self.query.get(name, "").lower() in ("1", "true")

    def number(self, name: str) -> int | None:
        """A query parameter that is a number; None without it.

        Raises:
            ApiError: It is none.
        """
        given = self.query.get(name, "")
        if not given:
            return None
        if not given.removeprefix("-").isdecimal():
            raise bad_request(f'strconv.ParseInt: parsing "{given}": invalid syntax')
        return int(given)

    @property
    def content_type(self) -> str:
        """Of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def applies(self) -> bool:
        """Whether it is a server-side apply."""
        return self.method == "PATCH" and self.content_type in APPLY

    @property
    def manager(self) -> str:
        """Who writes: what it says, else the first word of its user agent."""
        given = self.query.get("fieldManager", "")
        return given or self.headers.get("user-agent", "").partition("/")[0][:_MAX_MANAGER] or "unknown"

    @property
    def validation(self) -> str:
        """``Strict``, ``Warn`` or ``Ignore``."""
        return self.query.get("fieldValidation") or "Warn"

    @property
    def as_table(self) -> bool:
        """Whether the client wants rows for people."""
        return "as=Table" in self.headers.get("accept", "").partition(",")[0].replace(" ", "")

    def dry(self, options: Mapping[str, Any] | None = None) -> bool:
        """Whether nothing shall be kept.

        Raises:
            ApiError: It is neither so nor the opposite.
        """
        given = [each for each in (self.query.get("dryRun"), *((options or {}).get("dryRun") or ())) if each]
        for each in given:
            if each != "All":
                raise ApiError(422, "Invalid", f'Invalid value: "{each}": supported values: "All"')
        return bool(given)

    def check_options(self) -> None:
        """Raises ApiError: an apply does not say who applies, or the manager's name is too long."""
        problems = Problems()
        if self.applies and not self.query.get("fieldManager"):
            problems.required("fieldManager", "is required for apply patch")
        if len(self.query.get("fieldManager", "")) > _MAX_MANAGER:
            problems.too_long("fieldManager", _MAX_MANAGER)
        problems.one_of("fieldValidation", self.query.get("fieldValidation") or None, "Ignore", "Warn", "Strict")
        if problems.causes:
            kind = "PatchOptions" if self.method == "PATCH" else "CreateOptions"
            raise invalid(Resource("meta.k8s.io", "v1", kind, "", ""), "", problems.causes)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back at once.

    Attributes:
        body: An object, or text or bytes as they are.
        cut: The connection ends before the body does.
    """

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """What is sent back piece by piece."""

    pieces: AsyncIterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)
