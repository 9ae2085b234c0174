"""Objects as they are applied: valid to the letter under every Kubernetes that is supported, and restricted."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes_validate import ValidationError

from targets.kit.kubernetes.names import ENDINGS, object_name
from targets.kit.kubernetes.objects import rendered
from targets.kit.kubernetes.objects.identity import namespace
from targets.kit.kubernetes.record import RECORD, Record
from targets.kit.kubernetes.settings import Autoscale, KubernetesSettings
from tests.support.kubernetes_schema import VERSIONS, gateway_validator, refuse_invalid
from tests.support.kubernetes_wanted import any_settings, served, wanted
from tests.support.pod_security import violations


def by_kind(made: tuple[dict[str, Any], ...]) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in made}


def of(**given: Any) -> dict[str, dict[str, Any]]:
    return by_kind(rendered(wanted(KubernetesSettings.model_validate(given))))


def pod(kinds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = kinds["Deployment"]["spec"]["template"]["spec"]
    return spec


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_settings(), st.sampled_from(["a", "b"]), st.sampled_from([None, 1, 10, 99]), st.booleans())
def test_every_object_is_valid_to_the_letter(
    chosen: KubernetesSettings, slot: Any, canary: int | None, pull: bool
) -> None:
    asked = wanted(chosen, slot=slot, canary=canary, pull=pull, record=Record(live=served(chosen)))
    for made in rendered(asked):
        for version in VERSIONS:
            refuse_invalid(made, version)


@settings(max_examples=60, deadline=None)
@given(any_settings())
def test_pods_keep_the_restricted_standard(chosen: KubernetesSettings) -> None:
    kinds = by_kind(rendered(wanted(chosen)))

    spec = kinds["InferenceService"]["spec"]["predictor"] if chosen.kserve else pod(kinds)

    assert violations(spec) == []


def test_checkers_find_what_is_wrong() -> None:
    spec = copy.deepcopy(pod(of()))
    del spec["containers"][0]["securityContext"]["capabilities"]
    spec["hostNetwork"] = True
    assert violations(spec) == ["host namespaces: hostNetwork", "capabilities, drop: runtime"]

    made = copy.deepcopy(of()["Deployment"])
    made["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(ValidationError, match="readinesProbe"):
        refuse_invalid(made, "1.33")

    route = copy.deepcopy(of(route="gateway")["HTTPRoute"])
    route["spec"]["rules"][0]["backendRefs"][0]["wieght"] = 1
    assert not gateway_validator("HTTPRoute", "v1").is_valid(route)


def test_namespace_that_dray_makes_is_restricted() -> None:
    made = namespace("models")

    assert made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for version in VERSIONS:
        refuse_invalid(made, version)


def test_deployment_keeps_its_pods_and_names_its_image_by_digest() -> None:
    kinds = of(api_keys="env:KEYS")
    spec, container = pod(kinds), pod(kinds)["containers"][0]

    assert kinds["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert container["image"] == f"registry.example/team/iris@sha256:{'a' * 64}"
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert (spec["enableServiceLinks"], spec["automountServiceAccountToken"]) == (False, False)
    assert container["resources"]["requests"] == {"cpu": "240m", "memory": "384Mi"}
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "384Mi"}
    assert spec["terminationGracePeriodSeconds"] > 30


def test_startup_probe_follows_the_measured_start() -> None:
    slow = served(KubernetesSettings()).hint.model_copy(update={"startup_s": 20.0})  # type: ignore[union-attr]
    container = pod(by_kind(rendered(wanted(hint=slow))))["containers"][0]

    assert container["startupProbe"]["failureThreshold"] == 100
    assert pod(of())["containers"][0]["startupProbe"]["failureThreshold"] == 30


@given(any_settings())
@settings(max_examples=60, deadline=None)
def test_replicas_are_never_said_beside_an_autoscaler(chosen: KubernetesSettings) -> None:
    kinds = by_kind(rendered(wanted(chosen)))

    if chosen.autoscale and not chosen.kserve:
        assert "replicas" not in kinds["Deployment"]["spec"]
        assert kinds.keys() & {"HorizontalPodAutoscaler", "ScaledObject"}


def test_secrets_stand_in_secrets_alone() -> None:
    chosen = KubernetesSettings(
        api_keys="env:KEYS", secret_env={"TOKEN": "env:TOKEN"}, registry_username="env:USER", registry_password="env:PW"
    )
    hidden = {"env:KEYS": "s3cret-a", "env:TOKEN": "s3cret-b", "env:USER": "s3cret-c", "env:PW": "s3cret-d"}

    made = rendered(wanted(chosen), hidden.__getitem__)

    assert [each["metadata"]["name"] for each in made if each["kind"] == "Secret"] == ["iris", "iris-pull"]
    assert "s3cret" not in str([each for each in made if each["kind"] != "Secret"])
    [value] = [e for e in pod(by_kind(made))["containers"][0]["env"] if e["name"] == "TOKEN"]
    assert value["valueFrom"]["secretKeyRef"] == {"name": "iris", "key": "TOKEN"}


def test_canary_splits_by_weights() -> None:
    chosen = KubernetesSettings(route="gateway", strategy="canary")
    made = rendered(wanted(chosen, canary=10))
    backends = by_kind(made)["HTTPRoute"]["spec"]["rules"][0]["backendRefs"]
    services = {each["metadata"]["name"]: each["spec"]["selector"] for each in made if each["kind"] == "Service"}

    assert [(each["name"], each["weight"]) for each in backends] == [("iris", 90), ("iris-canary", 10)]
    assert services["iris"]["dray.dev/slot"] == "a"
    assert services["iris-canary"]["dray.dev/slot"] == "b"


def test_autoscaler_follows_the_slot() -> None:
    kinds = by_kind(rendered(wanted(KubernetesSettings(autoscale=Autoscale()), slot="b")))

    assert kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "iris-b"
    assert kinds["Deployment"]["metadata"]["name"] == "iris-b"


def test_gateway_of_others_is_used_and_not_made() -> None:
    kinds = of(route="gateway", gateway="infra/shared", host="iris.example.com")

    assert "Gateway" not in kinds
    assert kinds["HTTPRoute"]["spec"]["parentRefs"][0]["namespace"] == "infra"
    assert of(route="gateway")["Gateway"]["spec"]["gatewayClassName"] == "approuting-istio"


@given(st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="-._"), min_size=1, max_size=128))
@settings(deadline=None)
def test_every_name_has_a_label_with_room_for_endings(name: str) -> None:
    label = object_name(name)

    assert len(label + max(ENDINGS, key=len)) <= 63
    assert label == label.lower()
    assert label[0].isalpha()
    assert label[-1].isalnum()
    assert not label.endswith(ENDINGS)


def test_names_that_would_meet_are_told_apart() -> None:
    names = ["iris", "Iris", "iris-b", "iris-canary", "iris.", "1iris", "i" * 80, "i" * 81]

    assert len({object_name(name) for name in names}) == len(names)
    assert object_name("iris") == "iris"


def test_record_survives_its_annotation() -> None:
    live = served(KubernetesSettings(port=8000))
    record = Record(serial=3, slot="b", live=live, trial_slot="b", previous=live)
    made = by_kind(rendered(wanted(record=record)))["Service"]

    assert Record.parse(made["metadata"]["annotations"][RECORD], "iris") == record


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"replicas": 2, "autoscale": {}}, "exclude each other"),
        ({"strategy": "canary"}, "route=gateway"),
        ({"host": "x.example"}, "belong to a route"),
        ({"steps": [50, 10]}, "steps grow"),
        ({"env": {"DRAY_PORT": "1"}}, "the runtime's"),
        ({"autoscale": {"min": 3, "max": 2}}, "more than max"),
        ({"api_keys": "hunter2"}, "api_keys"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KubernetesSettings.model_validate(given)
