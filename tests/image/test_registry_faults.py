"""The registry client on a registry's bad days: refused, throttled, broken, cut, spoiled."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from packager.core.credentials import ByReference
from packager.core.errors import (
    DrayError,
    ImageInvalid,
    PullDenied,
    PushDenied,
    RegistryCut,
    RegistryError,
    RegistryThrottled,
    RegistryUnavailable,
)
from packager.core.image import MANIFEST, Descriptor
from packager.image.blobs import Blob, digest_of
from packager.image.registry import Registry
from packager.image.registry_http import RegistrySettings
from tests.image.test_registry import CONFIG, LAYER, image, push
from tests.support.faulty_registry import (
    PASSWORD,
    REFRESH_TOKEN,
    USER,
    Fault,
    FaultyRegistry,
    running_faulty_registry,
)


class Pauses(list[float]):
    """How long the client would have slept."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def client(faulty: FaultyRegistry, pauses: Pauses) -> Iterator[Registry]:
    with Registry(faulty.host, settings=RegistrySettings(pause=pauses, jitter=lambda: 0.5)) as registry:
        yield registry


def put(faulty: FaultyRegistry) -> None:
    """An image that is there without having been pushed."""
    faulty.blobs |= {digest_of(CONFIG): CONFIG, digest_of(LAYER): LAYER}
    faulty.manifests["team/churn:1"] = (MANIFEST, image())


@pytest.mark.parametrize(
    ("status", "kind", "code", "tries"),
    [
        (401, PushDenied, "E-IMAGE-PUSH-AUTH", 1),
        (403, PushDenied, "E-IMAGE-PUSH-AUTH", 1),
        (400, RegistryError, "E-REGISTRY", 1),
        (429, RegistryThrottled, "E-REGISTRY-THROTTLED", 5),
        (500, RegistryUnavailable, "E-REGISTRY-UNAVAILABLE", 5),
        (503, RegistryUnavailable, "E-REGISTRY-UNAVAILABLE", 5),
    ],
)
def test_refused_push_ends_with_its_cause_and_tags_nothing(
    faulty: FaultyRegistry, client: Registry, status: int, kind: type[DrayError], code: str, tries: int
) -> None:
    faulty.faults = [Fault("POST .*/blobs/uploads", status=status, body=b'{"errors":[{"code":"X","message":"why"}]}')]

    with pytest.raises(kind) as caught:
        push(client)

    assert (caught.value.code, caught.value.detail["status"]) == (code, status)
    assert caught.value.detail["answer"] == "X why"
    assert caught.value.hint
    assert faulty.count("POST .*uploads") == tries
    assert faulty.manifests == {}


def test_throttled_pull_waits_as_long_as_it_is_asked_to(
    faulty: FaultyRegistry, client: Registry, pauses: Pauses
) -> None:
    put(faulty)
    faulty.faults = [Fault("GET .*manifests", status=429, headers={"Retry-After": "7"}, times=2)]

    assert client.manifest("team/churn", "1").content == image()
    assert pauses == [7.5, 7.5]


def test_longer_wait_than_anybody_has_is_an_error_at_once(
    faulty: FaultyRegistry, client: Registry, pauses: Pauses
) -> None:
    faulty.faults = [Fault("manifests", status=429, headers={"Retry-After": "3600"})]

    with pytest.raises(RegistryThrottled, match="asks to wait 3600 s"):
        client.manifest("team/churn", "1")

    assert pauses == []


def test_date_to_retry_after_is_understood(faulty: FaultyRegistry, client: Registry, pauses: Pauses) -> None:
    put(faulty)
    date = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    faulty.faults = [Fault("manifests", status=503, headers=date, times=1)]

    client.manifest("team/churn", "1")

    assert pauses == [0.5]


def test_waits_grow_from_try_to_try(faulty: FaultyRegistry, client: Registry, pauses: Pauses) -> None:
    faulty.faults = [Fault("manifests", status=502)]

    with pytest.raises(RegistryUnavailable):
        client.manifest("team/churn", "1")

    assert pauses == [0.5, 1, 2, 4]


def test_upload_that_is_cut_is_sent_again(faulty: FaultyRegistry, client: Registry) -> None:
    faulty.faults = [Fault("PUT .*uploads", cut=1 << 20, times=2)]

    assert client.push_blob("team/churn", Blob.of_bytes(LAYER))
    assert faulty.blobs == {digest_of(LAYER): LAYER}


def test_upload_that_is_always_cut_is_given_up_and_tags_nothing(faulty: FaultyRegistry, client: Registry) -> None:
    faulty.faults = [Fault("PUT .*uploads", cut=1 << 20)]

    with pytest.raises(RegistryCut) as caught:
        push(client)

    assert caught.value.code == "E-REGISTRY-CUT"
    assert "nothing half-sent is tagged" in caught.value.hint
    assert (faulty.blobs, faulty.manifests) == ({}, {})


