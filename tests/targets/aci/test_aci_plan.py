"""Plans for Azure: the same bytes twice, nothing to do after a deployment, and every hand edit by its field."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import ModelPackage
from packager.core.deployment import Change, DeploymentPlan
from packager.core.errors import DeploymentFailed, DrayError, NameTaken, QuotaReached, ResourceGroupMissing, UsageError
from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import find, plan
from packager.documents import PlanDocument
from targets.aci import AciSettings
from targets.aci.groups import ContainerGroups
from targets.aci.settings import Gpu
from tests.contract_suites.target_suite import NAME, put, release_of
from tests.support.aci_cloud import AciCloud
from tests.support.contracts import errors_in
from tests.support.packages import make_package

PASSED = SmokeReport((SmokeCheck("ready", True, "", 1.0),))
SETTINGS = AciSettings(
    port=18080, env={"A": "1"}, secure_env={"TOKEN": "env:ACI_TOKEN"}, tags={"team": "growth"}, api_keys="env:ACI_KEYS"
)


@pytest.fixture
def package(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> ModelPackage:
    monkeypatch.setenv("ACI_TOKEN", "very secret token")
    monkeypatch.setenv("ACI_KEYS", "very secret key")
    return make_package(tmp_path / "a")


def planned(cloud: AciCloud, package: ModelPackage, settings: AciSettings = SETTINGS) -> DeploymentPlan:
    target = cloud.target()
    return plan(target, NAME, release_of(target, package), settings)


def edit(cloud: AciCloud, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the group as a person in the portal would."""
    with cloud.http() as http:
        path = cloud.path(NAME)
        body = http.get(path).json()
        change(body)
        body["properties"] = {k: v for k, v in body["properties"].items() if k in cloud.WRITABLE}
        body["properties"]["ipAddress"].pop("ip", None)
        body["properties"]["ipAddress"].pop("fqdn", None)
        for container in body["properties"]["containers"]:
            container["properties"].pop("instanceView", None)
        sent = {key: body[key] for key in ("location", "tags", "properties")}
        answer = http.put(path, json=sent)
        assert answer.status_code in (200, 201), answer.text
        cloud.settle(http, path)


def container(body: dict[str, Any]) -> dict[str, Any]:
    return body["properties"]["containers"][0]["properties"]


def variables(body: dict[str, Any]) -> Any:
    return container(body)["environmentVariables"]


def variable(body: dict[str, Any], name: str) -> Any:
    return next(each for each in variables(body) if each["name"] == name)


def test_a_plan_is_the_same_twice_and_follows_the_schema(cloud: AciCloud, package: ModelPackage) -> None:
    one, two = planned(cloud, package), planned(cloud, package)

    assert PlanDocument.of(one).to_json() == PlanDocument.of(two).to_json()
    assert [(each.verb, each.resource) for each in one.actions] == [("create", f"container group {NAME}")]
    assert errors_in(dict(one.actions[0].body)) == []
    assert "very secret" not in PlanDocument.of(one).to_json()
    assert cloud.stored() == {}


