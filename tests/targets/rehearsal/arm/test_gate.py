"""What a request must carry, and what one that is refused is told."""

from typing import Any

import pytest

from targets.rehearsal.arm.errors import ArmError
from targets.rehearsal.arm.rates import Rates
from tests.support.arm_server import SUBSCRIPTION, Arm, group_body, group_path
from tests.support.stand_in_server import TOKEN


def refused(
    arm: Arm, method: str, path: str, *, token: str | None = TOKEN, version: str | None = "2023-05-01", **sent: Any
) -> tuple[int, str]:
    """Status and code."""
    with arm.http(token=token, version=version) as http:
        answer = http.request(method, path, **sent)
    return answer.status_code, answer.json()["error"]["code"]


def test_a_request_without_the_token_is_refused_before_anything_else(arm: Arm) -> None:
    for path in (group_path("churn"), "/subscriptions", "/nowhere"):
        assert refused(arm, "GET", path, token=None, version=None) == (401, "AuthenticationFailed")
        assert refused(arm, "GET", path, token="other") == (401, "InvalidAuthenticationToken")


def test_a_token_of_another_scheme_is_refused(arm: Arm) -> None:
    with arm.http(token=None) as http:
        answer = http.get(group_path("churn"), headers={"Authorization": f"Basic {TOKEN}"})
    assert answer.status_code == 401


def test_a_version_is_wanted_and_known(arm: Arm) -> None:
    assert refused(arm, "GET", group_path("churn"), version=None) == (400, "MissingApiVersionParameter")
    for version in ("2021-03-01", "nonsense", "2023-05-01; drop"):
        assert refused(arm, "GET", group_path("churn"), version=version) == (400, "InvalidApiVersionParameter")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NotFound"),
        ("GET", "/subscriptions/not-a-guid/resourceGroups", 400, "InvalidSubscriptionId"),
        (
            "GET",
            f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerInstance/rockets",
            404,
            "InvalidResourceType",
        ),
        ("POST", group_path("churn"), 405, "HttpMethodNotSupported"),
        ("GET", group_path("churn"), 404, "ResourceNotFound"),
        ("POST", f"{group_path('churn')}/containers/model/exec", 501, "NotInARehearsal"),
        ("POST", f"{group_path('churn')}/containers/model/attach", 501, "NotInARehearsal"),
    ],
)
def test_a_path_that_is_not_there_is_refused_as_arm_refuses_it(
    arm: Arm, method: str, path: str, status: int, code: str
) -> None:
    version = "2022-09-01" if path.endswith("resourceGroups") else "2023-05-01"
    assert refused(arm, method, path, version=version) == (status, code)


def test_any_resource_group_is_there_until_the_fault_says_otherwise(arm: Arm) -> None:
    path = group_path("churn", resource_group="nobody")
    assert refused(arm, "GET", path) == (404, "ResourceNotFound")
    arm.faults.set(("no-group",))
    for method, body in (("GET", None), ("PUT", group_body()), ("DELETE", None)):
        assert refused(arm, method, path, json=body) == (404, "ResourceGroupNotFound")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"location": None}, 400, "LocationRequired"),
        ({"location": "moon"}, 400, "LocationNotAvailableForResourceType"),
        ({"tags": {str(number): "" for number in range(51)}}, 400, "TagCountExceeded"),
        ({"tags": {"a": "x" * 257}}, 400, "InvalidTagValueLength"),
        ({"tags": {"a/b": ""}}, 400, "InvalidTagNameCharacters"),
    ],
)
def test_what_every_resource_needs_is_wanted(arm: Arm, change: dict[str, Any], status: int, code: str) -> None:
    body = {key: value for key, value in {**group_body(), **change}.items() if value is not None}
    assert refused(arm, "PUT", group_path("churn"), json=body) == (status, code)


def test_every_answer_says_which_request_it_is_of(arm: Arm) -> None:
    with arm.http() as http:
        sent = {
            "x-ms-correlation-request-id": "mine",
            "x-ms-client-request-id": "c",
            "x-ms-return-client-request-id": "true",
        }
        answer = http.get(group_path("churn"), headers=sent)
        other = http.get(group_path("churn"))
    assert (answer.headers["x-ms-correlation-request-id"], answer.headers["x-ms-client-request-id"]) == ("mine", "c")
    assert answer.headers["x-ms-request-id"] != other.headers["x-ms-request-id"]


def test_paths_are_read_without_regard_to_case(arm: Arm) -> None:
    with arm.http() as http:
        http.put(group_path("churn"), json=group_body())
        assert http.get(group_path("churn").upper()).json()["name"] == "churn"


def test_resource_groups_are_found_made_and_listed(arm: Arm) -> None:
    path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups"
    with arm.http(version="2021-04-01") as http:
        assert http.head(f"{path}/rehearsal").status_code == 204
        assert http.put(f"{path}/mine", json={"location": "West US"}).status_code == 201
        assert http.get(f"{path}/mine").json()["location"] == "westus"
        assert [each["name"] for each in http.get(path).json()["value"]] == ["rehearsal", "mine"]
    with arm.http() as http:
        assert http.put(group_path("churn", resource_group="mine"), json=group_body()).status_code == 201


def test_the_provider_is_registered_and_the_subscription_enabled(arm: Arm) -> None:
    with arm.http(version="2021-04-01") as http:
        provider = http.get(f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerInstance").json()
    assert provider["registrationState"] == "Registered"
    with arm.http(version="2022-12-01") as http:
        assert http.get(f"/subscriptions/{SUBSCRIPTION}").json()["state"] == "Enabled"


def test_a_subscription_has_so_many_requests_at_once_and_gets_some_back_each_second() -> None:
    moment = 0.0
    rates = Rates(clock=lambda: moment)
    left = [rates.take("s", "PUT")["x-ms-ratelimit-remaining-subscription-writes"] for _ in range(200)]
    assert (left[0], left[-1]) == ("199", "0")
    with pytest.raises(ArmError) as caught:
        rates.take("s", "POST")
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "1")
    assert rates.take("s", "GET")
    assert rates.take("other", "PUT")
    moment = 1.0
    assert rates.take("s", "PUT") == {"x-ms-ratelimit-remaining-subscription-writes": "9"}
