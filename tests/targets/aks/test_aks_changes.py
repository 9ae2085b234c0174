"""What becomes of a deployment when it is updated, scaled by others, owned by others, or shifted step by step."""

import base64
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import ModelPackage
from packager.core.deployment import DeploymentPlan
from packager.core.errors import (
    ConfigurationError,
    DeploymentBusy,
    DrayError,
    FieldConflict,
    NameTaken,
    NotReady,
    SmokeTestFailed,
)
from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import deploy, destroy
from packager.documents import PlanDocument
from targets.aks import AksSettings
from targets.kit.holder import Holder
from targets.kit.kubernetes.objects.wanted import DRAY, MANAGED_BY
from targets.kit.kubernetes.record import NAME as RECORD_NAME
from targets.kit.kubernetes.record import RECORD, Record
from targets.kit.kubernetes.settings import Autoscale
from targets.kit.kubernetes.state import read
from tests.contract_suites.target_suite import FAILED, NAME, put
from tests.support.aks_cloud import AksCloud
from tests.support.packages import logistic_model, make_package
from tests.support.stand_in_server import TOKEN

# As it is, and as Secrets have it.
SECRETS = ("s3cret-key", *(base64.b64encode(each).decode() for each in (b"s3cret-key", b"robot:s3cret-key")))
PASSED = SmokeReport((SmokeCheck("ready", True, "", 1.0),))
CANARY = AksSettings(strategy="canary", route="gateway", steps=(10, 50), step_s=0.1, drain_s=0)
BLUE_GREEN = AksSettings(strategy="blue-green", drain_s=0)


@pytest.fixture
def packages(tmp_path: Path, state: Path) -> tuple[ModelPackage, ModelPackage]:
    return make_package(tmp_path / "a"), make_package(tmp_path / "b", logistic_model(seed=7), version="2")


def serve(cloud: AksCloud, settings: AksSettings, package: ModelPackage) -> Any:
    return put(cloud.target(), settings, package, report=PASSED)


def deployment(cloud: AksCloud, name: str = NAME) -> dict[str, Any]:
    with cloud.cluster() as cluster:
        found = cluster.get("Deployment", name)
    assert found is not None
    return found


def edit(cloud: AksCloud, kind: str, name: str, body: dict[str, Any], manager: str = "kubectl-edit") -> None:
    """Change an object as somebody else would."""
    with cloud.cluster() as cluster:
        made = {"apiVersion": "apps/v1" if kind == "Deployment" else "v1", "kind": kind, **body}
        made["metadata"] = {"name": name, "namespace": "default", **body.get("metadata", {})}
        cluster.apply(made, force=True, manager=manager)


@pytest.mark.parametrize(
    "settings", [AksSettings(autoscale=Autoscale()), AksSettings()], ids=["autoscaled", "left-out"]
)
def test_scaled_to_five_and_redeployed_it_is_still_five(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage], settings: AksSettings
) -> None:
    serve(cloud, settings, packages[0])
    with cloud.cluster() as cluster:
        path = f"/apis/apps/v1/namespaces/default/deployments/{NAME}/scale"
        cluster.requests.ask(
            "PATCH", path, "scale", body={"spec": {"replicas": 5}}, content_type="application/merge-patch+json",
            query={"fieldManager": "kubectl"},
        )  # fmt: skip

    serve(cloud, settings, packages[1])

    assert deployment(cloud)["spec"]["replicas"] == 5


