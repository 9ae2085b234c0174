"""What the registry of a stand-in holds, on disk: blobs by digest, and which repository has which.

A blob or manifest is there whole, with the bytes of its digest, or not at all. Repositories are folders by the digest
of their name, for names may be longer than a file's.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SESSION: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest or index, as its very bytes."""

    digest: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class BlobStore:
    """The registry's content; safe for several threads, since every change is one rename or one new file."""

    folder: Path

    def path(self, digest: str) -> Path:
        """Where the bytes of a digest lie, or would."""
        return self.folder / "blobs" / digest.removeprefix("sha256:")

    def has(self, repository: str, digest: str) -> bool:
        """Whether a repository has a blob."""
        return self._marker(repository, "blobs", digest).is_file() and self.path(digest).is_file()

    def link(self, repository: str, digest: str, *, origin: str) -> bool:
        """Let a repository have what another one has; False where that has it not."""
        if not self.has(origin, digest):
            return False
        self._mark(repository, "blobs", digest)
        return True

    def begin(self) -> str:
        """A new upload."""
        session = secrets.token_hex(16)
        path = self.folder / "uploads" / session
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return session

    def upload(self, session: str) -> Path | None:
        """What came so far of an upload; None where there is none of the name."""
        path = self.folder / "uploads" / session
        return path if _SESSION.fullmatch(session) and path.is_file() else None

    def finish(self, repository: str, session: str, digest: str) -> bool:
        """Make a blob of an upload; False, and nothing is left, where the digest is another."""
        path = self.folder / "uploads" / session
        with path.open("rb") as stream:
            found = file_digest(stream)
        if found != digest:
            path.unlink()
            return False
        final = self.path(digest)
        final.parent.mkdir(parents=True, exist_ok=True)
        path.replace(final)
        self._mark(repository, "blobs", digest)
        return True

    def manifest(self, repository: str, selector: str) -> StoredManifest | None:
        """The manifest of a tag or digest."""
        digest = selector if is_digest(selector) else self._tagged(repository, selector)
        marker = self._marker(repository, "manifests", digest) if digest else None
        try:
            if marker is None or digest is None:
                return None
            return StoredManifest(digest, marker.read_text(), self.path(digest).read_bytes())
        except FileNotFoundError:
            return None

    def put_manifest(self, repository: str, content: bytes, media_type: str, tag: str | None) -> str:
        """Keep a manifest, under a tag where one is given; its digest."""
        digest = digest_of(content)
        _write(self.path(digest), content)
        _write(self._marker(repository, "manifests", digest), media_type.encode())
        if tag is not None:
            # By its digest, as a name of a file may be of another case on some systems; the tag itself is inside.
            name = hashlib.sha256(tag.encode()).hexdigest()
            _write(self._repository(repository) / "tags" / name, f"{tag}\n{digest}".encode())
        return digest

    def manifests(self, repository: str) -> Iterator[StoredManifest]:
        """All of a repository."""
        folder = self._repository(repository) / "manifests"
        for marker in sorted(folder.glob("[0-9a-f]*")):
            if found := self.manifest(repository, f"sha256:{marker.name}"):
                yield found

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository, in order."""
        files = (self._repository(repository) / "tags").glob("[0-9a-f]*")
        return sorted(path.read_text().partition("\n")[0] for path in files)

    def known(self, repository: str) -> bool:
        """Whether anything was ever put into a repository."""
        return self._repository(repository).is_dir()

    def _tagged(self, repository: str, tag: str) -> str | None:
        try:
            path = self._repository(repository) / "tags" / hashlib.sha256(tag.encode()).hexdigest()
            return path.read_text().partition("\n")[2]
        except FileNotFoundError:
            return None

    def _repository(self, name: str) -> Path:
        return self.folder / "repositories" / hashlib.sha256(name.encode()).hexdigest()

    def _marker(self, repository: str, kind: str, digest: str) -> Path:
        return self._repository(repository) / kind / digest.removeprefix("sha256:")

    def _mark(self, repository: str, kind: str, digest: str) -> None:
        marker = self._marker(repository, kind, digest)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def is_digest(text: str) -> bool:
    """Whether a text is a digest, and not a tag."""
    return _DIGEST.fullmatch(text) is not None


def digest_of(content: bytes) -> str:
    """Of bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def file_digest(stream: BinaryIO) -> str:
    """Of all that is left in a file."""
    return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"  # type: ignore[arg-type]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
