"""Manifests and indexes of images: what of them a registry checks, and what a runner takes out of them.

Source: the OCI image specification 1.1 (``manifest.md``, ``image-index.md``) and Docker's image manifest version 2.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packager.core.image import DOCKER_MANIFEST, INDEXES, MANIFEST
from targets.rehearsal.blobs import BlobStore, StoredManifest, digest_of, is_digest
from targets.rehearsal.registry_codes import Refused

_MANIFESTS: Final = frozenset({MANIFEST, DOCKER_MANIFEST})


@dataclass(frozen=True, slots=True)
class GivenManifest:
    """A manifest that may be kept.

    Attributes:
        subject: Digest of what it is attached to; None for an image.
    """

    digest: str
    media_type: str
    subject: str | None


def checked_manifest(content: bytes, header: str, repository: str, store: BlobStore) -> GivenManifest:
    """What a client sent as a manifest, where the repository has everything that it names.

    Raises:
        Refused: It is none, or leads to what is not there.
    """
    document = parsed(content)
    media_type = str(document.get("mediaType") or header.partition(";")[0].strip())
    if media_type in INDEXES:
        for digest in _digests(document.get("manifests")):
            if store.manifest(repository, digest) is None:
                raise Refused("MANIFEST_BLOB_UNKNOWN", f"{repository} has no manifest {digest}")
    elif media_type in _MANIFESTS:
        # What an image may have elsewhere ("foreign" layers) it says by its addresses.
        entries = [entry for entry in _entries(document.get("layers")) if not entry.get("urls")]
        for digest in _digests([document.get("config"), *entries]):
            if not store.has(repository, digest):
                raise Refused("MANIFEST_BLOB_UNKNOWN", f"{repository} has no blob {digest}")
    else:
        raise Refused("MANIFEST_INVALID", f"this registry takes no {media_type!r}")
    subject = document.get("subject")
    attached = _digests([subject])[0] if subject else None
    return GivenManifest(digest_of(content), media_type, attached)


def referrers(manifests: Iterable[StoredManifest], digest: str, kind: str | None) -> list[dict[str, Any]]:
    """Descriptors of all that is attached to a digest, of one artifact type where that is asked for."""
    found = []
    for manifest in manifests:
        document = json.loads(manifest.content)
        if (document.get("subject") or {}).get("digest") != digest:
            continue
        own = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
        if kind in (None, own):
            entry = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.content)}
            notes = {"annotations": document["annotations"]} if document.get("annotations") else {}
            found.append({**entry, **({"artifactType": own} if own else {}), **notes})
    return found


def parsed(content: bytes) -> Mapping[str, Any]:
    """The document of a manifest.

    Raises:
        Refused: It is no JSON object.
    """
    try:
        document = json.loads(content)
    except ValueError as error:
        raise Refused("MANIFEST_INVALID", f"the manifest is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Refused("MANIFEST_INVALID", "the manifest is not an object")
    return document


def _entries(value: object) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Refused("MANIFEST_INVALID", "the manifest does not list what it is made of")
    return value


def _digests(value: object) -> list[str]:
    """The digests of a list of descriptors."""
    digests = [str(entry.get("digest")) for entry in _entries(value)]
    if bad := next((digest for digest in digests if not is_digest(digest)), None):
        raise Refused("MANIFEST_INVALID", f"{bad!r} is no SHA-256 digest")
    return digests
