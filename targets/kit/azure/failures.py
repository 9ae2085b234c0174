"""What Azure's refusals mean, in our words: by the code in the body, never by the HTTP status alone.

One quota error comes with 400 and with 409, a long-running operation fails with 200, and what matters may stand deep in
``details``, in ``innererror``, or as JSON text in a message. Sources: the ARM common error contract
(github.com/cloud-and-ai-microsoft/resource-provider-contract, "error response"), and recorded answers.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from packager.core.errors import (
    CloudFailed,
    CloudUnreachable,
    DeploymentFailed,
    DeploymentMissing,
    DrayError,
    Forbidden,
    NotSignedIn,
    RequestRefused,
    Throttled,
)
from targets.kit.azure.codes import KNOWN, Meaning, in_words

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError

_DEEPEST: Final = 8
# Where the cause may stand; a container group's operation that failed often has its events alone.
_NESTED: Final = ("events", "error", "details", "innererror", "innerError", "message", "statusMessage")
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER = 401, 403, 404, 429, 500
_LOGIN: Final = "az login, or a fresh token in AZURE_ACCESS_TOKEN; to try without an account: --rehearse"
# What an error says when a long-running operation has failed, and nothing else about it.
_GENERAL: Final = frozenset({"", "deploymentfailed", "conflict", "badrequest", "failed", "resourcedeploymentfailure"})


@dataclass(frozen=True, slots=True)
class ArmError:
    """One error object of an answer."""

    code: str
    message: str


@contextmanager
def azure_errors(what: str) -> Iterator[None]:
    """The SDK's exceptions as ours.

    Args:
        what: Was asked for, in words that fit into "Azure refused …".

    Raises:
        DrayError: Of the cause that the answer names.
    """
    from azure.core.exceptions import AzureError

    try:
        yield
    except AzureError as error:
        raise cause_of(error, what) from error


def cause_of(error: "AzureError", what: str) -> DrayError:
    """The error of ours for one of the SDK's."""
    from azure.core import exceptions as sdk

    if not isinstance(error, sdk.HttpResponseError) or error.response is None:
        return _without_answer(error, what)
    status, found = int(error.response.status_code or 0), errors_in(_document(error))
    detail = _detail(error, status, found)
    if meaning := _meaning(found):
        chosen, told = meaning
        hint = _when(detail, chosen.hint) if chosen.kind is Throttled else chosen.hint
        return chosen.kind(f"Azure refused {what}: {_sentence(told)}", hint=hint, detail=detail)
    said = _sentence(_most_telling(found) or ArmError("", str(error.message)))
    return _by_status(status, what, said, detail)


def errors_in(document: Any, depth: int = 0) -> tuple[ArmError, ...]:
    """Every error object of an answer, outermost first, those in JSON text inside a message among them."""
    if depth > _DEEPEST:
        return ()
    if isinstance(document, str):
        inner = _json_in(document)
        return errors_in(inner, depth + 1) if inner is not None else ()
    if isinstance(document, list):
        return tuple(found for each in document for found in errors_in(each, depth + 1))
    if not isinstance(document, Mapping):
        return ()
    own = _own_error(document)
    below = tuple(found for key in _NESTED for found in errors_in(document.get(key), depth + 1))
    properties = document.get("properties")
    return (*own, *below, *(errors_in(properties, depth + 1) if isinstance(properties, Mapping) else ()))


def retry_after(error: BaseException) -> float | None:
    """Seconds that the answer asks to wait; None where it does not."""
    response = getattr(error, "response", None)
    value = response.headers.get("Retry-After") if response is not None else None
    return float(value) if value and re.fullmatch(r"\d+(\.\d+)?", value) else None


def has_code(error: DrayError, *codes: str) -> bool:
    """Whether an answer of Azure's had one of these codes anywhere."""
    found = {str(each).lower() for each in error.detail.get("azure_codes", ())}
    return any(code.lower() in found for code in codes)


def _meaning(found: tuple[ArmError, ...]) -> tuple[Meaning, ArmError] | None:
    """The deepest error that is known: what stands around it only says that something failed."""
    for each in reversed(found):
        if meaning := in_words(each.message) or KNOWN.get(each.code.lower()):
            return meaning, each
    return None


