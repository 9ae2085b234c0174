"""Which engine is meant: DOCKER_HOST, contexts, the default; and what is said where none answers."""

import hashlib
import json
from pathlib import Path

import pytest

from packager.core.errors import ConfigurationError, EngineUnavailable
from packager.core.image import Platform
from targets.docker import DockerSettings, DockerTarget
from targets.docker.planning import endpoint, findings
from targets.docker.state import Deployed
from targets.kit.engine import docker_host as module
from targets.kit.engine.containers import EngineFacts
from targets.kit.engine.docker_host import DockerHost, docker_host

FACTS = EngineFacts(Platform(), 2.0, 1 << 30, "28.0")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def context(config: Path, name: str, host: str, *, tls: bool = False) -> None:
    folder = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / folder
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    if tls:
        (config / "contexts" / "tls" / folder / "docker").mkdir(parents=True)


def test_without_anything_the_default_socket_is_meant(config: Path) -> None:
    assert docker_host() == DockerHost(module.DEFAULT_HOST)


def test_environment_names_the_engine(config: Path) -> None:
    found = docker_host(environ={"DOCKER_HOST": "tcp://build:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"})

    assert found == DockerHost("tcp://build:2376", "DOCKER_HOST", Path("/c"))


def test_current_context_names_the_engine(config: Path) -> None:
    context(config, "edge", "ssh://pi@edge", tls=True)
    (config / "config.json").write_text('{"currentContext": "edge"}')

    found = docker_host(environ={})

    assert (found.url, found.chosen_by) == ("ssh://pi@edge", "context 'edge'")
    assert found.tls_folder is not None
    assert (found.remote, found.machine) == (True, "edge")


def test_context_that_is_asked_for_goes_before_the_environment(config: Path) -> None:
    context(config, "edge", "tcp://edge:2375")

    assert docker_host("edge", {"DOCKER_HOST": "tcp://build:2376"}).url == "tcp://edge:2375"
    assert docker_host("default", {"DOCKER_HOST": "tcp://build:2376"}).url == module.DEFAULT_HOST


def test_unknown_context_is_refused_with_those_that_there_are(config: Path) -> None:
    context(config, "edge", "tcp://edge:2375")

    with pytest.raises(ConfigurationError) as caught:
        docker_host("egde")

    assert caught.value.code == "E-CONFIG"
    assert caught.value.message == "there is no Docker context 'egde', only: edge"


def test_damaged_context_is_named(config: Path) -> None:
    context(config, "edge", "tcp://edge:2375")
    next(config.glob("contexts/meta/*/meta.json")).write_text("{}")

    with pytest.raises(ConfigurationError, match="'edge' cannot be read"):
        docker_host("edge")


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"])
def test_engine_that_does_not_answer_is_named(config: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)

    with pytest.raises(EngineUnavailable) as caught:
        DockerTarget().deployments(DockerSettings())

    assert caught.value.code == "E-IMAGE-ENGINE"
    assert caught.value.message.startswith(f"no Docker engine answers at {host} (of DOCKER_HOST): ")
    assert caught.value.hint


def test_context_of_the_tests_engine_serves(engine_host: str, config: Path) -> None:
    context(config, "tests", engine_host)

    assert DockerTarget().preflight(DockerSettings(context="tests")) == ()


def test_engine_of_another_machine_needs_an_address_and_a_port() -> None:
    host = DockerHost("ssh://pi@edge")

    refused = findings(Deployed("churn"), DockerSettings(), host, FACTS)
    fine = findings(Deployed("churn"), DockerSettings(host="0.0.0.0", port=8080, api_keys="env:K"), host, FACTS)

    assert [finding.blocking for finding in refused] == [True, True]
    assert fine == ()
    assert endpoint(host, DockerSettings(host="0.0.0.0"), 8080) == "http://edge:8080"