def test_after_a_deployment_there_is_nothing_to_do(cloud: AciCloud, package: ModelPackage) -> None:
    put(cloud.target(), SETTINGS, package, report=PASSED)

    one, two = planned(cloud, package), planned(cloud, package)

    assert not one.changes_anything
    assert PlanDocument.of(one).to_json() == PlanDocument.of(two).to_json()


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "env": (lambda b: variables(b).append({"name": "B", "value": "2"}), "environmentVariables[B]"),
    "value": (lambda b: variable(b, "A").update(value="9"), "environmentVariables[A].value"),
    "image": (lambda b: container(b).update(image="registry.example/other@sha256:" + "2" * 64), "image"),
    "tag": (lambda b: b["tags"].update(team="other"), "tags.team"),
    "tag-gone": (lambda b: b["tags"].pop("team"), "tags.team"),
    "command": (lambda b: container(b).update(command=["sleep", "1"]), "command"),
    "probe": (lambda b: container(b).pop("livenessProbe"), "livenessProbe"),
    "probe-delay": (lambda b: container(b)["livenessProbe"].update(initialDelaySeconds=7), "initialDelaySeconds"),
    "label": (lambda b: b["properties"]["ipAddress"].update(dnsNameLabel="another-one"), "ipAddress.dnsNameLabel"),
    "version": (lambda b: b["tags"].update({"dray-state": "update"}), "tests"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_a_hand_edit_is_shown_as_its_field(cloud: AciCloud, package: ModelPackage, name: str) -> None:
    change, field = EDITS[name]
    put(cloud.target(), SETTINGS, package, report=PASSED)

    edit(cloud, change)

    [action] = planned(cloud, package).actions
    assert action.verb == "update"
    assert [each.field for each in action.changes if each.field.endswith(field)], action.changes
    assert len(action.changes) == 1


def test_a_stopped_group_is_shown_although_azure_says_succeeded(cloud: AciCloud, package: ModelPackage) -> None:
    deployment = put(cloud.target(), SETTINGS, package, report=PASSED).deployment
    with cloud.http() as http:
        http.post(f"{cloud.path(NAME)}/stop")
        cloud.settle(http, cloud.path(NAME))

    found = cloud.target().inspect(NAME, SETTINGS)

    assert found is not None
    assert found.state == "stopped"
    [action] = planned(cloud, package).actions
    assert action.changes == (Change("state", "Stopped", "Running"),)
    again = put(cloud.target(), SETTINGS, package, report=PASSED)
    assert (again.deployment.state, again.deployment.endpoint) == ("running", deployment.endpoint)


def test_what_azure_changes_only_anew_is_a_replacement_that_is_asked_about(
    cloud: AciCloud, package: ModelPackage
) -> None:
    put(cloud.target(), SETTINGS, package, report=PASSED)

    found = planned(cloud, package, SETTINGS.model_copy(update={"cpu": 2.0}))

    assert [each.verb for each in found.actions] == ["create", "delete"]
    [change] = found.actions[0].changes
    assert (change.field, change.before, change.after) == (
        "properties.containers[runtime].properties.resources.requests.cpu", 1.0, 2.0,
    )  # fmt: skip
    assert "E-URL-CHANGES" in [each.code for each in found.findings]
    assert "cpu" in found.confirm[0]


def test_a_replacement_takes_another_label_that_is_asked_for_at_once(cloud: AciCloud, package: ModelPackage) -> None:
    put(cloud.target(), SETTINGS, package, report=PASSED)
    moved = SETTINGS.model_copy(update={"cpu": 2.0, "dns_label": "somewhere-else"})

    put(cloud.target(), moved, package, report=PASSED)

    assert not planned(cloud, package, moved).changes_anything
    [group] = cloud.stored().values()
    assert group.label == "somewhere-else"


def test_another_reference_is_a_change_and_what_is_behind_it_is_not(
    cloud: AciCloud, package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cloud.target(), SETTINGS, package, report=PASSED)
    monkeypatch.setenv("ACI_TOKEN", "rotated")
    monkeypatch.setenv("OTHER", "x")
    assert not planned(cloud, package).changes_anything

    found = planned(cloud, package, SETTINGS.model_copy(update={"secure_env": {"TOKEN": "env:OTHER"}}))

    assert found.actions[0].changes == (Change("settings.secure_env.TOKEN", "env:ACI_TOKEN", "env:OTHER"),)


def test_tags_of_others_are_kept_and_named(cloud: AciCloud, package: ModelPackage) -> None:
    put(cloud.target(), SETTINGS, package, report=PASSED)
    edit(cloud, lambda body: body["tags"].update(policy="x"))
    updated = SETTINGS.model_copy(update={"env": {}})

    found = planned(cloud, package, updated)
    put(cloud.target(), updated, package, report=PASSED)

    assert any("policy=x" in each.message for each in found.findings)
    assert cloud.stored()[NAME].tags["policy"] == "x"


def test_a_group_that_dray_did_not_make_is_left_alone(cloud: AciCloud, package: ModelPackage) -> None:
    put(cloud.target(), SETTINGS, package, report=PASSED)
    edit(cloud, lambda body: body.update(tags={}))

    with pytest.raises(NameTaken, match="not dray's"):
        planned(cloud, package)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"cpu": 8.0}, "E-CONFIG"), ({"memory_gb": 1.55}, "E-CONFIG"), ({"cpu": 1.001}, "E-CONFIG"),
        ({"memory_gb": 64.0}, "E-CONFIG"), ({"tags": {f"t{i}": "" for i in range(48)}}, "E-REQUEST-REFUSED"),
    ],
)  # fmt: skip
def test_what_azure_would_refuse_is_found_before(
    cloud: AciCloud, package: ModelPackage, given: dict[str, Any], code: str
) -> None:
    with pytest.raises(DrayError) as caught:
        planned(cloud, package, AciSettings.model_validate({"port": 18080, **given}))

    assert caught.value.code == code
    assert caught.value.hint


def test_a_resource_group_that_is_not_there_is_found_before(cloud: AciCloud, package: ModelPackage) -> None:
    cloud.faults.set(("no-group",))

    with pytest.raises(ResourceGroupMissing) as caught:
        planned(cloud, package)

    assert "az group create" in caught.value.hint


