"""Objects by plain requests: made, listed, changed, deleted, and refused in the real server's words."""

from typing import Any

import pytest
from kubernetes import client

from targets.rehearsal.kubernetes.shapes import newest_version
from tests.support.kubernetes_server import Kube, deployment, path_of, service, settled, wait_until

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"Content-Type": "application/merge-patch+json"}
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


def config_map(name: str = "c", **changed: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **changed}, "data": {"a": "1"}}


def test_official_client_makes_lists_changes_and_deletes(kube: Kube) -> None:
    core = client.CoreV1Api(kube.api())
    core.create_namespaced_config_map("default", config_map(labels={"team": "a"}))
    core.create_namespaced_config_map("default", config_map("d"))

    listed = core.list_namespaced_config_map("default", label_selector="team in (a, b)").items
    changed = core.patch_namespaced_config_map("c", "default", {"data": {"b": "2"}})
    core.delete_namespaced_config_map("c", "default")

    assert [each.metadata.name for each in listed] == ["c"]
    assert changed.data == {"a": "1", "b": "2"}
    assert [each.metadata.name for each in core.list_namespaced_config_map("default").items] == ["d"]


def test_name_is_generated(kube: Kube) -> None:
    with kube.http() as http:
        body = config_map()
        body["metadata"] = {"generateName": "c-"}
        names = {http.post(CONFIG_MAPS, json=body).json()["metadata"]["name"] for _ in range(3)}

    assert len(names) == 3
    assert all(name.startswith("c-") and len(name) == 7 for name in names)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason", "words"),
    [
        ("GET", f"{CONFIG_MAPS}/none", None, 404, "NotFound", 'configmaps "none" not found'),
        ("GET", "/apis/apps/v1/namespaces/default/daemonsets", None, 404, "NotFound", "could not find the requested"),
        ("POST", "/api/v1/configmaps", config_map(), 405, "MethodNotAllowed", "does not allow this method"),
        ("POST", "/api/v1/namespaces/none/configmaps", config_map(), 404, "NotFound", 'namespaces "none" not found'),
        ("POST", CONFIG_MAPS, config_map("Not_a_name"), 422, "Invalid", "a lowercase RFC 1123 subdomain must consist"),
        ("POST", CONFIG_MAPS, {"kind": "ConfigMap"}, 400, "BadRequest", 'no kind "ConfigMap" is registered'),
        ("POST", CONFIG_MAPS, config_map(labels={"a": "-"}), 422, "Invalid", "a valid label must be an empty string"),
        ("POST", CONFIG_MAPS, config_map(namespace="kube-system"), 400, "BadRequest", "namespace of the provided"),
    ],
)  # fmt: skip
def test_refusals(kube: Kube, method: str, path: str, body: Any, status: int, reason: str, words: str) -> None:
    with kube.http() as http:
        answer = http.request(method, path, json=body)

    shown = answer.json()
    assert (answer.status_code, shown["kind"], shown["reason"], shown["code"]) == (status, "Status", reason, status)
    assert words in shown["message"]


def test_second_of_a_name_exists_already(kube: Kube) -> None:
    with kube.http() as http:
        http.post(CONFIG_MAPS, json=config_map()).raise_for_status()
        answer = http.post(CONFIG_MAPS, json=config_map())

    assert answer.json()["message"] == 'configmaps "c" already exists'
    assert (answer.status_code, answer.json()["reason"]) == (409, "AlreadyExists")


def test_unknown_field_is_dropped_with_a_warning_or_refused(kube: Kube) -> None:
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    path = "/apis/apps/v1/namespaces/default/deployments"
    field = "spec.template.spec.containers[0].livenessProb"
    with kube.http() as http:
        strict = http.post(path, json=body, params={"fieldValidation": "Strict"})
        warned = http.post(path, json=body)

    assert strict.status_code == 400
    assert strict.json()["message"] == (
        f'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "{field}"'
    )
    assert warned.status_code == 201
    assert f'299 - "unknown field \\"{field}\\""' in warned.headers["warning"]
    assert "livenessProb" not in warned.text


def test_wrong_type_is_refused_as_go_words_it(kube: Kube) -> None:
    body = deployment()
    body["spec"]["replicas"] = "two"
    with kube.http() as http:
        answer = http.post("/apis/apps/v1/namespaces/default/deployments", json=body)

    assert answer.status_code == 400
    assert answer.json()["message"] == (
        'Deployment in version "v1" cannot be handled as a Deployment: '
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
    )


def test_deployment_that_makes_no_sense_is_refused_with_all_causes(kube: Kube) -> None:
    body = deployment(
        container={"volumeMounts": [{"name": "keys", "mountPath": "/x"}], "image": ""},
        spec={"selector": {"matchLabels": {"app": "other"}}},
    )

    shown = kube.apply(body).json()

    assert shown["message"].startswith('Deployment.apps "web" is invalid: [spec.template.metadata.labels: ')
    assert [(each["field"], each["reason"]) for each in shown["details"]["causes"]] == [
        ("spec.template.metadata.labels", "FieldValueInvalid"),
        ("spec.template.spec.containers[0].image", "FieldValueRequired"),
        ("spec.template.spec.containers[0].volumeMounts[0].name", "FieldValueNotFound"),
    ]


def test_selector_cannot_be_changed(kube: Kube) -> None:
    kube.apply(deployment())
    body = deployment()
    body["spec"]["selector"]["matchLabels"]["more"] = "x"
    body["spec"]["template"]["metadata"]["labels"] = {**body["spec"]["selector"]["matchLabels"]}

    answer = kube.apply(body)

    assert answer.status_code == 422
    assert answer.json()["details"]["causes"][0]["message"].endswith("field is immutable")


