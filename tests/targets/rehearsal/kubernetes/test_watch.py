"""Watches, as clients keep up with a cluster by them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from kubernetes import client, watch

from tests.support.kubernetes_server import Kube, deployment, service, settled, wait_until

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@contextmanager
def watching(kube: Kube, path: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
    """Events as they come, in a list that grows."""
    seen: list[dict[str, Any]] = []
    with kube.http() as http, http.stream("GET", path, params={"watch": "1", **query}) as answer:

        def follow() -> None:
            try:
                seen.extend(json.loads(line) for line in answer.iter_lines())
            except (httpx.HTTPError, RuntimeError):
                pass

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        yield seen


def kinds(seen: list[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in seen]


def test_watch_of_the_official_client_follows_a_rollout(kube: Kube) -> None:
    kube.apply(deployment())
    apps, follower = client.AppsV1Api(kube.api()), watch.Watch()
    counts = []
    for event in follower.stream(
        apps.list_namespaced_deployment, "default", field_selector="metadata.name=web", timeout_seconds=20
    ):
        counts.append(event["object"].status.available_replicas or 0)
        if counts[-1] == 2:
            follower.stop()

    assert counts == sorted(counts)


def test_watch_from_a_listed_version_misses_and_repeats_nothing(kube: Kube) -> None:
    kube.apply(service("one"))
    with kube.http() as http:
        version = http.get("/api/v1/namespaces/default/services").json()["metadata"]["resourceVersion"]
    kube.apply(service("two"))

    with watching(kube, "/api/v1/namespaces/default/services", resourceVersion=version) as seen:
        kube.apply(service("three"))
        wait_until(lambda: len(seen) >= 2)

    assert [(each["type"], each["object"]["metadata"]["name"]) for each in seen[:2]] == [
        ("ADDED", "two"), ("ADDED", "three"),
    ]  # fmt: skip


def test_object_that_leaves_a_selection_is_gone_for_its_watcher(kube: Kube) -> None:
    body = service("one")
    body["metadata"]["labels"] = {"team": "a"}
    with watching(kube, "/api/v1/namespaces/default/services", labelSelector="team=a") as seen:
        kube.apply(body)
        wait_until(lambda: len(seen) >= 1)
        body["metadata"]["labels"] = {"team": "b"}
        kube.apply(body)
        wait_until(lambda: len(seen) >= 2)

    assert kinds(seen) == ["ADDED", "DELETED"]


def test_initial_events_end_with_a_bookmark(kube: Kube) -> None:
    kube.apply(service("one"))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}

    with watching(kube, "/api/v1/namespaces/default/services", **query) as seen:
        wait_until(lambda: len(seen) >= 2)

    assert kinds(seen) == ["ADDED", "BOOKMARK"]
    assert seen[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_watch_ends_when_its_time_is_over(kube: Kube) -> None:
    begun = time.monotonic()
    with kube.http() as http:
        answer = http.get(DEPLOYMENTS, params={"watch": "1", "timeoutSeconds": "1"})

    assert (answer.status_code, answer.content) == (200, b"")
    assert 0.9 < time.monotonic() - begun < 5


def test_version_that_is_forgotten_has_expired(kube: Kube) -> None:
    kube.faults.set(("gone-watch",))
    with kube.http() as http:
        line = http.get(DEPLOYMENTS, params={"watch": "1", "resourceVersion": "1"}).text

    event = json.loads(line)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_watch_can_be_cut(kube: Kube) -> None:
    kube.faults.set(("cut-watch:1",))

    with kube.http() as http, pytest.raises(httpx.RemoteProtocolError):
        http.get(DEPLOYMENTS, params={"watch": "1"})


def test_watch_of_a_deleted_object_says_so(kube: Kube) -> None:
    kube.apply(deployment())
    settled(kube)
    with watching(kube, DEPLOYMENTS, fieldSelector="metadata.name=web") as seen, kube.http() as http:
        wait_until(lambda: seen)
        http.delete(f"{DEPLOYMENTS}/web").raise_for_status()
        wait_until(lambda: seen[-1]["type"] == "DELETED")

    assert {each["object"]["metadata"]["name"] for each in seen} == {"web"}
