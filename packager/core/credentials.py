"""Credentials of registries as people have them: Docker's configuration, its helper programs, references, Azure.

Builders, the registry client and targets that need pull secrets all ask here. A secret is a ``Credential``, which shows
nothing when it is printed; it is never in an argument list, a plan or a log. Sources: docs.docker.com,
``docker login`` (config.json, credential helper protocol); github.com/docker/docker-credential-helpers, ``client``.
"""

import base64
import binascii
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from packager.core.errors import CredentialsUnusable
from packager.core.image import DEFAULT_REGISTRY
from packager.core.process import bare_environment, run_with_input

logger = logging.getLogger(__name__)

# Under this key ``docker login`` without a server keeps its credentials.
DOCKER_HUB_KEY: Final = "https://index.docker.io/v1/"
_HELPER_S: Final = 60.0
# By this user name a helper says that its secret is an identity token. Source: docker/cli, credentials.
_TOKEN_USER: Final = "<token>"  # noqa: S105 - a name, not a secret
_NOT_FOUND: Final = "credentials not found"
# What a helper may need of the environment: its own configuration, and the session's keyring.
_FOR_HELPERS: Final = (
    "HOME", "USER", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME", "PASSWORD_STORE_DIR",
    "AWS_", "AZURE_", "CLOUDSDK_", "GOOGLE_", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "no_proxy",
)  # fmt: skip


def docker_config_folder() -> Path:
    """Where the Docker command line keeps its configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a registry wants to see; neither part is printed.

    Attributes:
        password: Of ``username``; empty where there is an identity token.
        identity_token: A refresh token, exchanged at the registry's token service.
        source: Where it was found, for messages.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    source: str = ""

    def for_engine(self) -> dict[str, str]:
        """As a Docker engine takes it in a pull."""
        if self.identity_token:
            return {"identitytoken": self.identity_token}
        return {"username": self.username, "password": self.password}


class CredentialSource(Protocol):
    """Something that knows credentials of registries."""

    def credential(self, registry: str) -> Credential | None:
        """The credential for a registry's host; None where there is none.

        Raises:
            CredentialsUnusable: There should be one, and it cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Anonymous(CredentialSource):
    """Nobody in particular."""

    def credential(self, registry: str) -> Credential | None:
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class ByReference(CredentialSource):
    """User and password where the references say: ``env:NAME`` or ``file:PATH``, read when they are used.

    Attributes:
        registry: The host that they are for; nobody else ever gets them.
    """

    registry: str
    username: str
    password: str

    def credential(self, registry: str) -> Credential | None:
        """What the references hold now."""
        if registry != self.registry:
            return None
        return Credential(resolve(self.username), resolve(self.password), source=self.password)


@dataclass(frozen=True, slots=True)
class DockerConfig(CredentialSource):
    """``config.json`` of the Docker command line: ``credHelpers``, ``credsStore``, then ``auths``."""

    folder: Path = field(default_factory=docker_config_folder)

    def credential(self, registry: str) -> Credential | None:
        """The credential that ``docker pull`` would use."""
        document = read_docker_config(self.folder)
        keys = _keys(registry)
        helpers = document.get("credHelpers") or {}
        helper = next((helpers[key] for key in keys if key in helpers), None) or document.get("credsStore")
        if helper and (found := _ask_helper(str(helper), keys)):
            return found
        auths = document.get("auths") or {}
        entry = next((auths[key] for key in keys if auths.get(key)), None)
        return _of_entry(entry, self.folder / "config.json", registry) if entry else None


@dataclass(frozen=True, slots=True)
class FirstOf(CredentialSource):
    """The first of several sources that knows the registry."""

    sources: tuple[CredentialSource, ...]

    def credential(self, registry: str) -> Credential | None:
        """Of the first that has one."""
        for source in self.sources:
            if found := source.credential(registry):
                return found
        return None


