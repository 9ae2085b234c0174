"""Server-side apply over HTTP: what is stored, who owns it, and what is refused in which words."""

import copy

from tests.support.kubernetes_server import Kube, deployment, settled


def test_first_apply_creates_with_defaults_and_one_owner(kube: Kube) -> None:
    answer = kube.apply(deployment())

    found = answer.json()
    (entry,) = found["metadata"]["managedFields"]
    assert (answer.status_code, entry["manager"], entry["operation"]) == (201, "dray", "Apply")
    assert found["spec"]["progressDeadlineSeconds"] == 600
    assert "f:progressDeadlineSeconds" not in entry["fieldsV1"]["f:spec"]
    assert {"uid", "resourceVersion", "creationTimestamp"} <= found["metadata"].keys()


def test_same_apply_again_changes_no_version(kube: Kube) -> None:
    kube.apply(deployment())
    before = settled(kube)["metadata"]

    after = kube.apply(deployment()).json()["metadata"]

    assert (after["resourceVersion"], after["generation"]) == (before["resourceVersion"], 1)


def test_replicas_that_are_never_sent_stay_as_somebody_scaled_them(kube: Kube) -> None:
    body = deployment()
    del body["spec"]["replicas"]
    kube.apply(body)
    with kube.http() as http:
        path = "/apis/apps/v1/namespaces/default/deployments/web/scale"
        merge = {"Content-Type": "application/merge-patch+json"}
        http.patch(path, json={"spec": {"replicas": 5}}, headers=merge).raise_for_status()
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]

    assert kube.apply(body).json()["spec"]["replicas"] == 5


def test_field_of_another_manager_is_refused_and_taken_by_force(kube: Kube) -> None:
    kube.apply(deployment(), manager="team")
    changed = deployment(replicas=3)

    refused = kube.apply(changed)
    forced = kube.apply(changed, force="true")

    assert refused.status_code == 409
    assert refused.json()["message"] == 'Apply failed with 1 conflict: conflict with "team": .spec.replicas'
    assert refused.json()["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "team"', "field": ".spec.replicas"}
    ]
    assert (forced.status_code, forced.json()["spec"]["replicas"]) == (200, 3)
    owners = {each["manager"]: each["fieldsV1"]["f:spec"] for each in forced.json()["metadata"]["managedFields"]}
    assert "f:replicas" in owners["dray"]
    assert "f:replicas" not in owners["team"]


def test_edit_by_hand_conflicts_by_its_version(kube: Kube) -> None:
    kube.apply(deployment())
    with kube.http() as http:
        path = "/apis/apps/v1/namespaces/default/deployments/web"
        merge = {"Content-Type": "application/merge-patch+json"}
        body = {"spec": {"replicas": 4}}
        http.patch(path, json=body, headers=merge, params={"fieldManager": "kubectl-edit"}).raise_for_status()

    assert kube.apply(deployment()).json()["message"] == (
        'Apply failed with 1 conflict: conflict with "kubectl-edit" using apps/v1: .spec.replicas'
    )


def test_field_that_is_applied_no_more_goes_back_to_its_default(kube: Kube) -> None:
    kube.apply(deployment(spec={"minReadySeconds": 3, "revisionHistoryLimit": 2}))

    spec = kube.apply(deployment()).json()["spec"]

    assert ("minReadySeconds" in spec, spec["revisionHistoryLimit"]) == (False, 10)


def test_dry_run_answers_and_keeps_nothing(kube: Kube) -> None:
    answer = kube.apply(deployment(), dryRun="All")

    assert (answer.status_code, answer.json()["spec"]["replicas"]) == (201, 2)
    assert kube.select("Deployment") == []


def test_unknown_field_is_refused_in_the_words_of_typed_patches(kube: Kube) -> None:
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}

    answer = kube.apply(body)

    assert answer.status_code == 500
    assert answer.json()["message"] == (
        "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): "
        '.spec.template.spec.containers[name="model"].livenessProb: field not declared in schema'
    )


def test_wrong_type_and_duplicate_item_are_both_named(kube: Kube) -> None:
    body = deployment()
    body["spec"]["replicas"] = "two"
    body["spec"]["template"]["spec"]["containers"] *= 2

    message = kube.apply(body).json()["message"]

    assert ".spec.replicas: expected numeric (int or float), got two" in message
    assert '.spec.template.spec.containers: duplicate entries for key [name="model"]' in message


def test_apply_needs_a_manager(kube: Kube) -> None:
    answer = kube.apply(deployment(), manager="")

    assert (answer.status_code, answer.json()["message"]) == (
        422,
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    )


def test_apply_of_a_version_that_has_passed_is_stale(kube: Kube) -> None:
    first = kube.apply(deployment()).json()
    kube.apply(deployment(replicas=3))
    body = copy.deepcopy(deployment(replicas=1))
    body["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]

    answer = kube.apply(body)

    assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")
    assert "the object has been modified" in answer.json()["message"]


def test_item_of_another_manager_stays_in_a_list(kube: Kube) -> None:
    kube.apply(deployment(container={"env": [{"name": "A", "value": "1"}]}))
    extra = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"name": "model", "env": [{"name": "B", "value": "2"}]}]}}},
    }
    kube.apply(extra, manager="injector").raise_for_status()

    found = kube.apply(deployment(container={"env": [{"name": "C", "value": "3"}]})).json()

    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert {each["name"] for each in container["env"]} == {"B", "C"}