def test_strategic_patch_merges_lists_by_their_keys(kube: Kube) -> None:
    kube.apply(deployment(container={"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}))
    container = {"name": "model", "env": [{"name": "B", "$patch": "delete"}, {"name": "C", "value": "3"}]}
    with kube.http() as http:
        path = "/apis/apps/v1/namespaces/default/deployments/web"
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        answer = http.patch(path, json=body, headers=STRATEGIC)

    (found,) = answer.json()["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in found["env"]] == ["A", "C"]
    assert found["ports"]


def test_json_patch_is_done_in_order_or_not_at_all(kube: Kube) -> None:
    with kube.http() as http:
        http.post(CONFIG_MAPS, json=config_map()).raise_for_status()
        steps = [
            {"op": "add", "path": "/data/x~1y", "value": "2"},
            {"op": "move", "from": "/data/a", "path": "/data/b"},
        ]
        done = http.patch(f"{CONFIG_MAPS}/c", json=steps, headers=JSON_PATCH)
        refused = http.patch(
            f"{CONFIG_MAPS}/c", json=[*steps, {"op": "remove", "path": "/data/none"}], headers=JSON_PATCH
        )

    assert done.json()["data"] == {"x/y": "2", "b": "1"}
    assert refused.status_code == 422
    assert kube.get("ConfigMap", "c")["data"] == {"x/y": "2", "b": "1"}


def test_replacing_an_old_version_is_a_conflict(kube: Kube) -> None:
    with kube.http() as http:
        first = http.post(CONFIG_MAPS, json=config_map()).json()
        http.patch(f"{CONFIG_MAPS}/c", json={"data": {"b": "2"}}, headers=MERGE)
        answer = http.put(f"{CONFIG_MAPS}/c", json=first)

    assert (answer.status_code, "the object has been modified" in answer.json()["message"]) == (409, True)


def test_status_and_the_rest_are_written_apart(kube: Kube) -> None:
    kube.apply(service())
    with kube.http() as http:
        path = path_of(service())
        status = {"status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}, "spec": {"type": "NodePort"}}
        http.patch(path, json=status, headers=MERGE).raise_for_status()
        assert kube.get("Service", "web").get("status") is None
        http.patch(f"{path}/status", json=status, headers=MERGE).raise_for_status()

    found = kube.get("Service", "web")
    assert (found["spec"]["type"], found["status"]) == ("NodePort", status["status"])


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_what_depends_on_an_object_goes_with_it(kube: Kube, policy: str) -> None:
    kube.apply(deployment())
    settled(kube)
    with kube.http() as http:
        http.request("DELETE", path_of(deployment()), json={"propagationPolicy": policy}).raise_for_status()

    wait_until(lambda: not any(kube.select(kind) for kind in ("Deployment", "ReplicaSet", "Pod")))
    assert not kube.runner.runs


def test_orphans_are_left(kube: Kube) -> None:
    kube.apply(deployment())
    settled(kube)
    with kube.http() as http:
        http.delete(path_of(deployment()), params={"propagationPolicy": "Orphan"}).raise_for_status()

    (left,) = kube.select("ReplicaSet")
    assert left["metadata"]["ownerReferences"] == []
    assert len(kube.select("Pod")) == 2


def test_namespace_goes_with_everything_in_it(kube: Kube) -> None:
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}).raise_for_status()
    kube.apply(deployment(namespace="team")).raise_for_status()
    wait_until(lambda: len(kube.select("Pod", namespace="team")) == 2)
    with kube.http() as http:
        http.delete("/api/v1/namespaces/team").raise_for_status()
        wait_until(lambda: http.get("/api/v1/namespaces/team").status_code == 404)

    wait_until(lambda: not kube.runner.runs)


def test_restricted_namespace_warns_of_pods_and_does_not_let_them_in(kube: Kube) -> None:
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": labels}})

    warning = kube.apply(deployment(namespace="team")).headers["warning"]

    assert 'would violate PodSecurity \\"restricted:latest\\": allowPrivilegeEscalation != false' in warning
    wait_until(lambda: any(each["reason"] == "FailedCreate" for each in kube.select("Event", namespace="team")))
    conditions = kube.get("Deployment", "web", "team")["status"]["conditions"]
    assert "ReplicaFailure" in {each["type"] for each in conditions}


def test_request_without_the_token_is_unauthorized(kube: Kube) -> None:
    for token in (None, "another"):
        with kube.http(token=token) as http:
            answer = http.get("/api/v1/pods")
            assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")


def test_pages_of_a_list_hold_everything_once(kube: Kube) -> None:
    for number in range(5):
        kube.apply(service(f"s{number}"))
    names, going = [], ""
    with kube.http() as http:
        while True:
            page = http.get("/api/v1/services", params={"limit": "2", "continue": going}).json()
            names += [each["metadata"]["name"] for each in page["items"]]
            going = page["metadata"].get("continue", "")
            if not going:
                break

    assert names == [f"s{number}" for number in range(5)]


def test_version_is_that_of_the_newest_schemas(kube: Kube) -> None:
    version = client.VersionApi(kube.api()).get_code()

    assert version.git_version == f"v{newest_version()}+dray.rehearsal"


def test_every_kind_is_discovered_with_its_verbs(kube: Kube) -> None:
    with kube.http() as http:
        groups = {each["name"]: each["preferredVersion"]["groupVersion"] for each in http.get("/apis").json()["groups"]}
        apps = http.get("/apis/apps/v1").json()["resources"]
        opened = http.get("/openapi/v3/apis/apps/v1").json()

    assert groups["gateway.networking.k8s.io"] == "gateway.networking.k8s.io/v1"
    assert {"deployments", "deployments/scale", "deployments/status", "replicasets"} <= {each["name"] for each in apps}
    assert "io.k8s.api.core.v1.Container" in opened["components"]["schemas"]