def test_number_that_dray_said_stays_when_an_autoscaler_takes_over(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    serve(cloud, AksSettings(replicas=3), packages[0])

    serve(cloud, AksSettings(autoscale=Autoscale()), packages[1])

    assert deployment(cloud)["spec"]["replicas"] == 3


def test_second_deployment_of_blue_green_has_as_many_pods(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    serve(cloud, AksSettings(replicas=2), packages[0])

    serve(cloud, BLUE_GREEN.model_copy(update={"autoscale": Autoscale()}), packages[1])

    assert deployment(cloud, f"{NAME}-b")["spec"]["replicas"] == 2
    assert ("Deployment", NAME) not in cloud.stored()
    assert ("HorizontalPodAutoscaler", NAME) in cloud.stored()


def test_field_of_another_manager_is_reported_and_not_stolen(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    serve(cloud, AksSettings(replicas=2), packages[0])
    edit(cloud, "Deployment", NAME, {"spec": {"progressDeadlineSeconds": 77}})
    before = deployment(cloud)

    with pytest.raises(FieldConflict) as caught:
        serve(cloud, AksSettings(replicas=2), packages[1])

    assert "progressDeadlineSeconds (kubectl-edit)" in caught.value.message
    assert deployment(cloud)["spec"] == before["spec"]
    taken = serve(cloud, AksSettings(replicas=2, force_conflicts=True), packages[1])
    assert (taken.deployment.version, deployment(cloud)["spec"]["progressDeadlineSeconds"]) == ("2", 330)


def test_field_of_another_manager_that_dray_does_not_say_stays(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    serve(cloud, AksSettings(), packages[0])
    edit(cloud, "Deployment", NAME, {"metadata": {"annotations": {"team": "fraud"}}})

    serve(cloud, AksSettings(), packages[1])

    assert deployment(cloud)["metadata"]["annotations"]["team"] == "fraud"
    assert not serve(cloud, AksSettings(), packages[1]).plan.changes_anything


def test_setting_that_is_left_out_again_takes_its_objects_and_fields_away(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    more = AksSettings(route="gateway", autoscale=Autoscale(), env={"A": "1"}, node_selector={"pool": "cpu"})
    serve(cloud, more, packages[0])

    less = serve(cloud, AksSettings(), packages[0])

    gone = {action.resource for action in less.plan.actions if action.verb == "delete"}
    assert gone == {f"gateway/{NAME}", f"httproute/{NAME}", f"horizontalpodautoscaler/{NAME}"}
    assert not {kind for kind, _ in cloud.stored()} & {"Gateway", "HTTPRoute", "HorizontalPodAutoscaler"}
    spec = deployment(cloud)["spec"]["template"]["spec"]
    assert "pool" not in spec["nodeSelector"]
    assert "A" not in str(spec["containers"][0].get("env"))
    assert not serve(cloud, AksSettings(), packages[0]).plan.changes_anything


def weights(cloud: AksCloud) -> dict[str, int]:
    with cloud.cluster() as cluster:
        route = cluster.get("HTTPRoute", NAME)
    assert route is not None
    return {each["name"]: each["weight"] for each in route["spec"]["rules"][0]["backendRefs"]}


def carry(cloud: AksCloud, settings: AksSettings, package: ModelPackage, smoke: Any) -> Any:
    target = cloud.target()
    return deploy(
        target, NAME, target.release_for_tests(package), settings, smoke=smoke, confirm=lambda plan: True, secrets={},
        progress=SilentProgress(), timeout_s=60,
    )  # fmt: skip


def test_canary_gets_its_shares_and_is_tested_at_each(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    serve(cloud, CANARY, packages[0])
    seen: list[dict[str, int]] = []

    def smoke(client: Any, package: ModelPackage) -> SmokeReport:
        seen.append(weights(cloud))
        return PASSED

    outcome = carry(cloud, CANARY, packages[1], smoke)

    shares = [{NAME: 90, f"{NAME}-canary": 10}, {NAME: 50, f"{NAME}-canary": 50}]
    assert seen == [{NAME: 100}, *shares]
    assert weights(cloud) == {NAME: 100}
    assert outcome.deployment.version == "2"
    assert {each for each in cloud.stored() if each[0] in ("Deployment", "Service")} == {
        ("Deployment", f"{NAME}-b"),
        ("Service", NAME),
    }


def test_canary_that_answers_wrongly_at_ten_percent_goes_back_by_itself(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    first = serve(cloud, CANARY, packages[0])
    before = cloud.stored()
    reports = iter([PASSED, FAILED])

    with pytest.raises(SmokeTestFailed):
        carry(cloud, CANARY, packages[1], lambda client, package: next(reports))

    assert weights(cloud) == {NAME: 100}
    assert cloud.stored() == before
    assert cloud.target().inspect(NAME, CANARY) == first.deployment


def test_another_command_at_work_is_not_disturbed(cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]) -> None:
    serve(cloud, AksSettings(), packages[0])
    other = Holder("ada", "elsewhere", 1, 1.0, "2999-01-01T00:00:00+00:00", 600.0)
    with cloud.cluster() as cluster:
        service = cluster.get("Service", NAME)
        assert service is not None
        record = Record.parse(service["metadata"]["annotations"][RECORD], NAME)
        text = record.model_copy(update={"holder": str(other)}).written()
    edit(cloud, "Service", NAME, {"metadata": {"annotations": {RECORD: text}}}, manager="dray-elsewhere")

    with pytest.raises(DeploymentBusy, match="ada@elsewhere"):
        serve(cloud, AksSettings(), packages[1])


def test_record_that_cannot_be_read_hides_no_other_deployment(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage], caplog: pytest.LogCaptureFixture
) -> None:
    serve(cloud, AksSettings(), packages[0])
    for name, record in (
        ("garbage", "{"),
        ("newer", '{"live":{"model":"m","version":"1","package":"p","image":"i","settings":{"new":1}}}'),
    ):
        labels, annotations = {MANAGED_BY: DRAY}, {RECORD: record, RECORD_NAME: name}
        edit(
            cloud,
            "Service",
            name,
            {"metadata": {"labels": labels, "annotations": annotations}, "spec": {"ports": [{"port": 80}]}},
        )

    assert [each.name for each in cloud.target().deployments(AksSettings())] == [NAME]

    told = [each for each in caplog.messages if "is passed over" in each]
    assert [each.split()[0] for each in told] == ["service/garbage", "service/newer"]


def test_objects_that_settings_name_and_that_are_not_there_are_remarked(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    edit(cloud, "Secret", "there", {"stringData": {"a": "b"}})
    settings = AksSettings(route="gateway", gateway="shared", tls_secret="tls", pull_secret="there")
    target = cloud.target()

    plan = target.plan(NAME, target.release_for_tests(packages[0]), settings)

    absent = [each for each in plan.findings if each.code == "E-NOT-THERE"]
    assert [each.message.split()[0] for each in absent] == ["secret/tls", "gateway/shared"]
    assert not any(each.blocking for each in absent)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Service", {"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}}),
        # No field of it would be in conflict, and deleting the deployment would delete it.
        ("ServiceAccount", {"metadata": {"annotations": {"mine": "1"}}}),
    ],
)
def test_name_of_an_object_that_is_somebody_elses_is_left_alone(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage], kind: str, body: dict[str, Any]
) -> None:
    edit(cloud, kind, NAME, body)

    with pytest.raises(NameTaken, match=f"{kind.lower()}/{NAME} of namespace 'default' is there and is not dray's"):
        serve(cloud, AksSettings(force_conflicts=True), packages[0])

    assert cloud.stored() == set()  # nothing was begun, and theirs bears no label of dray's


