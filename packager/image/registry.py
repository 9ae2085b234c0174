"""A client of container registries: manifests, blobs and attached artifacts, each checked against its digest.

Source: github.com/opencontainers/distribution-spec, version 1.1 (``spec.md``). A push sends what is missing and tags
last, so that no name ever leads to half an image.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from packager.core.credentials import Anonymous, CredentialSource
from packager.core.errors import ImageInvalid, ImageMissing, RegistryError
from packager.core.files import ensure_folder, writing_to
from packager.core.image import DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST, Descriptor
from packager.image.blobs import EMPTY, Blob, Manifest, as_json, chunks_of, descriptor_of, digest_of, file_digest
from packager.image.registry_failures import Wanted
from packager.image.registry_http import RegistryHttp, RegistrySettings

_ACCEPT: Final = ", ".join((INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
_OK, _CREATED, _ACCEPTED, _NO_CONTENT, _PARTIAL, _TOO_LARGE = 200, 201, 202, 204, 206, 413
_CHUNK: Final = 32 << 20
# Manifests are small; registries take no larger ones. Source: distribution-spec, "Pushing Manifests".
_LARGEST_MANIFEST: Final = 4 << 20


@dataclass(slots=True)
class Registry:
    """One registry; close it, or use it as a context manager.

    Attributes:
        chunk_bytes: How large the pieces are for a registry (or its proxy) that takes no large body at once.
    """

    host: str
    credentials: CredentialSource = field(default_factory=Anonymous)
    settings: RegistrySettings = field(default_factory=RegistrySettings)
    chunk_bytes: int = _CHUNK
    _http: RegistryHttp | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next request makes new ones."""
        if self._http:
            self._http.close()

    @property
    def sent_bytes(self) -> int:
        """Of blobs and manifests, tries included, since this client was made."""
        return self._http.sent_bytes if self._http else 0

    def manifest(self, repository: str, selector: str) -> Manifest:
        """The manifest or index of a tag or digest.

        Raises:
            ImageMissing: There is none.
            ImageInvalid: Its bytes are not those of its digest.
            RegistryError: Of its family.
        """
        wanted = Wanted(f"{repository}{_joined(selector)}", _scope(repository))
        path = f"/v2/{repository}/manifests/{quote(selector, safe=':')}"
        answer = self.http.request("GET", path, wanted, headers={"Accept": _ACCEPT})
        content = answer.content
        digest = digest_of(content)
        promised = selector if ":" in selector else answer.headers.get("docker-content-digest", digest)
        if promised != digest or len(content) > _LARGEST_MANIFEST:
            raise _not_its_digest(self.host, wanted.what, promised, digest)
        media_type = _media_type(content, answer.headers.get("content-type", ""), wanted.what)
        return Manifest(Descriptor(media_type, digest, len(content)), content)

    def has_manifest(self, repository: str, selector: str) -> str | None:
        """The digest that a tag (or digest) leads to; None where there is none."""
        path = f"/v2/{repository}/manifests/{quote(selector, safe=':')}"
        wanted = Wanted(f"{repository}{_joined(selector)}", _scope(repository))
        try:
            answer = self.http.request("HEAD", path, wanted, headers={"Accept": _ACCEPT})
        except ImageMissing:
            return None
        digest: str | None = answer.headers.get("docker-content-digest")
        return digest or (selector if ":" in selector else self.manifest(repository, selector).descriptor.digest)

    def has_blob(self, repository: str, digest: str, *, writes: bool = False) -> bool:
        """Whether the repository has a blob."""
        wanted = Wanted(f"{repository}@{digest}", _scope(repository, writes=writes), writes)
        try:
            self.http.request("HEAD", f"/v2/{repository}/blobs/{digest}", wanted)
        except ImageMissing:
            return False
        return True

    def fetch_blob(self, repository: str, descriptor: Descriptor, out: Path) -> None:
        """Write a blob to a file, whole and checked or not at all; a transfer that was cut goes on where it ended.

        Raises:
            ImageMissing: There is none.
            ImageInvalid: Its bytes are not those of its digest.
            NotWritable, DiskFull: The file cannot be written.
            RegistryError: Of its family.
        """
        partial = out.with_name(f".{out.name}.partial")
        with writing_to(out):
            ensure_folder(out.parent)
            try:
                self.http.retrying(lambda: self._fetch_rest(repository, descriptor, partial))
                found = file_digest(partial)
                if found != descriptor.digest:
                    raise _not_its_digest(self.host, f"{repository} blob", descriptor.digest, found)
                partial.replace(out)
            finally:
                partial.unlink(missing_ok=True)

    def blob(self, repository: str, descriptor: Descriptor) -> bytes:
        """The bytes of a small blob, such as a configuration."""
        wanted = Wanted(f"{repository}@{descriptor.digest}", _scope(repository))
        content = self.http.request("GET", f"/v2/{repository}/blobs/{descriptor.digest}", wanted).content
        if digest_of(content) != descriptor.digest:
            raise _not_its_digest(self.host, wanted.what, descriptor.digest, digest_of(content))
        return content

    def push_blob(self, repository: str, blob: Blob, *, mount_from: str | None = None) -> bool:
        """Put a blob in the repository; False when it was there or was mounted, and nothing travelled.

        Args:
            mount_from: A repository of the same registry that may have it.

        Raises:
            PushDenied, RegistryError: Of its family; nothing is left that a name leads to.
        """
        return self.http.retrying(lambda: self._push_once(repository, blob, mount_from))

    def put_manifest(self, repository: str, selector: str, content: bytes, media_type: str) -> str:
        """Put a manifest or index under a tag or its digest, and say its digest; what it names must be there before.

        Raises:
            PushDenied, RegistryError: Of its family.
        """
        wanted = Wanted(f"{repository}{_joined(selector)}", _scope(repository, writes=True), writes=True)
        path = f"/v2/{repository}/manifests/{quote(selector, safe=':')}"
        headers = {"Content-Type": media_type}
        answer = self.http.request("PUT", path, wanted, headers=headers, content=content, expected=(_CREATED, _OK))
        digest = digest_of(content)
        if (said := answer.headers.get("docker-content-digest", digest)) != digest:
            raise _not_its_digest(self.host, wanted.what, digest, said)
        return digest

    def referrers(self, repository: str, digest: str, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Artifacts attached to an image; from the tag that stands for the list where the registry has no such list."""
        wanted = Wanted(f"{repository} referrers", _scope(repository))
        query = f"?artifactType={quote(artifact_type, safe='')}" if artifact_type else ""
        try:
            path = f"/v2/{repository}/referrers/{digest}{query}"
            document = self.http.request("GET", path, wanted, headers={"Accept": INDEX}).json()
        except ImageMissing:
            document = self._listed(repository, digest)
        found = tuple(descriptor_of(entry) for entry in document.get("manifests") or ())
        return tuple(each for each in found if artifact_type in (None, each.artifact_type))

    def attach(self, repository: str, subject: Descriptor, artifact_type: str, blob: Blob, media_type: str) -> str:
        """Attach a file to an image, and say the digest of the artifact.

        Raises:
            PushDenied, RegistryError: Of its family.
        """
        nothing = Blob.of_bytes(b"{}")
        for each in (nothing, blob):
            self.push_blob(repository, each)
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": Descriptor(EMPTY, nothing.digest, nothing.size).as_json(),
            "layers": [Descriptor(media_type, blob.digest, blob.size).as_json()],
            "subject": Descriptor(subject.media_type, subject.digest, subject.size).as_json(),
        }
        content = as_json(document)
        self.put_manifest(repository, digest_of(content), content, MANIFEST)
        attached = Descriptor(MANIFEST, digest_of(content), len(content), artifact_type=artifact_type)
        self._list(repository, subject.digest, attached)
        return attached.digest

    @property
    def http(self) -> RegistryHttp:
        """The connection, with the credentials that are configured for the registry."""
        if self._http is None:
            self._http = RegistryHttp(self.host, self.credentials.credential(self.host), self.settings)
        return self._http

    def _list(self, repository: str, subject: str, attached: Descriptor) -> None:
        """Add to the tag that stands for a list that the registry lacks. Source: spec, "Referrers Tag Schema"."""
        if any(each.digest == attached.digest for each in self.referrers(repository, subject)):
            return
        listed = self._listed(repository, subject).get("manifests") or []
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*listed, attached.as_json()]}
        self.put_manifest(repository, subject.replace(":", "-"), as_json(index), INDEX)

    def _listed(self, repository: str, subject: str) -> Mapping[str, Any]:
        try:
            return self.manifest(repository, subject.replace(":", "-")).document
        except ImageMissing:
            return {}

    def _fetch_rest(self, repository: str, descriptor: Descriptor, partial: Path) -> None:
        had = partial.stat().st_size if partial.exists() else 0
        wanted = Wanted(f"{repository}@{descriptor.digest}", _scope(repository))
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={had}-"} if had else {})}
        if had and had == descriptor.size:
            return
        path = f"/v2/{repository}/blobs/{descriptor.digest}"
        with self.http.stream(path, wanted, headers) as answer, ExitStack() as files:
            goes_on = had and answer.status_code == _PARTIAL
            stream = files.enter_context(partial.open("ab" if goes_on else "wb"))
            for piece in answer.iter_bytes():
                stream.write(piece)

    def _push_once(self, repository: str, blob: Blob, mount_from: str | None) -> bool:
        if self.has_blob(repository, blob.digest, writes=True):
            return False
        wanted = Wanted(f"{repository}@{blob.digest}", _scope(repository, mount_from, writes=True), writes=True)
        mount = f"?mount={blob.digest}&from={quote(mount_from, safe='')}" if mount_from else ""
        begun = self.http.request(
            "POST", f"/v2/{repository}/blobs/uploads/{mount}", wanted, expected=(_CREATED, _ACCEPTED)
        )
        if begun.status_code == _CREATED:
            return False
        try:
            self._send_whole(_location(begun, self.host), blob, wanted)
        except RegistryError as error:
            if error.detail.get("status") != _TOO_LARGE:
                raise
            again = self.http.request("POST", f"/v2/{repository}/blobs/uploads/", wanted, expected=(_ACCEPTED,))
            self._send_inchunks_of(_location(again, self.host), blob, wanted)
        return True

    def _send_whole(self, location: str, blob: Blob, wanted: Wanted) -> None:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        self.http.request(
            "PUT", _with_digest(location, blob.digest), wanted, headers=headers, content=blob.open,
            expected=(_CREATED, _NO_CONTENT), once=True,
        )  # fmt: skip

    def _send_inchunks_of(self, location: str, blob: Blob, wanted: Wanted) -> None:
        begin = 0
        for chunk in chunks_of(blob.open(), self.chunk_bytes):
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{begin}-{begin + len(chunk) - 1}",
            }
            answer = self.http.request(
                "PATCH", location, wanted, headers=headers, content=chunk, expected=(_ACCEPTED, _NO_CONTENT), once=True
            )
            location, begin = _location(answer, self.host), begin + len(chunk)
        self.http.request(
            "PUT", _with_digest(location, blob.digest), wanted, expected=(_CREATED, _NO_CONTENT), once=True
        )


def _scope(repository: str, mount_from: str | None = None, *, writes: bool = False) -> str:
    own = f"repository:{repository}:{'pull,push' if writes else 'pull'}"
    return f"{own} repository:{mount_from}:pull" if mount_from else own


def _joined(selector: str) -> str:
    return f"@{selector}" if ":" in selector else f":{selector}"


def _location(answer: Any, host: str) -> str:
    location: str = answer.headers.get("location", "")
    if not location:
        raise RegistryError(f"{host} did not say where to send the blob", hint="is this a container registry?")
    return location


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe=':')}"


def _media_type(content: bytes, header: str, what: str) -> str:
    try:
        document = json.loads(content)
        return str(document.get("mediaType") or header.partition(";")[0].strip())
    except (ValueError, AttributeError) as error:
        raise ImageInvalid(f"the manifest of {what} is not JSON", hint="is this a container registry?") from error


def _not_its_digest(host: str, what: str, expected: str, found: str) -> ImageInvalid:
    return ImageInvalid(
        f"{what} came from {host} with other bytes than its digest: expected {expected}, got {found}",
        hint="something between here and the registry changes what it sends; do not use it",
        detail={"expected": expected, "found": found},
    )
