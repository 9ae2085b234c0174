"""Azure's refusals, from real error bodies, in our words: by the code, wherever it stands."""

import json
from pathlib import Path
from typing import Any

import pytest
from azure.core import exceptions as sdk

from packager.core import errors
from targets.kit.azure.codes import in_words
from targets.kit.azure.failures import azure_errors, cause_of, errors_in, has_code


class Answer:
    """As much of an answer as the SDK's exceptions carry."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.status_code, self.headers, self.reason = status, headers or {}, "reason"
        self._text = body if isinstance(body, str) else json.dumps(body)

    def text(self, encoding: str | None = None) -> str:
        return self._text

    def body(self) -> bytes:
        return self._text.encode()

    content_type = "application/json"


def refused(status: int, body: Any, headers: dict[str, str] | None = None) -> errors.DrayError:
    kinds = {401: sdk.ClientAuthenticationError, 404: sdk.ResourceNotFoundError, 409: sdk.ResourceExistsError}
    return cause_of(
        kinds.get(status, sdk.HttpResponseError)(response=Answer(status, body, headers)), "container group 'churn'"
    )


def error(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


FIXTURE = Path(__file__).parents[2] / "fixtures" / "azure_errors.json"
CASES = [(row["status"], row["body"], getattr(errors, row["error"])) for row in json.loads(FIXTURE.read_text())]
INACCESSIBLE = next(body["error"]["message"] for _, body, _ in CASES if body["error"]["code"] == "InaccessibleImage")


@pytest.mark.parametrize(("status", "body", "kind"), CASES, ids=[f"{c[1]['error']['code']}-{c[0]}" for c in CASES])
def test_a_known_code_has_its_cause_and_its_cure(
    status: int, body: dict[str, Any], kind: type[errors.DrayError]
) -> None:
    found = refused(status, body)

    assert type(found) is kind
    assert found.message.startswith("Azure refused container group 'churn': ")
    assert body["error"]["code"] in found.message
    assert found.hint
    assert has_code(found, body["error"]["code"])


@pytest.mark.parametrize(
    "body",
    [
        error(
            "DeploymentFailed", "At least one failed.", details=[{"code": "InaccessibleImage", "message": INACCESSIBLE}]
        ),
        error("Conflict", "see inside", innererror={"code": "InaccessibleImage", "message": INACCESSIBLE}),
        error("Failed", json.dumps(error("InaccessibleImage", INACCESSIBLE))),
        error("BadRequest", "Status: 400, Body: " + json.dumps(error("InaccessibleImage", INACCESSIBLE))),
        {"status": "Failed", "error": {"code": "InaccessibleImage", "message": INACCESSIBLE}},
        {
            "properties": {
                "provisioningState": "Failed",
                "statusMessage": json.dumps(error("InaccessibleImage", INACCESSIBLE)),
            }
        },
    ],
    ids=["details", "innererror", "message", "message-end", "operation", "status-message"],
)
@pytest.mark.parametrize("status", [200, 400, 409])
def test_the_cause_is_found_wherever_it_stands(body: dict[str, Any], status: int) -> None:
    found = refused(status, body)

    assert type(found) is errors.PullDenied
    assert "is not accessible" in found.message
    assert "{" not in found.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, errors.DeploymentFailed),
        (400, errors.RequestRefused),
        (401, errors.NotSignedIn),
        (403, errors.Forbidden),
        (404, errors.DeploymentMissing),
        (409, errors.RequestRefused),
        (429, errors.Throttled),
        (503, errors.CloudFailed),
    ],
)
@pytest.mark.parametrize("body", ["", "<html>", error("NeverHeardOf", "so it is"), [], error("", "")])
def test_what_is_not_known_is_still_one_of_ours(status: int, kind: type[errors.DrayError], body: Any) -> None:
    found = refused(status, body)

    assert type(found) is kind
    assert found.hint
    assert "\n" not in found.message


def test_the_wait_and_the_ids_of_a_refusal_are_kept() -> None:
    found = refused(429, error("TooManyRequests", "slow down"), {"Retry-After": "17", "x-ms-request-id": "abc"})

    assert found.detail["retry_after_s"] == 17
    assert found.detail["request_id"] == "abc"
    assert found.hint == "again in 17 s"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ('Failed to pull image "x": denied: requested access to the resource is denied', errors.PullDenied),
        ('Failed to pull image "x": unexpected status from HEAD request: 403 Forbidden', errors.PullDenied),
        ('Failed to pull image "x": rpc error: code = NotFound desc = x: not found', errors.ImageMissing),
        (f'Failed to pull image "x@sha256:{"403" * 21}a": not found', errors.ImageMissing),
        ('Failed to pull image "x": dial tcp: lookup r.example: no such host', None),
        ('Successfully pulled image "x"', None),
    ],
)
def test_events_mean_what_their_words_say_for_certain(words: str, kind: type[errors.DrayError] | None) -> None:
    meaning = in_words(words)

    assert (meaning.kind if meaning else None) is kind


def test_nesting_without_an_end_is_read_to_a_bound() -> None:
    body: Any = {"code": "Deepest", "message": "x"}
    for _ in range(200):
        body = {"error": {"code": "Outer", "message": "y", "details": [body]}}

    assert 0 < len(errors_in(body)) < 20


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (sdk.ServiceRequestError("Connection refused"), errors.CloudUnreachable),
        (sdk.ServiceResponseError("Connection aborted."), errors.CloudUnreachable),
        (sdk.ClientAuthenticationError("DefaultAzureCredential failed to retrieve a token"), errors.NotSignedIn),
        (sdk.AzureError("odd"), errors.DeploymentFailed),
    ],
)
def test_what_never_became_an_answer_is_mapped_too(raised: Exception, kind: type[errors.DrayError]) -> None:
    with pytest.raises(kind) as caught, azure_errors("container group 'churn'"):
        raise raised

    assert caught.value.hint
    assert caught.value.__cause__ is raised


def test_nobody_signed_in_tells_what_each_credential_said() -> None:
    words = "it failed. Attempted credentials:\n\tAzureCliCredential: Azure CLI not found on path\nTo mitigate this, …"
    found = cause_of(sdk.ClientAuthenticationError(message=words), "resource group 'g'")

    assert (found.code, found.detail["tried"]) == ("E-AUTH", ["AzureCliCredential: Azure CLI not found on path"])


def test_an_answer_that_is_cut_is_told_as_such() -> None:
    found = cause_of(sdk.IncompleteReadError(("Connection broken", ValueError())), "container group 'churn'")

    assert found.code == "E-CLOUD-UNREACHABLE"
    assert found.message == "the connection to Azure ended in the middle of an answer about container group 'churn'"
