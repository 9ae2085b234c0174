"""The registry client against a real registry."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from packager.core.credentials import ByReference
from packager.core.errors import ImageMissing, PullDenied, PushDenied, RegistryUnreachable, RegistryUntrusted
from packager.core.image import INDEX, MANIFEST, Descriptor
from packager.image.blobs import Blob, as_json, digest_of
from packager.image.registry import Registry
from packager.image.registry_http import RegistrySettings
from tests.support.registry_server import PASSWORD, USER, RegistryServer, running_registry
from tests.support.servers import free_port

CONFIG = b'{"architecture":"amd64","os":"linux"}'
LAYER = os.urandom(3 << 20)


def image(config: bytes = CONFIG, layer: bytes = LAYER) -> bytes:
    """A manifest of one layer."""
    return as_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": Descriptor("application/vnd.oci.image.config.v1+json", digest_of(config), len(config)).as_json(),
            "layers": [
                Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest_of(layer), len(layer)).as_json()
            ],
        }
    )


def push(client: Registry, repository: str = "team/churn", tag: str = "1") -> str:
    for content in (CONFIG, LAYER):
        client.push_blob(repository, Blob.of_bytes(content))
    return client.put_manifest(repository, tag, image(), MANIFEST)


def test_what_is_pushed_comes_back(registry: RegistryServer, tmp_path: Path) -> None:
    with Registry(registry.host) as client:
        digest = push(client)
        manifest = client.manifest("team/churn", "1")
        layer = Descriptor("", digest_of(LAYER), len(LAYER))
        client.fetch_blob("team/churn", layer, tmp_path / "layer")

    assert manifest.content == image()
    assert manifest.descriptor == Descriptor(MANIFEST, digest, len(image()))
    assert (tmp_path / "layer").read_bytes() == LAYER
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".layer")] == []


def test_only_what_is_missing_travels(registry: RegistryServer) -> None:
    with Registry(registry.host) as first:
        push(first)
    with Registry(registry.host) as second:
        sent = [second.push_blob("team/churn", Blob.of_bytes(content)) for content in (CONFIG, LAYER, b"new")]

        assert sent == [False, False, True]
        assert second.sent_bytes == len(b"new")


def test_blob_of_another_repository_is_mounted(registry: RegistryServer) -> None:
    with Registry(registry.host) as client:
        push(client, "team/one")
        before = client.sent_bytes

        sent = client.push_blob("team/two", Blob.of_bytes(LAYER), mount_from="team/one")

        assert not sent
        assert client.sent_bytes == before
        assert client.has_blob("team/two", digest_of(LAYER))


def test_large_blob_is_streamed_from_its_file(registry: RegistryServer, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(LAYER)

    with Registry(registry.host) as client:
        assert client.push_blob("a", Blob.of_file(tmp_path / "blob", digest_of(LAYER)))
        assert client.sent_bytes == len(LAYER)


def test_index_is_known_as_one(registry: RegistryServer) -> None:
    with Registry(registry.host) as client:
        digest = push(client)
        index = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                {
                    **Descriptor(MANIFEST, digest, len(image())).as_json(),
                    "platform": {"architecture": "amd64", "os": "linux"},
                }
            ],
        }
        client.put_manifest("team/churn", "all", as_json(index), INDEX)

        assert client.manifest("team/churn", "all").is_index
        assert client.has_manifest("team/churn", "all") == digest_of(as_json(index))
        assert client.has_manifest("team/churn", "none") is None


def test_artifact_is_found_at_its_image_where_the_registry_keeps_no_list(registry: RegistryServer) -> None:
    with Registry(registry.host) as client:
        push(client)
        subject = client.manifest("team/churn", "1").descriptor
        sbom = Blob.of_bytes(b'{"bomFormat":"CycloneDX"}')

        digest = client.attach(
            "team/churn", subject, "application/vnd.cyclonedx+json", sbom, "application/vnd.cyclonedx+json"
        )
        client.attach("team/churn", subject, "application/other", Blob.of_bytes(b"x"), "text/plain")

        found = client.referrers("team/churn", subject.digest, "application/vnd.cyclonedx+json")
        assert [each.digest for each in found] == [digest]
        assert len(client.referrers("team/churn", subject.digest)) == 2


def test_image_that_is_not_there_is_named(registry: RegistryServer) -> None:
    with Registry(registry.host) as client, pytest.raises(ImageMissing) as caught:
        client.manifest("team/churn", "7")

    assert caught.value.code == "E-IMAGE-MISSING"
    assert caught.value.message.startswith(f"{registry.host} has no team/churn:7: ")
    assert caught.value.hint


def test_password_opens_a_registry_that_wants_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_USER", USER)
    monkeypatch.setenv("REGISTRY_PASSWORD", PASSWORD)
    with running_registry(tmp_path / "registry", password=True) as server:
        credentials = ByReference(server.host, "env:REGISTRY_USER", "env:REGISTRY_PASSWORD")
        with Registry(server.host, credentials) as client:
            push(client)
        with Registry(server.host) as nobody:
            with pytest.raises(PullDenied) as pulled:
                nobody.manifest("team/churn", "1")
            with pytest.raises(PushDenied) as pushed:
                push(nobody)

    assert (pulled.value.code, pushed.value.code) == ("E-IMAGE-PULL-AUTH", "E-IMAGE-PUSH-AUTH")
    assert f"docker login {server.host}" in pulled.value.hint


def test_wrong_password_is_denied_and_never_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_USER", USER)
    monkeypatch.setenv("REGISTRY_PASSWORD", "wr0ng")
    with running_registry(tmp_path / "registry", password=True) as server:
        credentials = ByReference(server.host, "env:REGISTRY_USER", "env:REGISTRY_PASSWORD")
        with Registry(server.host, credentials) as client, pytest.raises(PullDenied) as caught:
            client.manifest("team/churn", "1")

    assert "the credentials of env:REGISTRY_PASSWORD" in caught.value.message
    assert "wr0ng" not in json.dumps(caught.value.as_dict())


def test_own_certificate_is_trusted_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_registry(tmp_path / "registry", tls=True) as server:
        with Registry(server.host) as client, pytest.raises(RegistryUntrusted) as caught:
            push(client)
        with Registry(server.host, settings=RegistrySettings(ca_file=server.ca)) as client:
            push(client)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
        with Registry(server.host) as client:
            assert client.has_manifest("team/churn", "1")

    assert caught.value.code == "E-REGISTRY-TLS"
    assert "SSL_CERT_FILE" in caught.value.hint


def test_registry_that_nobody_runs_is_unreachable() -> None:
    quick = RegistrySettings(tries=2, pause=lambda seconds: None)
    with Registry(f"127.0.0.1:{free_port()}", settings=quick) as client, pytest.raises(RegistryUnreachable) as caught:
        client.manifest("a", "1")

    assert caught.value.code == "E-REGISTRY-UNREACHABLE"
    assert "cannot be reached" in caught.value.message


def test_name_that_does_not_exist_is_unreachable_by_name() -> None:
    quick = RegistrySettings(tries=2, pause=lambda seconds: None)
    with Registry("registry.invalid", settings=quick) as client, pytest.raises(RegistryUnreachable) as caught:
        client.manifest("a", "1")

    assert caught.value.message.startswith("registry.invalid cannot be reached: ")
    assert "HTTPS_PROXY" in caught.value.hint


def test_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    assert digest_of(b"x") == f"sha256:{hashlib.sha256(b'x').hexdigest()}"