def test_download_that_is_cut_goes_on_where_it_ended(faulty: FaultyRegistry, client: Registry, tmp_path: Path) -> None:
    put(faulty)
    faulty.faults = [Fault("GET .*blobs", cut=1 << 20, times=1)]

    client.fetch_blob("team/churn", Descriptor("", digest_of(LAYER), len(LAYER)), tmp_path / "layer")

    assert (tmp_path / "layer").read_bytes() == LAYER
    assert faulty.count("GET .*blobs") == 2


def test_manifest_that_is_not_of_its_digest_is_refused(faulty: FaultyRegistry, client: Registry) -> None:
    put(faulty)
    faulty.faults = [Fault("GET .*manifests", spoil=True)]

    with pytest.raises(ImageInvalid, match="other bytes than its digest") as caught:
        client.manifest("team/churn", "1")

    assert caught.value.code == "E-IMAGE-INVALID"


def test_blob_that_is_not_of_its_digest_is_refused_and_not_kept(
    faulty: FaultyRegistry, client: Registry, tmp_path: Path
) -> None:
    put(faulty)
    faulty.faults = [Fault("GET .*blobs", spoil=True)]

    with pytest.raises(ImageInvalid, match="other bytes than its digest"):
        client.fetch_blob("team/churn", Descriptor("", digest_of(LAYER), len(LAYER)), tmp_path / "layer")

    assert list(tmp_path.iterdir()) == []


def test_body_too_large_for_a_proxy_goes_in_pieces(faulty: FaultyRegistry) -> None:
    faulty.faults = [Fault("PUT .*uploads/u0", status=413, times=1)]
    with Registry(faulty.host, chunk_bytes=1 << 20) as client:
        client.push_blob("team/churn", Blob.of_bytes(LAYER))

    assert faulty.count("PATCH") == 3
    assert faulty.blobs == {digest_of(LAYER): LAYER}


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_password_is_shown_when_it_is_asked_for(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RU", USER)
    monkeypatch.setenv("RP", PASSWORD)
    with running_faulty_registry(scheme=scheme) as faulty:
        with Registry(faulty.host, ByReference(faulty.host, "env:RU", "env:RP")) as client:
            push(client)
        asked = [token["scope"] for token in faulty.tokens_asked]

    assert faulty.shown[0] == ""
    assert set(faulty.blobs) == {digest_of(CONFIG), digest_of(LAYER)}
    assert asked == (["repository:team/churn:pull,push"] if scheme == "bearer" else [])


def test_identity_token_is_exchanged_for_the_scope(tmp_path: Path) -> None:
    from packager.core.credentials import Credential, CredentialSource

    class Known(CredentialSource):
        def credential(self, registry: str) -> Credential | None:
            return Credential(identity_token=REFRESH_TOKEN)

    with running_faulty_registry(scheme="bearer") as faulty, Registry(faulty.host, Known()) as client:
        push(client)

    assert [token["grant_type"] for token in faulty.tokens_asked] == ["refresh_token"]


def test_token_service_that_refuses_is_a_denial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RP", "wr0ng")
    with running_faulty_registry(scheme="bearer") as faulty:
        client = Registry(faulty.host, ByReference(faulty.host, "env:RP", "env:RP"))
        with client, pytest.raises(PullDenied) as caught:
            client.manifest("team/churn", "1")

    assert "the token service" in caught.value.message
    assert "wr0ng" not in str(caught.value.as_dict())


def test_credentials_do_not_follow_a_redirect_to_another_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RU", USER)
    monkeypatch.setenv("RP", PASSWORD)
    descriptor = Descriptor("", digest_of(LAYER), len(LAYER))
    with running_faulty_registry(scheme="basic") as first, running_faulty_registry() as other:
        other.blobs[descriptor.digest] = LAYER
        there = f"http://{other.host}/v2/x/blobs/{descriptor.digest}"
        first.faults = [Fault("GET .*blobs", status=307, headers={"Location": there})]
        with Registry(first.host, ByReference(first.host, "env:RU", "env:RP")) as client:
            client.fetch_blob("team/churn", descriptor, tmp_path / "layer")

    assert set(other.shown) == {""}


def test_slow_registry_is_given_up_in_time(faulty: FaultyRegistry) -> None:
    faulty.faults = [Fault("manifests", wait_s=2)]
    settings = RegistrySettings(timeout_s=0.2, tries=2, pause=lambda seconds: None)

    with Registry(faulty.host, settings=settings) as client, pytest.raises(RegistryCut, match="did not answer in time"):
        client.manifest("team/churn", "1")


def test_list_of_artifacts_may_be_the_registrys_own(faulty: FaultyRegistry, client: Registry) -> None:
    push(client)
    subject = client.manifest("team/churn", "1").descriptor

    digest = client.attach("team/churn", subject, "application/x", Blob.of_bytes(os.urandom(8)), "text/plain")

    assert [each.digest for each in client.referrers("team/churn", subject.digest)] == [digest]
    assert f"team/churn:{subject.digest.replace(':', '-')}" not in faulty.manifests
