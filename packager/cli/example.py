"""A line that asks a deployment from a shell."""

import shlex
from pathlib import Path

from packager.documents import DeployDocument
from packager.pack import open_package
from packager.smoke import request_for

_LONGEST = 2000


def curl_line(document: DeployDocument) -> str | None:
    """A curl line that works as it stands, where one row of the model fits on a screen; None where none does."""
    if document.package is None or document.endpoint is None or not document.endpoint.startswith("http"):
        return None
    request = request_for(open_package(Path(document.package), accept_unverified=True).test_data_sets()[0])
    if request is None or len(body := request.model_dump_json(exclude_none=True)) > _LONGEST:
        return None
    url = shlex.quote(f"{document.endpoint.rstrip('/')}/v2/models/{document.model}/infer")
    key, header = _key(document)
    return f"{key}curl -s {url} {_trust(document)}{header}-H 'content-type: application/json' -d {shlex.quote(body)}"


def _key(document: DeployDocument) -> tuple[str, str]:
    """What hands curl the first key, by the reference to it: in no argument, so that nobody else here sees it."""
    kind, name = _reference(document, "api_keys")
    if kind not in ("env", "file"):
        return "", ""
    keys = f"printenv {shlex.quote(name)}" if kind == "env" else f"cat {shlex.quote(str(Path(name).expanduser()))}"
    return f"{keys} | sed -n '/^[^#]/{{s/^/authorization: Bearer /p;q;}}' | ", "-H @- "


def _trust(document: DeployDocument) -> str:
    """The certificate that the endpoint shows, where it is a file here: it may be signed by itself."""
    kind, name = _reference(document, "tls_cert")
    return f"--cacert {shlex.quote(str(Path(name).expanduser()))} " if kind == "file" else ""


def _reference(document: DeployDocument, setting: str) -> tuple[str, str]:
    """Kind and name of a setting that refers to a secret; both empty where it does not."""
    settings = document.detail.get("settings")
    value = settings.get(setting) if isinstance(settings, dict) else None
    kind, _, name = str(value or "").partition(":")
    return kind, name
