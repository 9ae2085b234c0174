"""A line that asks a deployment from a shell."""

import json
import shlex
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from packager.documents import DeployDocument
from packager.pack import open_package
from packager.smoke import request_for
from runtime.contract.wire import InferenceRequest

_LONGEST = 2000
_HTTPS = 443


def asking_line(document: DeployDocument, *, rehearsal: bool = False) -> str | None:
    """A line that works as it stands, where one row of the model fits on a screen; None where none does."""
    if document.package is None or document.endpoint is None or not document.endpoint.startswith("http"):
        return None
    request = request_for(open_package(Path(document.package), accept_unverified=True).test_data_sets()[0])
    if request is None or len(request.model_dump_json(exclude_none=True)) > _LONGEST:
        return None
    # Paths are added to an address of the runtime; one with a query is another service's, which passes requests on.
    passed_on = bool(urlsplit(document.endpoint).query)
    return _invoke(document, request, rehearsal) if passed_on else _curl(document, document.endpoint, request)


def _invoke(document: DeployDocument, request: InferenceRequest, rehearsal: bool) -> str:
    given = (f"{each.name}={json.dumps(_nested(each.data, each.shape[1:]))}" for each in request.inputs)
    inputs = " ".join(f"-i {shlex.quote(each)}" for each in given)
    return f"dray invoke {shlex.quote(document.name)}{' --rehearse' if rehearsal else ''} {inputs}"


def _nested(data: list[Any], shape: list[int]) -> list[Any]:
    """Flat values as rows of a shape."""
    for size in reversed(shape):
        data = [data[start : start + size] for start in range(0, len(data), size)]
    return data


def _curl(document: DeployDocument, endpoint: str, request: InferenceRequest) -> str:
    body = request.model_dump_json(exclude_none=True)
    address, way = _address(endpoint.rstrip("/"), _certificate(document))
    url = shlex.quote(f"{address}/v2/models/{document.model}/infer")
    key, header = _key(document)
    return (
        f"{key}curl -s {url} {way}{_trust(document)}{header}-H 'content-type: application/json' -d {shlex.quote(body)}"
    )


def _key(document: DeployDocument) -> tuple[str, str]:
    """What hands curl the first key, by the reference to it: in no argument, so that nobody else here sees it."""
    kind, name = _reference(document, "api_keys")
    if kind not in ("env", "file"):
        return "", ""
    keys = f"printenv {shlex.quote(name)}" if kind == "env" else f"cat {shlex.quote(str(Path(name).expanduser()))}"
    return f"{keys} | sed -n '/^[^#]/{{s/^/authorization: Bearer /p;q;}}' | ", "-H @- "


def _trust(document: DeployDocument) -> str:
    """The certificate that the endpoint shows, where it is a file here: it may be signed by itself."""
    path = _certificate(document)
    return f"--cacert {shlex.quote(str(path))} " if path else ""


def _certificate(document: DeployDocument) -> Path | None:
    kind, name = _reference(document, "tls_cert")
    return Path(name).expanduser() if kind == "file" else None


def _address(endpoint: str, certificate: Path | None) -> tuple[str, str]:
    """What to ask, and the way there: by a name of the certificate, where that is another than the endpoint's.

    Args:
        certificate: A file; None where there is none here.
    """
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port or _HTTPS
    names = _names(certificate) if certificate else ()
    plain = [name for name in names if "*" not in name]
    if not plain or any(name == host or (name[:1] == "*" and host.endswith(name[1:])) for name in names):
        return endpoint, ""
    return f"https://{plain[0]}:{port}", f"--connect-to {shlex.quote(f'{plain[0]}:{port}:{host}:{port}')} "


def _names(certificate: Path) -> tuple[str, ...]:
    """Who a certificate is made out for; nobody where that cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(certificate)
        found = context.get_ca_certs()
    except (OSError, ssl.SSLError):
        return ()
    alternatives: Any = found[0].get("subjectAltName", ()) if found else ()
    return tuple(str(name) for kind, name in alternatives if kind in ("DNS", "IP Address"))


def _reference(document: DeployDocument, setting: str) -> tuple[str, str]:
    """Kind and name of a setting that refers to a secret; both empty where it does not."""
    settings = document.detail.get("settings")
    value = settings.get(setting) if isinstance(settings, dict) else None
    kind, _, name = str(value or "").partition(":")
    return kind, name
