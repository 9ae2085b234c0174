"""The stand-in against Microsoft's own description of the API: what it takes, what it answers, what it never does."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.support.arm_server import SUBSCRIPTION, Arm, group_body, group_path
from tests.support.contracts import example, swagger
from tests.support.stand_in_server import TOKEN, wait_until

LOCATION = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerInstance/locations/westeurope"
# What its version no longer has, and answers have more than: nothing is taken away from the definitions but this.
NEWER = {"networkProfile"}


def validate(body: object, definition: str) -> None:
    """Raises ValidationError: an answer is not what the swagger says."""
    document = swagger()
    schema = {**document["definitions"][definition], "definitions": document["definitions"]}
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(body)


@pytest.fixture
def made(arm: Arm) -> Iterator[Arm]:
    """A stand-in with a group that runs."""
    body = group_body(label="churn-label", identity=None, tags={"a": "1"})
    with arm.http() as http:
        http.put(group_path("churn"), json=body)
        wait_until(lambda: http.get(group_path("churn")).json()["properties"]["provisioningState"] == "Succeeded")
    return arm


@pytest.mark.parametrize(
    ("path", "definition"),
    [
        (group_path("churn"), "ContainerGroup"),
        (group_path("").rstrip("/"), "ContainerGroupListResult"),
        (
            f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerInstance/containerGroups",
            "ContainerGroupListResult",
        ),
        (f"{group_path('churn')}/containers/model/logs", "Logs"),
        (f"{LOCATION}/usages", "UsageListResult"),
        (f"{LOCATION}/capabilities", "CapabilitiesListResult"),
        (f"{LOCATION}/cachedImages", "CachedImagesListResult"),
        ("/providers/Microsoft.ContainerInstance/operations", "OperationListResult"),
        (group_path("nobody"), "CloudError"),
    ],
)
def test_an_answer_is_of_the_swaggers_shape(made: Arm, path: str, definition: str) -> None:
    with made.http() as http:
        validate(http.get(path).json(), definition)


def test_answers_to_changes_are_of_the_swaggers_shape(made: Arm) -> None:
    with made.http() as http:
        validate(http.put(group_path("other"), json=group_body()).json(), "ContainerGroup")
        validate(http.patch(group_path("churn"), json={"tags": {"b": "2"}}).json(), "ContainerGroup")
        validate(http.delete(group_path("churn")).json(), "ContainerGroup")
        validate(http.put(group_path("bad"), json={}).json(), "CloudError")


def test_a_running_group_has_all_that_the_swaggers_example_has(made: Arm) -> None:
    shown = example("ContainerGroupsGet_Failed")["responses"]["200"]["body"]
    with made.http() as http:
        ours = http.get(group_path("churn")).json()
    asked = {"imageRegistryCredentials", "volumes"}  # this group has none
    assert set(shown["properties"]) - asked <= set(ours["properties"])
    theirs = shown["properties"]["containers"][0]["properties"]["instanceView"]
    view = ours["properties"]["containers"][0]["properties"]["instanceView"]
    assert set(theirs) <= set(view)
    assert set(theirs["events"][0]) == set(view["events"][0])
    assert set(theirs["currentState"]) == set(view["currentState"])


def _this_version() -> dict[str, Any]:
    """The swagger, for the version that is spoken here."""
    document = swagger()
    document["parameters"]["ApiVersionParameter"]["enum"] = ["2023-05-01"]
    document["parameters"]["SubscriptionIdParameter"]["enum"] = [SUBSCRIPTION]
    document["parameters"]["ResourceGroupNameParameter"]["enum"] = ["rehearsal"]
    for node in document["definitions"].values():
        for newer in NEWER & set(node.get("properties", {})):
            del node["properties"][newer]
    return document


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
def test_requests_of_the_swaggers_shape_or_near_it_get_answers_of_its_shape(made: Arm, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(_this_version())
    asked: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.endswith(("/exec", "/attach")):  # refused with 501, which is told elsewhere
            asked[f"{operation.method} {operation.path.rpartition('/')[2]}"] = _statuses(made, operation, mode)
    assert len(asked) == 13
    if mode is GenerationMode.POSITIVE:
        assert all(200 in statuses for name, statuses in asked.items() if name.endswith(("usages", "containerGroups")))


def _statuses(arm: Arm, operation: Any, mode: GenerationMode) -> set[int]:
    """The statuses of some requests to one operation, each answer of the swagger's shape and none a failure."""
    statuses: set[int] = set()

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(
            base_url=arm.url, headers={"Authorization": f"Bearer {TOKEN}"}, verify=str(arm.ca), timeout=20
        )
        statuses.add(answer.status_code)
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, checks=[response_schema_conformance])

    try:
        ask()
    except Unsatisfiable:  # an operation without parameters cannot be asked wrongly
        assert mode is GenerationMode.NEGATIVE
    return statuses
