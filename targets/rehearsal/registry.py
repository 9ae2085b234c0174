"""The registry of a stand-in: where images are pushed that its cloud would pull from elsewhere.

It speaks the distribution specification 1.1 as far as clients push and pull (dray's own, Docker's, others); nothing can
be deleted, since all of it goes with the stand-in. Source: github.com/opencontainers/distribution-spec, ``spec.md``.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from packager.core.image import INDEX
from targets.rehearsal.blobs import BlobStore, StoredManifest, is_digest
from targets.rehearsal.layout import USER
from targets.rehearsal.manifests import checked_manifest, referrers
from targets.rehearsal.registry_codes import Refused
from targets.rehearsal.registry_refusals import API, no_room, refused, unknown

# Source: distribution-spec, "Pushing Manifests": registries should take at least so much.
LARGEST_MANIFEST: Final = 4 << 20
_NAME: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_LONGEST_NAME: Final = 255
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_RANGE: Final = re.compile(r"([0-9]+)-([0-9]+)")
_OCTETS: Final = "application/octet-stream"
_DIGEST_HEADER: Final = "Docker-Content-Digest"

Endpoint = Callable[[Request], Awaitable[Response]]


def registry_app(store: BlobStore, token: str) -> Starlette:
    """The registry as an ASGI application."""
    calls = _Calls(store)

    def guarded(call: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            if not authorized(request.headers.get("authorization", ""), USER, token):
                raise Refused("UNAUTHORIZED", "this registry wants the password of its rehearsal")
            if name := request.path_params.get("name"):
                _check_name(name)
            return await call(request)

        return answer

    blob, manifest = "/v2/{name:path}/blobs", "/v2/{name:path}/manifests/{reference}"
    routes = [
        Route("/v2/", guarded(calls.base), methods=["GET"]),
        Route(f"{blob}/uploads/", guarded(calls.begin), methods=["POST"]),
        Route(f"{blob}/uploads/{{session}}", guarded(calls.progress), methods=["GET"]),
        Route(f"{blob}/uploads/{{session}}", guarded(calls.append), methods=["PATCH"]),
        Route(f"{blob}/uploads/{{session}}", guarded(calls.finish), methods=["PUT"]),
        Route(f"{blob}/uploads/{{session}}", guarded(calls.cancel), methods=["DELETE"]),
        Route(f"{blob}/{{digest}}", guarded(calls.blob), methods=["GET"]),
        Route(manifest, guarded(calls.manifest), methods=["GET"]),
        Route(manifest, guarded(calls.put_manifest), methods=["PUT"]),
        Route("/v2/{name:path}/tags/list", guarded(calls.tags), methods=["GET"]),
        Route("/v2/{name:path}/referrers/{digest}", guarded(calls.referrers), methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={Refused: refused, HTTPException: unknown, OSError: no_room})


def authorized(header: str, user: str, password: str) -> bool:
    """Whether an ``Authorization`` header shows this user with this password."""
    scheme, _, encoded = header.partition(" ")
    try:
        shown = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(shown, f"{user}:{password}".encode())


class _Calls:
    """One method for each call of the specification."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    async def base(self, request: Request) -> Response:
        return JSONResponse({}, headers=API)

    async def blob(self, request: Request) -> Response:
        name, digest = request.path_params["name"], _digest(request.path_params["digest"])
        if not self._store.has(name, digest):
            raise Refused("BLOB_UNKNOWN", f"{name} has no {digest}")
        return FileResponse(self._store.path(digest), media_type=_OCTETS, headers={_DIGEST_HEADER: digest})

    async def begin(self, request: Request) -> Response:
        name, query = request.path_params["name"], request.query_params
        if (wanted := query.get("mount")) and (origin := query.get("from")):
            _check_name(origin)
            if self._store.link(name, _digest(wanted), origin=origin):
                return self._made(name, wanted)
        session = self._store.begin()
        if "digest" in query:
            await self._receive(request, session)
            return await self._close(name, session, _digest(query["digest"]))
        return self._accepted(name, session)

    async def progress(self, request: Request) -> Response:
        session = self._session(request)
        return self._accepted(request.path_params["name"], session, status=204)

    async def append(self, request: Request) -> Response:
        session = self._session(request)
        await self._receive(request, session)
        return self._accepted(request.path_params["name"], session)

    async def finish(self, request: Request) -> Response:
        session, digest = self._session(request), _digest(request.query_params.get("digest", ""))
        await self._receive(request, session)
        return await self._close(request.path_params["name"], session, digest)

    async def cancel(self, request: Request) -> Response:
        (self._store.folder / "uploads" / self._session(request)).unlink(missing_ok=True)
        return Response(status_code=204)

    async def manifest(self, request: Request) -> Response:
        name, reference = request.path_params["name"], request.path_params["reference"]
        found = self._store.manifest(name, reference)
        if found is None:
            raise Refused("MANIFEST_UNKNOWN", f"{name} has no {reference}")
        return Response(found.content, media_type=found.media_type, headers={_DIGEST_HEADER: found.digest})

    async def put_manifest(self, request: Request) -> Response:
        name, reference = request.path_params["name"], request.path_params["reference"]
        tag = None if is_digest(reference) else reference
        if tag is not None and not _TAG.fullmatch(tag):
            raise Refused("MANIFEST_INVALID", f"{tag!r} is no tag")
        content = await _bounded(request, LARGEST_MANIFEST)
        given = checked_manifest(content, request.headers.get("content-type", ""), name, self._store)
        if tag is None and given.digest != reference:
            raise Refused("DIGEST_INVALID", f"the manifest has the digest {given.digest}, not {reference}")
        digest = await run_in_threadpool(self._store.put_manifest, name, content, given.media_type, tag)
        subject = {"OCI-Subject": given.subject} if given.subject else {}
        headers = {"Location": f"/v2/{name}/manifests/{digest}", _DIGEST_HEADER: digest, **subject}
        return Response(status_code=201, headers=headers)

    async def tags(self, request: Request) -> Response:
        name = request.path_params["name"]
        if not self._store.known(name):
            raise Refused("NAME_UNKNOWN", f"there is no repository {name}")
        last, count = request.query_params.get("last", ""), request.query_params.get("n", "")
        tags = [tag for tag in self._store.tags(name) if tag > last]
        shown = tags[: int(count)] if count.isdecimal() else tags
        more = len(shown) < len(tags) and shown
        link = {"Link": f'</v2/{name}/tags/list?n={count}&last={quote(shown[-1])}>; rel="next"'} if more else {}
        return JSONResponse({"name": name, "tags": shown}, headers=link)

    async def referrers(self, request: Request) -> Response:
        name, digest = request.path_params["name"], _digest(request.path_params["digest"])
        kind = request.query_params.get("artifactType")
        found: list[StoredManifest] = await run_in_threadpool(lambda: list(self._store.manifests(name)))
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": referrers(found, digest, kind)}
        filtered = {"OCI-Filters-Applied": "artifactType"} if kind else {}
        return JSONResponse(index, media_type=INDEX, headers=filtered)

    async def _receive(self, request: Request, session: str) -> None:
        """Add what a request carries to an upload; what came before a cut stays, for a client that goes on."""
        path = self._upload(session)
        had = path.stat().st_size
        wanted = _RANGE.fullmatch(request.headers.get("content-range", ""))
        if wanted and int(wanted[1]) != had:
            raise Refused("BLOB_UPLOAD_INVALID", f"the next byte is {had}, not {wanted[1]}", status=416)
        try:
            with path.open("ab") as stream:
                async for piece in request.stream():
                    stream.write(piece)
        except ClientDisconnect as error:
            raise Refused("BLOB_UPLOAD_INVALID", "the connection ended within the body") from error

    async def _close(self, name: str, session: str, digest: str) -> Response:
        if not await run_in_threadpool(self._store.finish, name, session, digest):
            raise Refused("DIGEST_INVALID", f"what was sent has another digest than {digest}")
        return self._made(name, digest)

    def _session(self, request: Request) -> str:
        session: str = request.path_params["session"]
        self._upload(session)
        return session

    def _upload(self, session: str) -> Path:
        path = self._store.upload(session)
        if path is None:
            raise Refused("BLOB_UPLOAD_UNKNOWN", "there is no such upload")
        return path

    def _accepted(self, name: str, session: str, *, status: int = 202) -> Response:
        size = self._upload(session).stat().st_size
        headers = {
            "Location": f"/v2/{name}/blobs/uploads/{session}",
            "Range": f"0-{max(0, size - 1)}",
            "Docker-Upload-UUID": session,
        }
        return Response(status_code=status, headers=headers)

    def _made(self, name: str, digest: str) -> Response:
        return Response(status_code=201, headers={"Location": f"/v2/{name}/blobs/{digest}", _DIGEST_HEADER: digest})


async def _bounded(request: Request, limit: int) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > limit:
            raise Refused("SIZE_INVALID", f"a manifest has at most {limit} bytes")
    return bytes(content)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise Refused("NAME_INVALID", f"{name!r} is no name of a repository")


def _digest(text: str) -> str:
    if not is_digest(text):
        raise Refused("DIGEST_INVALID", f"{text!r} is no SHA-256 digest")
    return text
