"""Deployments roll out as a cluster's controllers do it."""

import threading
from typing import Any

import httpx

from tests.support.fake_runner import Image
from tests.support.kubernetes_server import Kube, deployment, service, settled, wait_until

NEW = "registry.example/fake@sha256:" + "2" * 64
SLEEP = {"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}


def revisions(kube: Kube) -> dict[str, int]:
    """Pods wanted, by the number of their revision."""
    found = kube.select("ReplicaSet")
    return {
        each["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: each["spec"]["replicas"] for each in found
    }


def progressing(kube: Kube, name: str = "web") -> dict[str, Any]:
    """The condition of the roll-out."""
    conditions = kube.get("Deployment", name).get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Progressing"), {})


def test_new_template_gets_a_revision_and_the_old_one_is_kept(kube: Kube) -> None:
    kube.apply(deployment())
    settled(kube)
    kube.apply(deployment(container={"image": NEW}))

    found = settled(kube)

    assert revisions(kube) == {"1": 0, "2": 2}
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert progressing(kube)["reason"] == "NewReplicaSetAvailable"
    wait_until(lambda: {pod["spec"]["containers"][0]["image"] for pod in kube.select("Pod")} == {NEW})


def test_old_template_again_is_the_newest_revision(kube: Kube) -> None:
    kube.apply(deployment())
    settled(kube)
    kube.apply(deployment(container={"image": NEW}))
    settled(kube)
    kube.apply(deployment())
    settled(kube)

    assert revisions(kube) == {"2": 0, "3": 2}


def test_service_loses_no_request_while_a_deployment_rolls_out(kube: Kube) -> None:
    kube.apply(deployment(replicas=3, port=18081, container=SLEEP))
    kube.apply(service(port=18091))
    settled(kube)
    address = kube.get("Service", "web")["spec"]["clusterIP"]
    stop, statuses, least = threading.Event(), list[int](), list[int]()

    def load() -> None:
        with httpx.Client(trust_env=False, headers={"Connection": "close"}) as client:
            while not stop.is_set():
                statuses.append(client.get(f"http://{address}:18091/v2").status_code)

    def look() -> None:
        while not stop.is_set():
            least.append(kube.get("Deployment", "web")["status"].get("availableReplicas", 0))

    threads = [threading.Thread(target=work) for work in (load, load, look)]
    for thread in threads:
        thread.start()
    kube.apply(deployment(replicas=3, port=18081, container={**SLEEP, "image": NEW}))
    settled(kube)
    wait_until(lambda: len(kube.select("Pod")) == 3)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
    assert len(statuses) > 50
    assert min(least) >= 3


def test_revision_that_is_never_ready_leaves_the_old_pods_and_meets_its_deadline(kube: Kube) -> None:
    kube.apply(deployment())
    settled(kube)
    kube.runner.images[NEW] = Image(answering=lambda path: (503, b"{}"))
    kube.apply(deployment(container={"image": NEW}, spec={"progressDeadlineSeconds": 2}))

    wait_until(lambda: progressing(kube).get("reason") == "ProgressDeadlineExceeded")

    assert progressing(kube)["status"] == "False"
    assert revisions(kube) == {"1": 2, "2": 1}
    assert kube.get("Deployment", "web")["status"]["availableReplicas"] == 2


def test_recreate_ends_the_old_pods_first(kube: Kube) -> None:
    recreate = {"strategy": {"type": "Recreate"}}
    kube.apply(deployment(spec=recreate))
    settled(kube)
    first = {pod["metadata"]["name"] for pod in kube.select("Pod")}
    kube.apply(deployment(spec=recreate, container={"image": NEW}))

    settled(kube)

    order = [each.image for each in kube.runner.started]
    assert order == sorted(order)
    assert not first & {pod["metadata"]["name"] for pod in kube.select("Pod")}


def test_autoscaler_raises_replicas_to_its_bound(kube: Kube) -> None:
    body = deployment()
    del body["spec"]["replicas"]
    kube.apply(body)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    kube.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 5},
        }
    ).raise_for_status()

    wait_until(lambda: kube.get("Deployment", "web").get("status", {}).get("availableReplicas") == 3)

    assert kube.apply(body).json()["spec"]["replicas"] == 3


def test_budget_counts_what_may_go(kube: Kube) -> None:
    kube.apply(deployment(replicas=3))
    selector = {"matchLabels": {"app.kubernetes.io/instance": "web"}}
    kube.apply(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"minAvailable": 2, "selector": selector},
        }
    ).raise_for_status()

    wait_until(lambda: kube.get("PodDisruptionBudget", "web").get("status", {}).get("disruptionsAllowed") == 1)


def test_only_as_many_old_revisions_are_kept_as_wanted(kube: Kube) -> None:
    for number in range(5):
        kube.apply(deployment(container={"image": f"registry.example/fake:{number}"}, spec={"revisionHistoryLimit": 2}))
        settled(kube)

    wait_until(lambda: set(revisions(kube)) == {"3", "4", "5"})


def test_deployments_of_dray_are_counted_until_they_are_gone(kube: Kube) -> None:
    kube.apply(deployment())
    kube.apply(deployment("other"))
    settled(kube)
    with kube.http() as http:
        for name in ("web", "other"):
            http.delete(f"/apis/apps/v1/namespaces/default/deployments/{name}").raise_for_status()

    wait_until(lambda: not kube.select("Pod") and not kube.select("ReplicaSet"))

    assert kube.held == [1, 2, 1, 0]
    assert list(kube.runner.runs) == []
