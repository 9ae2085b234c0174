"""Whatever is sent, the answer is one that the API server gives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kubernetes_server import Kube, deployment, kube_server, path_of, service

WEIRD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 70000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_POD = {"matchLabels": {"a": "b"}}
_GATEWAY = "gateway.networking.k8s.io/v1"
_TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
_MATCH = {"path": {"type": "Exact", "value": "/x"}, "headers": [{"name": "a", "value": "b"}]}
_PATH = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}
_SPECS: dict[tuple[str, str], dict[str, Any]] = {
    ("autoscaling/v2", "HorizontalPodAutoscaler"): {"scaleTargetRef": _TARGET, "minReplicas": 2, "maxReplicas": 3},
    ("policy/v1", "PodDisruptionBudget"): {"minAvailable": "50%", "selector": _POD},
    ("networking.k8s.io/v1", "NetworkPolicy"): {"podSelector": _POD, "ingress": [{"ports": [{"port": "http"}]}]},
    ("networking.k8s.io/v1", "Ingress"): {"rules": [{"host": "a.example", "http": {"paths": [_PATH]}}]},
    (_GATEWAY, "Gateway"): {
        "gatewayClassName": "none", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
    },
    (_GATEWAY, "HTTPRoute"): {
        "parentRefs": [{"name": "web"}],
        "rules": [{"matches": [_MATCH], "backendRefs": [{"name": "web", "port": 80, "weight": 9}]}],
    },
    ("keda.sh/v1alpha1", "ScaledObject"): {"scaleTargetRef": {"name": "web"}, "triggers": [{"type": "cpu"}]},
}  # fmt: skip
BODIES = (
    *(
        {**body, "metadata": {name: each for name, each in body["metadata"].items() if name != "namespace"}}
        for body in (
            deployment(
                container={"env": [{"name": "A", "value": "1"}], "resources": {"limits": {"cpu": "1"}}},
                pod={"volumes": [{"name": "tmp", "emptyDir": {}}]},
            ),
            service(),
        )
    ),
    *(
        {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, "spec": spec}
        for (version, kind), spec in _SPECS.items()
    ),
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web"}, "stringData": {"a": "b"}, "type": "Opaque"},
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    with kube_server(Path(tmp_path_factory.mktemp("kube"))) as kube:
        yield kube


@pytest.fixture(scope="module")
def http(shared: Kube) -> Iterator[httpx.Client]:
    for each in BODIES:
        shared.apply(each).raise_for_status()
    with shared.http() as client:
        yield client


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all that a body holds."""
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in entries:
        yield from places(each, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {name: replaced(each, path[1:], new) if name == path[0] else each for name, each in value.items()}
    return [replaced(each, path[1:], new) if at == path[0] else each for at, each in enumerate(value)]


broken = st.sampled_from(BODIES).flatmap(
    lambda body: st.tuples(st.just(body), st.sampled_from(list(places(body))), WEIRD).map(lambda each: replaced(*each))
)


@settings(deadline=None, max_examples=200)
@given(body=broken, way=st.sampled_from(["POST", "APPLY", "MERGE"]))
def test_body_that_is_broken_anywhere_is_answered(http: httpx.Client, body: Any, way: str) -> None:
    kind = next((each for each in BODIES if each["kind"] == body.get("kind")), BODIES[0])
    path, query = path_of(kind), {"dryRun": "All", "fieldManager": "t"}
    if way == "POST":
        # Where it is not yet, while a patch meets what is there.
        new = path.rpartition("/")[0].replace("/default/", "/kube-public/")
        answer = http.post(new, json=body, params=query)
    else:
        content = "application/apply-patch+yaml" if way == "APPLY" else "application/merge-patch+json"
        answer = http.patch(path, json=body, headers={"Content-Type": content}, params=query)

    shown = answer.json()
    assert answer.status_code < 500 or shown["message"].startswith("failed to create typed patch object"), shown
    assert shown["kind"] in ("Status", kind["kind"])
