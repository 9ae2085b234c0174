"""Which Docker engine is meant, as Docker's own command line decides it, and a connection to it."""

import json
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from packager.core.credentials import docker_config_folder, read_docker_config
from packager.core.errors import ConfigurationError, EngineUnavailable
from packager.core.extras import require_extra

if TYPE_CHECKING:
    import docker

logger = logging.getLogger(__name__)

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_LOOPBACK: Final = "127.0.0.1"
_CONNECT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class DockerHost:
    """An engine's address.

    Attributes:
        url: ``unix://``, ``tcp://``, ``ssh://`` or ``npipe://``.
        chosen_by: What named it, for messages; None where nothing did and the default is meant.
        tls_folder: With ``ca.pem``, ``cert.pem`` and ``key.pem``, where it has TLS.
    """

    url: str
    chosen_by: str | None = None
    tls_folder: Path | None = field(default=None)

    @property
    def machine(self) -> str:
        """The host by which what the engine publishes is reached from here; loopback for an engine of this machine."""
        return urlsplit(self.url).hostname or _LOOPBACK if self.remote else _LOOPBACK

    @property
    def remote(self) -> bool:
        """Whether the engine may be on another machine."""
        parts = urlsplit(self.url)
        return parts.scheme in ("tcp", "http", "https", "ssh") and parts.hostname not in (_LOOPBACK, "localhost", "::1")

    def connect(self, *, timeout_s: float = 60.0) -> "docker.APIClient":
        """A client of the engine, which has answered.

        Raises:
            EnvironmentMissing: The extra ``docker`` is not installed.
            EngineUnavailable: Nobody answers, or this user may not ask.
        """
        require_extra("docker")
        import docker  # kept out of start-up
        import docker.errors
        import requests.exceptions

        self._refuse_silent_socket()
        tls = self._tls()
        try:
            # Docker's own ssh program, with the user's keys and configuration.
            client = docker.APIClient(base_url=self.url, tls=tls, timeout=timeout_s, use_ssh_client=True)
            client.ping()
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise self._silent(str(error)) from error
        return client

    def _refuse_silent_socket(self) -> None:
        """Ask a socket first: the SDK's own words for one that nobody listens on name neither path nor reason."""
        if not self.url.startswith("unix://"):
            return
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_CONNECT_S)
            try:
                probe.connect(self.url.removeprefix("unix://"))
            except OSError as error:
                raise self._silent((error.strerror or str(error)).lower()) from error

    def _tls(self) -> Any:
        from docker.tls import TLSConfig

        folder = self.tls_folder
        if folder is None:
            return False
        pair = (str(folder / "cert.pem"), str(folder / "key.pem")) if (folder / "cert.pem").is_file() else None
        authority = str(folder / "ca.pem") if (folder / "ca.pem").is_file() else None
        return TLSConfig(client_cert=pair, ca_cert=authority, verify=True)

    def _silent(self, words: str) -> EngineUnavailable:
        named = f" (of {self.chosen_by})" if self.chosen_by else ""
        hint = "start Docker, or name another engine by DOCKER_HOST or --set context=NAME"
        if "permission" in words.lower():
            hint = "let this user use Docker: sudo usermod -aG docker $USER, then log in again"
        return EngineUnavailable(
            f"no Docker engine answers at {self.url}{named}: {words}", hint=hint, detail={"host": self.url}
        )


def docker_host(context: str | None = None, environ: Mapping[str, str] | None = None) -> DockerHost:
    """The engine of the context that is asked for, else of DOCKER_HOST, DOCKER_CONTEXT or the current context.

    Raises:
        ConfigurationError: There is no such context.
        CredentialsUnusable: Docker's configuration cannot be read.
    Source: docs.docker.com, "Docker contexts" and the environment variables of the command line.
    """
    environ = os.environ if environ is None else environ
    if context is None and (host := environ.get("DOCKER_HOST")):
        verified = environ.get("DOCKER_TLS_VERIFY") or environ.get("DOCKER_CERT_PATH")
        folder = Path(environ.get("DOCKER_CERT_PATH") or docker_config_folder()) if verified else None
        return DockerHost(host, "DOCKER_HOST", folder)
    config = docker_config_folder()
    named = context or environ.get("DOCKER_CONTEXT") or read_docker_config(config).get("currentContext")
    if not named or named == "default":
        return DockerHost(DEFAULT_HOST, None if named is None else "context 'default'")
    return _of_context(config, str(named))


def _of_context(config: Path, name: str) -> DockerHost:
    # Docker keeps each context in a folder that is named by the digest of its name.
    folder = sha256(name.encode()).hexdigest()
    path = config / "contexts" / "meta" / folder / "meta.json"
    try:
        endpoint = json.loads(path.read_bytes())["Endpoints"]["docker"]
        host = str(endpoint["Host"])
    except FileNotFoundError as error:
        known = ", ".join(context_names(config)) or "none"
        raise ConfigurationError(
            f"there is no Docker context {name!r}, only: {known}", hint="docker context ls"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"the Docker context {name!r} cannot be read: {error}", hint=f"look at {str(path)!r}"
        ) from error
    tls = config / "contexts" / "tls" / folder / "docker"
    return DockerHost(host, f"context {name!r}", tls if tls.is_dir() else None)


def context_names(config: Path) -> list[str]:
    """The contexts that Docker's configuration knows."""
    names = []
    for path in (config / "contexts" / "meta").glob("*/meta.json"):
        try:
            names.append(str(json.loads(path.read_bytes())["Name"]))
        except (OSError, ValueError, KeyError, TypeError):
            logger.debug("%s cannot be read", path)
    return sorted(names)
