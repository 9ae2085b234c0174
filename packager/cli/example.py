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
    return f"{key}curl -s {url} {header}-H 'content-type: application/json' -d {shlex.quote(body)}"


def _key(document: DeployDocument) -> tuple[str, str]:
    """What hands curl the first key, by the reference to it: in no argument, so that nobody else here sees it."""
    settings = document.detail.get("settings")
    reference = settings.get("api_keys") if isinstance(settings, dict) else None
    kind, _, name = str(reference or "").partition(":")
    if kind not in ("env", "file"):
        return "", ""
    keys = f"printenv {shlex.quote(name)}" if kind == "env" else f"cat {shlex.quote(str(Path(name).expanduser()))}"
    return f"{keys} | sed -n '/^[^#]/{{s/^/authorization: Bearer /p;q;}}' | ", "-H @- "