def read_docker_config(folder: Path) -> Mapping[str, Any]:
    """The document ``config.json`` of a folder; empty where there is none.

    Raises:
        CredentialsUnusable: It is there and cannot be read.
    """
    path = folder / "config.json"
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CredentialsUnusable(
            f"{str(path)!r} cannot be read: {error}", hint="mend or remove it, or set DOCKER_CONFIG to another folder"
        ) from error
    return document if isinstance(document, dict) else {}


def resolve(reference: str) -> str:
    """The secret that ``env:NAME`` or ``file:PATH`` refers to, without a final line break.

    Raises:
        CredentialsUnusable: Nothing there, or no reference.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        if (value := os.environ.get(name)) is None:
            raise CredentialsUnusable(f"the environment has no {name!r}", hint=f"export {name}=… before this command")
        return value
    if kind == "file":
        try:
            return Path(name).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsUnusable(
                f"the secret file {name!r} cannot be read: {error}", hint="check path and rights"
            ) from error
    # The text itself may be a secret that was given in the wrong place, so it is not repeated.
    raise CredentialsUnusable("a secret is given by reference", hint="write it as env:NAME or file:PATH")


def _keys(registry: str) -> tuple[str, ...]:
    """Under which names the configuration may have a registry."""
    if registry in (DEFAULT_REGISTRY, "index.docker.io", "registry-1.docker.io"):
        return (DOCKER_HUB_KEY, "docker.io", "index.docker.io", "registry-1.docker.io")
    return (
        registry,
        f"https://{registry}",
        f"https://{registry}/",
        f"https://{registry}/v1/",
        f"https://{registry}/v2/",
        f"http://{registry}",
    )


def _of_entry(entry: Mapping[str, Any], path: Path, registry: str) -> Credential | None:
    if token := entry.get("identitytoken"):
        return Credential(identity_token=str(token), source=str(path))
    if entry.get("username"):
        return Credential(str(entry["username"]), str(entry.get("password", "")), source=str(path))
    if not entry.get("auth"):
        return None
    try:
        username, colon, password = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise CredentialsUnusable(
            f"the entry for {registry!r} in {str(path)!r} is not base64 of user:password",
            hint=f"docker login {registry}",
        )
    return Credential(username, password.rstrip("\0"), source=str(path))


def _ask_helper(name: str, keys: tuple[str, ...]) -> Credential | None:
    """What ``docker-credential-NAME get`` says: the server on its input, the answer as JSON on its output."""
    program = shutil.which(f"docker-credential-{name}")
    if program is None:
        raise CredentialsUnusable(
            f"the credential helper 'docker-credential-{name}' of Docker's configuration is not installed here",
            hint="install it, or remove it from credsStore and credHelpers of config.json and log in again",
        )
    words = ""
    for key in keys:
        try:
            done = run_with_input([program, "get"], text=key, timeout_s=_HELPER_S, env=_helper_environment())
        except TimeoutError as error:
            raise CredentialsUnusable(
                f"'docker-credential-{name}' did not answer within {_HELPER_S:g} s",
                hint="run it by hand: it may wait for a passphrase",
            ) from error
        if done.returncode == 0:
            return _of_helper(done.stdout, name)
        words = (done.stdout or done.stderr).strip()
        if _NOT_FOUND not in words:
            break
    if _NOT_FOUND in words:
        return None
    raise CredentialsUnusable(
        f"'docker-credential-{name}' failed: {words[:200]}", hint=f"log in again: docker login {keys[0]}"
    )


def _of_helper(answer: str, name: str) -> Credential:
    try:
        document = json.loads(answer)
        username, secret = str(document["Username"]), str(document["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        # The answer may hold a secret, so it is not repeated.
        raise CredentialsUnusable(
            f"'docker-credential-{name}' did not answer as the protocol has it", hint="install another version of it"
        ) from error
    source = f"docker-credential-{name}"
    if username == _TOKEN_USER:
        return Credential(identity_token=secret, source=source)
    return Credential(username, secret, source=source)


def _helper_environment() -> dict[str, str]:
    return bare_environment({name: value for name, value in os.environ.items() if name.startswith(_FOR_HELPERS)})
