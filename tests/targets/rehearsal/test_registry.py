"""The registry of a stand-in, asked by our own client and by requests that no client of ours makes."""

import errno
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from packager.core.credentials import Anonymous
from packager.core.errors import ImageInvalid, ImageMissing, PullDenied, PushDenied
from packager.core.image import Descriptor, ImageRef
from packager.core.progress import SilentProgress
from packager.image.blobs import Blob, digest_of
from packager.image.registry import Registry
from packager.image.transfer import Layout, pull_layout, push_layout
from targets.rehearsal.blobs import BlobStore
from targets.rehearsal.registry import LARGEST_MANIFEST
from tests.support.packages import make_package
from tests.support.stage_registry import TOKEN, USER, StageRegistry, package_image

CONTENT = random.Random(8).randbytes(300_000)  # the same for each worker, which must collect the same tests
DIGEST = digest_of(CONTENT)
UPLOADS = "/v2/team/iris/blobs/uploads/"


@pytest.fixture
def http(stage_registry: StageRegistry) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage_registry.url, auth=(USER, TOKEN), trust_env=False, timeout=20) as client:
        yield client


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return package_image(tmp_path / "layout", make_package(tmp_path / "iris").root)


def begun(http: httpx.Client) -> str:
    answer = http.post(UPLOADS)
    assert answer.status_code == 202
    return str(answer.headers["location"])


def code_of(answer: httpx.Response) -> tuple[int, str]:
    [error] = answer.json()["errors"]
    return answer.status_code, error["code"]


def test_an_image_comes_back_as_it_was(stage_registry: StageRegistry, layout: Path, tmp_path: Path) -> None:
    ref = ImageRef.parse(f"{stage_registry.host}/team/iris:1")
    with stage_registry.client() as client:
        done = push_layout(layout, ref, client, SilentProgress())
        again = push_layout(layout, ref, client, SilentProgress())
        pull_layout(ref, tmp_path / "copy", client, SilentProgress())

    assert Layout(tmp_path / "copy").top().digest == done.ref.digest
    names = [{path.name for path in (root / "blobs" / "sha256").iterdir()} for root in (layout, tmp_path / "copy")]
    assert names[0] == names[1]
    assert again.sent_blobs == 0


def test_what_is_attached_is_found_by_its_kind(stage_registry: StageRegistry, layout: Path) -> None:
    ref = ImageRef.parse(f"{stage_registry.host}/team/iris:1")
    with stage_registry.client() as client:
        push_layout(layout, ref, client, SilentProgress())
        subject = Layout(layout).top()
        made = client.attach("team/iris", subject, "application/x-bill", Blob.of_bytes(b"bill"), "text/plain")

        assert [each.digest for each in client.referrers("team/iris", subject.digest)] == [made]
        assert client.referrers("team/iris", subject.digest, "application/x-other") == ()


@pytest.mark.parametrize("credentials", ["none", "wrong"])
def test_nobody_without_the_token_reads_or_writes(stage_registry: StageRegistry, credentials: str) -> None:
    client = Registry(stage_registry.host, Anonymous()) if credentials == "none" else stage_registry.client("wrong")
    with client:
        with pytest.raises(PullDenied):
            client.manifest("team/iris", "1")
        with pytest.raises(PushDenied):
            client.push_blob("team/iris", Blob.of_bytes(CONTENT))


def test_a_refusal_asks_for_a_password_in_the_form_of_the_specification(stage_registry: StageRegistry) -> None:
    answer = httpx.get(f"{stage_registry.url}/v2/", trust_env=False)
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert code_of(answer) == (401, "UNAUTHORIZED")


def test_a_blob_is_mounted_from_another_repository(stage_registry: StageRegistry) -> None:
    with stage_registry.client() as client:
        client.push_blob("team/one", Blob.of_bytes(CONTENT))
        assert not client.has_blob("team/two", DIGEST)
        assert client.push_blob("team/two", Blob.of_bytes(CONTENT), mount_from="team/one") is False
        assert client.has_blob("team/two", DIGEST)


def test_a_blob_comes_in_pieces_that_follow_each_other(http: httpx.Client) -> None:
    location = begun(http)
    first = http.patch(location, content=CONTENT[:1000], headers={"Content-Range": "0-999"})
    out_of_order = http.patch(location, content=b"x", headers={"Content-Range": "5-5"})
    http.patch(location, content=CONTENT[1000:])
    made = http.put(f"{location}?digest={DIGEST}")

    assert (first.status_code, first.headers["range"]) == (202, "0-999")
    assert code_of(out_of_order) == (416, "BLOB_UPLOAD_INVALID")
    assert made.status_code == 201
    assert http.get(made.headers["location"]).content == CONTENT


