"""Names of container images, as registries and engines write them.

Source: github.com/distribution/reference, the grammar in ``reference.go`` and the rule for the first part in
``normalize.go``.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from packager.core.errors import ImageReferenceInvalid

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    rf"(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_MAX_REPOSITORY: Final = 255


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where an image is: ``[registry/]repository[:tag][@digest]``.

    Attributes:
        registry: Host with optional port; None where the engine's default registry is meant.
        repository: Path in the registry, lower case.
    """

    registry: str | None
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ImageRef":
        """The reference that ``text`` spells.

        Raises:
            ImageReferenceInvalid: It follows no rule of the grammar.
        """
        head, slash, rest = text.partition("/")
        registry = head if slash and _looks_like_host(head) else None
        image = _IMAGE.fullmatch(rest if registry else text)
        sound = image and len(image["repository"]) <= _MAX_REPOSITORY
        if not image or not sound or (registry and not _REGISTRY.fullmatch(registry)):
            raise ImageReferenceInvalid(
                f"not an image reference: {text!r}", hint="write it as registry.example/team/model:tag"
            )
        return cls(registry, image["repository"], image["tag"], image["digest"])

    def __str__(self) -> str:
        registry = f"{self.registry}/" if self.registry else ""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{registry}{self.repository}{tag}{digest}"

    @property
    def pinned(self) -> bool:
        """True when the reference names one image for ever."""
        return self.digest is not None

    def with_digest(self, digest: str) -> "ImageRef":
        """The same image, pinned."""
        return replace(self, digest=digest)


def _looks_like_host(text: str) -> bool:
    """The first part names a registry only if it could not be a folder of the default one."""
    return "." in text or ":" in text or text == "localhost" or text.lower() != text