def test_namespace_that_is_not_there_is_made_restricted(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    settings = AksSettings(namespace="fresh")

    outcome = serve(cloud, settings, packages[0])

    with cloud.cluster("fresh") as cluster:
        made = cluster.get("Namespace", "fresh")
    assert made is not None
    assert made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    destroy(cloud.target(), outcome.deployment, progress=SilentProgress())
    assert cloud.stored("fresh") == set()


SECRET = AksSettings(
    api_keys="env:KEYS", secret_env={"TOKEN": "env:KEYS"},
    registry_username="env:USER_NAME", registry_password="env:KEYS",
)  # fmt: skip


def test_secret_is_nowhere_but_in_its_secret(
    cloud: AksCloud,
    packages: tuple[ModelPackage, ModelPackage],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("KEYS", "s3cret-key")
    monkeypatch.setenv("USER_NAME", "robot")

    outcome = serve(cloud, SECRET, packages[0])
    unchanged = serve(cloud, SECRET, packages[0])
    failures = [failure_of(cloud, fault, packages[1]) for fault in ("crash", "pull-auth", "quota", "server-error")]

    assert not unchanged.plan.changes_anything
    secrets = (*SECRETS, TOKEN)
    told = [repr(outcome), repr(unchanged), PlanDocument.of(outcome.plan).to_json(), *failures, caplog.text]
    with cloud.cluster() as cluster:
        objects = read(cluster, NAME).objects
        assert SECRETS[1] in str([each for each in objects.values() if each["kind"] == "Secret"])
        told += [str(each) for each in objects.values() if each["kind"] != "Secret"]
        told += [str(cluster.list(kind, {})) for kind in ("Pod", "Event")]
    assert [each for each in told if any(secret in each for secret in secrets)] == []


def failure_of(cloud: AksCloud, fault: str, package: ModelPackage) -> str:
    """All that an error has to say."""
    cloud.faults.set((fault,))
    with pytest.raises(DrayError) as caught:
        serve(cloud, SECRET, package)
    cloud.faults.set(())
    return f"{caught.value.as_dict()} {caught.value!r} {caught.value.__cause__!r}"


def test_inference_service_is_written_and_not_deployed(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    target, plans = cloud.target(), list[DeploymentPlan]()
    plans.append(target.plan(NAME, target.release_for_tests(packages[0]), AksSettings(kserve=True)))

    assert {action.body["kind"] for action in plans[0].actions} == {
        "ServiceAccount",
        "InferenceService",
        "NetworkPolicy",
    }
    with pytest.raises(ConfigurationError, match="rolled out by KServe"):
        serve(cloud, AksSettings(kserve=True), packages[0])
    assert cloud.stored() == set()


def test_runtime_that_never_will_be_ready_is_not_waited_for(
    runtime_cloud: AksCloud, state: Path, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "wrong", wrong_answers=True)

    with pytest.raises(NotReady, match="will not become ready") as caught:
        serve(runtime_cloud, AksSettings(threads=1), package)

    assert caught.value.detail["error_code"]
    assert caught.value.detail["log"]
    assert runtime_cloud.stored() == set()
