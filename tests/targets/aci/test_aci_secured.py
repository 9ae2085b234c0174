"""TLS and keys on Azure, with the real runtime: files of a secret volume, and a certificate that is known by itself."""

import ssl
from pathlib import Path

import httpx
import pytest

from packager.core.errors import ConfigurationError, CredentialsUnusable
from packager.core.http_client import HttpInferenceClient
from targets.aci import AciSettings
from tests.contract_suites.target_suite import ask, put
from tests.support.aci_cloud import AciCloud
from tests.support.packages import make_package
from tests.support.stand_in_server import certificates


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AciSettings:
    folder = tmp_path / "tls"
    folder.mkdir()
    _, certificate, key = certificates(folder)
    monkeypatch.setenv("ACI_KEYS", "# rotated\nfirst-key-of-two\nsecond-key-of-two")
    return AciSettings(
        port=18443, threads=1, api_keys="env:ACI_KEYS", tls_cert=f"file:{certificate}", tls_key=f"file:{key}"
    )


def test_a_deployment_with_keys_and_tls_is_tested_through_both(
    runtime_cloud: AciCloud, settings: AciSettings, tmp_path: Path, state: Path
) -> None:
    package = make_package(tmp_path / "a")

    outcome = put(runtime_cloud.target(), settings, package)

    assert outcome.deployment.endpoint is not None
    assert outcome.deployment.endpoint.startswith("https://")
    assert ask(runtime_cloud.target(), outcome.deployment, package).passed
    url = f"{outcome.deployment.endpoint}/v2/models/iris"
    trusting = ssl.create_default_context(cafile=str(tmp_path / "tls" / "cert.pem"))
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with httpx.Client(verify=trusting) as http:
        assert http.get(url).status_code == 401
        assert http.get(url, headers={"Authorization": "Bearer second-key-of-two"}).status_code == 200
    [group] = runtime_cloud.stored().values()
    assert "first-key" not in str(group.document)
    assert "PRIVATE" not in str(group.document)


FAULTY = {
    "tls_cert is no certificate": lambda cert, key, other: (key, cert),
    "tls_key is no private key": lambda cert, key, other: (cert, cert),
    "tls_key is the key of another certificate": lambda cert, key, other: (cert, other),
}


@pytest.mark.parametrize("words", FAULTY)
def test_a_certificate_that_cannot_serve_is_found_before_anything_is_changed(
    cloud: AciCloud, settings: AciSettings, tmp_path: Path, state: Path, words: str
) -> None:
    (tmp_path / "other").mkdir()
    _, _, other = certificates(tmp_path / "other")
    own = (str(settings.tls_cert), str(settings.tls_key))
    certificate, key = FAULTY[words](*own, f"file:{other}")
    given = settings.model_copy(update={"tls_cert": certificate, "tls_key": key})

    with pytest.raises(ConfigurationError, match=words) as caught:
        put(cloud.target(), given, make_package(tmp_path / "a"))

    assert "BEGIN" not in str(caught.value.as_dict())
    assert cloud.stored() == {}


def test_another_certificate_is_not_taken(
    runtime_cloud: AciCloud, settings: AciSettings, tmp_path: Path, state: Path
) -> None:
    deployment = put(runtime_cloud.target(), settings, make_package(tmp_path / "a")).deployment
    other = tmp_path / "other"
    other.mkdir()
    certificates(other)

    with HttpInferenceClient(str(deployment.endpoint), certificate=(other / "cert.pem").read_text()) as client:
        assert client.state() is None
    with HttpInferenceClient(str(deployment.endpoint)) as client:
        assert client.state() is None


def test_a_text_that_is_no_certificate_is_refused() -> None:
    with pytest.raises(CredentialsUnusable, match="no certificate"):
        HttpInferenceClient("https://127.0.0.1", certificate="hello")