def _by_status(status: int, what: str, said: str, detail: Mapping[str, Any]) -> DrayError:
    """For a code that is not known: what the status leaves."""
    message = f"Azure refused {what}: {said}"
    if status == _UNAUTHORIZED:
        return NotSignedIn(message, hint=_LOGIN, detail=detail)
    if status == _FORBIDDEN:
        return Forbidden(message, hint="ask for the role Contributor on the resource group", detail=detail)
    if status == _NOT_FOUND:
        return DeploymentMissing(
            f"Azure has no {what}: {said}", hint="`dray status` lists what there is", detail=detail
        )
    if status == _TOO_MANY:
        return Throttled(message, hint=_when(detail, "again in some minutes"), detail=detail)
    if status >= _SERVER:
        return CloudFailed(f"Azure failed at {what}: {said}", hint="again later; the detail has its id", detail=detail)
    if status < 300:
        return DeploymentFailed(f"Azure gave up on {what}: {said}", hint="Azure's own words say why", detail=detail)
    return RequestRefused(message, hint="`dray plan -o json` shows the body that was sent", detail=detail)


def _when(detail: Mapping[str, Any], otherwise: str) -> str:
    """When to ask again, as the answer has it."""
    wait = detail.get("retry_after_s")
    return f"again in {wait:g} s" if wait else otherwise


def _without_answer(error: "AzureError", what: str) -> DrayError:
    from azure.core import exceptions as sdk

    words = _one_line(str(error.message or error))
    if isinstance(error, sdk.ClientAuthenticationError):
        tried = [_one_line(line) for line in str(error.message).splitlines() if line.startswith("\t")]
        said = f"nobody is signed in to Azure: {_first_sentence(words)}"
        return NotSignedIn(said, hint=_LOGIN, detail={"tried": tried} if tried else {})
    if isinstance(error, sdk.IncompleteReadError):
        return CloudUnreachable(
            f"the connection to Azure ended in the middle of an answer about {what}",
            hint="check the network, and any proxy on the way; then the same command again",
        )
    if isinstance(error, sdk.ServiceRequestError | sdk.ServiceResponseError):
        certificate = "certificate" in words.lower()
        hint = "is there a proxy that opens TLS? name its authority in REQUESTS_CA_BUNDLE" if certificate else ""
        return CloudUnreachable(
            f"Azure's management API did not answer about {what}: {words}",
            hint=hint or "check the network, HTTPS_PROXY and AZURE_ARM_ENDPOINT; then the same command again",
        )
    return DeploymentFailed(f"{what}: {words}", hint="run it again with -v")


def _detail(error: Any, status: int, found: tuple[ArmError, ...]) -> dict[str, Any]:
    headers = error.response.headers
    ids = {"request_id": headers.get("x-ms-request-id"), "correlation_id": headers.get("x-ms-correlation-request-id")}
    given: dict[str, Any] = {"status": status, "azure_codes": [each.code for each in found if each.code]}
    if (wait := retry_after(error)) is not None:
        given["retry_after_s"] = wait
    return {**given, **{key: value for key, value in ids.items() if value}}


def _document(error: Any) -> Any:
    try:
        text = error.response.text()
    except (AttributeError, UnicodeDecodeError, ValueError):
        return None
    return _json_in(text) if text else None


def _own_error(document: Mapping[str, Any]) -> tuple[ArmError, ...]:
    code, message = document.get("code"), document.get("message")
    if not isinstance(code, str) and not isinstance(message, str):
        return ()
    return (ArmError(str(code or ""), _one_line(str(message or ""))),)


def _most_telling(found: tuple[ArmError, ...]) -> ArmError | None:
    telling = [each for each in found if each.code.lower() not in _GENERAL]
    return telling[-1] if telling else found[-1] if found else None


def _sentence(error: ArmError) -> str:
    words = error.message.strip().rstrip(".") or "it does not say why"
    return f"{words} ({error.code})" if error.code else words


def _first_sentence(words: str) -> str:
    return words.partition(". ")[0][:200]


def _one_line(text: str, limit: int = 600) -> str:
    words = " ".join(text.split())
    return words[:limit] + ("…" if len(words) > limit else "")


def _json_in(text: str) -> Any:
    """The JSON object that a text is, or ends in; None where there is none."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        document = json.loads(text[start:])
    except ValueError:
        return None
    return document if isinstance(document, Mapping) else None