@pytest.mark.parametrize(
    ("counted", "given"),
    [
        ("StandardCores", {"cpu": 2.0}),
        ("StandardSpotCores", {"cpu": 2.0, "priority": "Spot"}),
        ("StandardV100Cores", {"gpu": Gpu(count=2)}),
    ],
)
def test_quota_is_looked_at_before(
    cloud: AciCloud, package: ModelPackage, monkeypatch: pytest.MonkeyPatch, counted: str, given: dict[str, Any]
) -> None:
    monkeypatch.setattr(ContainerGroups, "usages", lambda self, region: {counted: (9, 10), "ContainerGroups": (1, 2)})

    with pytest.raises(QuotaReached, match=f"{counted} in .*: 9 of 10 are used, and this takes 2 more"):
        planned(cloud, package, AciSettings(**given))


def test_a_public_endpoint_is_named_as_what_it_is(cloud: AciCloud, package: ModelPackage) -> None:
    messages = {each.code: each.message for each in planned(cloud, package).findings}

    assert messages["E-PUBLIC-ENDPOINT"].endswith("no TLS")


def test_with_no_account_there_are_no_deployments(state: Path) -> None:
    from targets.aci import AciTarget

    assert AciTarget().deployments(AciSettings()) == ()
    assert AciTarget().inspect("churn", AciSettings()) is None
    [finding] = AciTarget().preflight(AciSettings())
    assert (finding.code, finding.blocking) == ("E-AUTH", True)
    with pytest.raises(DrayError, match="subscription"):
        AciTarget().deployments(AciSettings(resource_group="team"))


def test_deployments_of_the_whole_subscription_are_found(cloud: AciCloud, package: ModelPackage) -> None:
    put(cloud.target(), SETTINGS, package, report=PASSED)
    anywhere = cloud.target(cloud.access(resource_group=None))

    [found] = anywhere.deployments(AciSettings())

    assert (found.name, found.detail["resource_group"], found.state) == (NAME, "rehearsal", "running")
    anywhere.destroy(found, SilentProgress())
    assert cloud.stored() == {}


def test_a_rehearsal_shows_what_was_deployed_to_any_resource_group(cloud: AciCloud, package: ModelPackage) -> None:
    put(cloud.target(), SETTINGS.model_copy(update={"resource_group": "team"}), package, report=PASSED)
    here, everywhere = cloud.target(), cloud.target(cloud.access(looks_everywhere=True))

    assert here.deployments(AciSettings()) == ()
    assert [each.detail["resource_group"] for each in everywhere.deployments(AciSettings())] == ["team"]
    assert everywhere.inspect(NAME, AciSettings()) is not None


def test_of_one_name_in_two_resource_groups_none_is_picked(cloud: AciCloud, package: ModelPackage) -> None:
    for resource_group in ("team", "team-eu"):
        settings = SETTINGS.model_copy(
            update={"resource_group": resource_group, "dns_label": f"churn-{resource_group}"}
        )
        put(cloud.target(), settings, package, report=PASSED)
    anywhere = cloud.target(cloud.access(resource_group=None))

    with pytest.raises(UsageError, match="in 2 resource groups: 'team', 'team-eu'"):
        find(NAME, [anywhere])
    assert find(NAME, [anywhere], {"aci": AciSettings(resource_group="team")})[1].detail["resource_group"] == "team"


def test_a_plan_that_the_cloud_has_overtaken_is_not_carried_out(cloud: AciCloud, package: ModelPackage) -> None:
    put(cloud.target(), SETTINGS, package, report=PASSED)
    made = planned(cloud, package, SETTINGS.model_copy(update={"env": {}}))
    edit(cloud, lambda body: container(body).update(command=["sleep", "1"]))

    with pytest.raises(DeploymentFailed, match="changed since the plan"):
        cloud.target().apply(made, {}, SilentProgress(), timeout_s=5)


def test_a_group_with_broken_tags_hides_no_other(
    cloud: AciCloud, package: ModelPackage, caplog: pytest.LogCaptureFixture
) -> None:
    put(cloud.target(), SETTINGS, package, report=PASSED)
    edit(cloud, lambda body: body["tags"].update({"dray-state": "?"}))

    assert cloud.target().deployments(SETTINGS) == ()
    assert f"container group {NAME} is passed over" in caplog.text
    with pytest.raises(DeploymentFailed, match="cannot be read"):
        planned(cloud, package)


def test_start_up_loads_nothing_of_azures(state: Path) -> None:
    code = (
        "import sys, targets.aci as aci; aci.AciTarget().deployments(aci.AciSettings()); print('azure' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout.strip() == "False", done.stderr