def test_a_full_disk_is_told_as_such_and_at_once(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(BlobStore, "finish", full)
    answer = http.put(f"{begun(http)}?digest={DIGEST}", content=CONTENT)

    assert code_of(answer) == (413, "SIZE_INVALID")
    assert "No space left on device" in answer.text


def test_a_blob_goes_in_one_request_and_comes_in_ranges(http: httpx.Client) -> None:
    made = http.post(f"{UPLOADS}?digest={DIGEST}", content=CONTENT)
    rest = http.get(f"/v2/team/iris/blobs/{DIGEST}", headers={"Range": "bytes=299000-"})
    head = http.head(f"/v2/team/iris/blobs/{DIGEST}")

    assert made.status_code == 201
    assert (rest.status_code, rest.content) == (206, CONTENT[299_000:])
    assert head.headers["content-length"] == str(len(CONTENT))
    assert head.headers["docker-content-digest"] == DIGEST


def test_other_bytes_than_the_digest_are_no_blob(http: httpx.Client, stage_registry: StageRegistry) -> None:
    location = begun(http)
    answer = http.put(f"{location}?digest={DIGEST}", content=CONTENT[:-1])

    assert code_of(answer) == (400, "DIGEST_INVALID")
    assert http.head(f"/v2/team/iris/blobs/{DIGEST}").status_code == 404
    assert code_of(http.patch(location, content=b"more")) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert list((stage_registry.store.folder / "uploads").iterdir()) == []


def test_a_cut_upload_leaves_no_blob_and_goes_on_where_it_ended(
    http: httpx.Client, stage_registry: StageRegistry
) -> None:
    location = begun(http)
    host, port = stage_registry.host.split(":")
    auth = http.build_request("GET", "/")
    auth = next(httpx.BasicAuth(USER, TOKEN).auth_flow(auth))
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: {auth.headers['authorization']}\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(f"{head}Content-Length: {len(CONTENT)}\r\n\r\n".encode() + CONTENT[:50_000])
    progress = http.get(location)
    while (had := int(progress.headers["range"].partition("-")[2]) + 1) < 50_000:
        progress = http.get(location)

    assert had == 50_000
    assert http.head(f"/v2/team/iris/blobs/{DIGEST}").status_code == 404
    assert http.put(f"{location}?digest={DIGEST}", content=CONTENT[had:]).status_code == 201
    assert http.get(f"/v2/team/iris/blobs/{DIGEST}").content == CONTENT


def test_damaged_bytes_are_seen_by_who_pulls(stage_registry: StageRegistry, tmp_path: Path) -> None:
    with stage_registry.client() as client:
        client.push_blob("team/iris", Blob.of_bytes(CONTENT))
        stage_registry.store.path(DIGEST).write_bytes(CONTENT[:-1] + b"?")
        with pytest.raises(ImageInvalid):
            client.fetch_blob("team/iris", Descriptor("", DIGEST, len(CONTENT)), tmp_path / "blob")


def test_a_manifest_needs_everything_that_it_names(http: httpx.Client, layout: Path) -> None:
    manifest = Layout(layout).manifest(Layout(layout).top())
    answer = http.put(
        "/v2/team/iris/manifests/1", content=manifest.content, headers={"Content-Type": manifest.descriptor.media_type}
    )
    assert code_of(answer) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert http.get("/v2/team/iris/manifests/1").status_code == 404


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"not JSON", (400, "MANIFEST_INVALID")),
        (b"[]", (400, "MANIFEST_INVALID")),
        (b'{"mediaType": "text/plain"}', (400, "MANIFEST_INVALID")),
        (
            b'{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{"digest": "../../x"}]}',
            (400, "MANIFEST_INVALID"),
        ),
        (b" " * (LARGEST_MANIFEST + 1), (413, "SIZE_INVALID")),
    ],
)
def test_what_is_no_manifest_is_refused(http: httpx.Client, content: bytes, expected: tuple[int, str]) -> None:
    assert code_of(http.put("/v2/team/iris/manifests/1", content=content)) == expected


def test_tags_come_in_order_and_in_pages(http: httpx.Client, stage_registry: StageRegistry, layout: Path) -> None:
    with stage_registry.client() as client:
        for tag in ("2", "1", "latest"):
            ref = ImageRef.parse(f"{stage_registry.host}/team/iris:{tag}")
            push_layout(layout, ref, client, SilentProgress())
    first = http.get("/v2/team/iris/tags/list?n=2")
    rest = http.get(first.links["next"]["url"])

    assert (first.json()["tags"], rest.json()["tags"]) == (["1", "2"], ["latest"])
    assert code_of(http.get("/v2/team/none/tags/list")) == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v2/Team/manifests/1", (400, "NAME_INVALID")),
        ("GET", "/v2/a/../b/tags/list", (404, "NAME_UNKNOWN")),
        ("GET", "/v2/a/blobs/sha256:12", (400, "DIGEST_INVALID")),
        ("DELETE", f"/v2/a/manifests/sha256:{'0' * 64}", (405, "UNSUPPORTED")),
        ("GET", "/v1/search", (404, "NAME_UNKNOWN")),
        ("PATCH", f"{UPLOADS}..%2f..%2ftoken", (404, "NAME_UNKNOWN")),
        ("GET", f"/v2/a/blobs/uploads/{'0' * 32}", (404, "BLOB_UPLOAD_UNKNOWN")),
    ],
)
def test_what_cannot_be_meant_is_refused(http: httpx.Client, method: str, path: str, expected: tuple[int, str]) -> None:
    assert code_of(http.request(method, path)) == expected


def test_what_is_missing_is_missing(stage_registry: StageRegistry) -> None:
    with stage_registry.client() as client, pytest.raises(ImageMissing):
        client.manifest("team/iris", "1")
