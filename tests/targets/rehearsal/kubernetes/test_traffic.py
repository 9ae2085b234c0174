"""What Services, Gateways and Ingresses do with requests."""

import base64
import ssl
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from targets.rehearsal.kubernetes import ports
from targets.rehearsal.kubernetes.traffic import Backend, Rule, Splitter, find, ordered
from tests.support.fake_runner import Image
from tests.support.kubernetes_server import Kube, deployment, service, settled, wait_until
from tests.support.stand_in_server import certificates

OLD, NEW = "registry.example/old:1", "registry.example/new:1"
GATEWAY = "gateway.networking.k8s.io/v1"


def gateway(port: int, **spec: Any) -> dict[str, Any]:
    listener = {"name": "http", "port": port, "protocol": "HTTP"}
    metadata = {"name": "gw", "namespace": "default"}
    spec = {"gatewayClassName": "approuting-istio", "listeners": [listener], **spec}
    return {"apiVersion": GATEWAY, "kind": "Gateway", "metadata": metadata, "spec": spec}


def route(*weights: int, **rule: Any) -> dict[str, Any]:
    backends = [
        {"name": name, "port": port, "weight": weight}
        for (name, port), weight in zip((("old", 18191), ("new", 18192)), weights, strict=False)
    ]
    metadata = {"name": "web", "namespace": "default"}
    spec = {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": backends, **rule}]}
    return {"apiVersion": GATEWAY, "kind": "HTTPRoute", "metadata": metadata, "spec": spec}


def both(kube: Kube) -> None:
    """Two deployments that say who they are, each behind a Service."""
    for name, image, port in (("old", OLD, 18181), ("new", NEW, 18182)):
        kube.runner.images[image] = Image(answering=lambda path, name=name: (200, f'"{name}"'.encode()))
        kube.apply(deployment(name, port=port, container={"image": image})).raise_for_status()
        kube.apply(service(name, port=port + 10)).raise_for_status()
    for name in ("old", "new"):
        settled(kube, name)


def address_of(kube: Kube) -> str:
    def known() -> bool:
        return bool(kube.get("Gateway", "gw").get("status", {}).get("addresses"))

    wait_until(known)
    return str(kube.get("Gateway", "gw")["status"]["addresses"][0]["value"])


def answers(url: str, count: int) -> Counter[str]:
    with httpx.Client(trust_env=False) as client:
        found = [client.get(url) for _ in range(count)]
    return Counter(str(each.json()) if each.status_code == 200 else str(each.status_code) for each in found)


def test_requests_are_split_by_weight(kube: Kube) -> None:
    both(kube)
    kube.apply(gateway(18201)).raise_for_status()
    kube.apply(route(90, 10)).raise_for_status()
    url = f"http://{address_of(kube)}:18201/v2"

    assert answers(url, 100) == {"old": 90, "new": 10}
    kube.apply(route(0, 100)).raise_for_status()
    assert answers(url, 10) == {"new": 10}


def test_certificate_that_comes_after_its_gateway_is_shown(kube: Kube, tmp_path: Path) -> None:
    both(kube)
    made = gateway(18443)
    tls = {"mode": "Terminate", "certificateRefs": [{"name": "late"}]}
    made["spec"]["listeners"] = [{**made["spec"]["listeners"][0], "protocol": "HTTPS", "tls": tls}]
    kube.apply(made).raise_for_status()
    kube.apply(route(100, 0)).raise_for_status()
    address = address_of(kube)
    assert listener_condition(kube, "ResolvedRefs") == "False"

    folder = tmp_path / "tls"
    folder.mkdir()
    ca, *files = (each.read_bytes() for each in certificates(folder))
    data = {name: base64.b64encode(each).decode() for name, each in zip(("tls.crt", "tls.key"), files, strict=True)}
    metadata = {"name": "late", "namespace": "default"}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}
    kube.apply(secret).raise_for_status()

    wait_until(lambda: listener_condition(kube, "Programmed") == "True")
    trusting = ssl.create_default_context(cadata=ca.decode())
    trusting.check_hostname = False
    assert httpx.get(f"https://{address}:18443/v2", verify=trusting, trust_env=False).json() == "old"


def listener_condition(kube: Kube, kind: str) -> str:
    [listener] = kube.get("Gateway", "gw")["status"]["listeners"]
    return next(str(each["status"]) for each in listener["conditions"] if each["type"] == kind)


def test_no_request_is_lost_while_weights_change(kube: Kube) -> None:
    both(kube)
    kube.apply(gateway(18202))
    kube.apply(route(100, 0))
    url, stop, seen = f"http://{address_of(kube)}:18202/v2", threading.Event(), Counter[str]()

    def load() -> None:
        while not stop.is_set():
            seen.update(answers(url, 10))

    thread = threading.Thread(target=load)
    thread.start()
    for new in (10, 50, 0, 100):
        kube.apply(route(100 - new, new)).raise_for_status()
        wanted = seen.total() + 20
        wait_until(lambda wanted=wanted: seen.total() >= wanted)
    stop.set()
    thread.join()
    assert set(seen) == {"old", "new"}


def test_conditions_say_what_holds_of_gateway_and_route(kube: Kube) -> None:
    both(kube)
    kube.apply(gateway(18203))
    kube.apply(route(1))
    address_of(kube)

    def accepted() -> dict[str, str]:
        parents = kube.get("HTTPRoute", "web").get("status", {}).get("parents") or [{"conditions": []}]
        return {each["type"]: each["status"] for each in parents[0]["conditions"]}

    wait_until(lambda: accepted() == {"Accepted": "True", "ResolvedRefs": "True"})
    status = kube.get("Gateway", "gw")["status"]
    assert {each["type"]: each["status"] for each in status["conditions"]} == {
        "Accepted": "True", "Programmed": "True",
    }  # fmt: skip
    assert status["listeners"][0]["attachedRoutes"] == 1
    assert kube.apply(gateway(18203)).status_code == 200
    wrong = route(1)
    wrong["spec"]["rules"][0]["backendRefs"][0]["name"] = "none"
    kube.apply(wrong)
    wait_until(lambda: accepted() == {"Accepted": "True", "ResolvedRefs": "False"})
    assert answers(f"http://{address_of(kube)}:18203/", 2) == {"500": 2}


def test_gateway_of_an_unknown_class_is_nobodys(kube: Kube) -> None:
    kube.apply(gateway(18204, gatewayClassName="others")).raise_for_status()
    kube.apply(service())

    assert "status" not in kube.get("Gateway", "gw")


def test_header_sends_a_request_elsewhere(kube: Kube) -> None:
    both(kube)
    kube.apply(gateway(18205))
    body = route(1)
    match = {"headers": [{"name": "X-Canary", "value": "yes"}]}
    backend = {"name": "new", "port": 18192}
    body["spec"]["rules"].append({"matches": [match], "backendRefs": [backend]})
    kube.apply(body).raise_for_status()
    url = f"http://{address_of(kube)}:18205/"

    def asked(**headers: str) -> str:
        return str(httpx.get(url, headers=headers, trust_env=False).json())

    assert (asked(), asked(**{"x-canary": "yes"})) == ("old", "new")


def test_ingress_leads_to_its_service(kube: Kube) -> None:
    both(kube)
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "old", "port": {"name": "http"}}}}
    body = {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": "model.example", "http": {"paths": [path]}}]},
    }  # fmt: skip
    kube.apply(body).raise_for_status()
    wait_until(lambda: kube.get("Ingress", "web").get("status"))

    found = kube.get("Ingress", "web")
    moved = dict(
        each.split("=")
        for each in found["metadata"].get("annotations", {}).get("rehearsal.dray.dev/ports", "80=80").split(",")
    )
    url = f"http://{found['status']['loadBalancer']['ingress'][0]['ip']}:{moved['80']}/x"
    with httpx.Client(trust_env=False) as client:
        assert client.get(url, headers={"Host": "model.example"}).json() == "old"
        assert client.get(url, headers={"Host": "other.example"}).status_code == 404


def test_service_without_ready_pods_takes_no_connection(kube: Kube) -> None:
    kube.apply(service("web", port=18193))
    address = kube.get("Service", "web")["spec"]["clusterIP"]

    def refused() -> bool:
        try:
            httpx.get(f"http://{address}:18193/", trust_env=False)
        except (httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError):
            return True
        return False

    wait_until(refused)


def test_service_keeps_its_address_and_takes_turns(kube: Kube) -> None:
    both(kube)
    body = service("old", port=18191)
    body["spec"]["selector"] = {"app.kubernetes.io/managed-by": "dray"}
    body["spec"]["ports"][0]["targetPort"] = "http"
    before = kube.get("Service", "old")["spec"]["clusterIP"]

    assert kube.apply(body).json()["spec"]["clusterIP"] == before


def test_port_that_this_user_may_not_open_has_another_in_its_place(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_first_free_port", lambda: 1024)
    kube.runner.images[OLD] = Image(answering=lambda path: (200, b'"old"'))
    kube.apply(deployment("old", port=18181, container={"image": OLD}))
    kube.apply(service("old", port=80))
    settled(kube, "old")
    wait_until(lambda: kube.get("Service", "old")["metadata"].get("annotations"))

    found = kube.get("Service", "old")

    assert found["metadata"]["annotations"] == {"rehearsal.dray.dev/ports": "80=8080"}
    assert answers(f"http://{found['spec']['clusterIP']}:8080/", 2) == {"old": 2}


@pytest.mark.parametrize("weights", [(90, 10), (1, 1), (5, 0), (1, 2)])
def test_shares_are_exact_over_each_round(weights: tuple[int, int]) -> None:
    backends = tuple(Backend(("default", str(at)), 1, weight) for at, weight in enumerate(weights))
    rule, splitter = Rule(("r",), backends=backends), Splitter()

    chosen = Counter(splitter.choose(rule) for _ in range(sum(weights) * 3))

    assert [chosen[each] for each in backends] == [3 * weight for weight in weights]


def test_more_exact_rules_come_first() -> None:
    rules = ordered(
        [
            Rule(("prefix",), path="/v2"),
            Rule(("all",)),
            Rule(("exact",), path="/v2", exact=True),
            Rule(("host",), hosts=("a.example",)),
        ]
    )

    def found(host: str, path: str) -> str:
        rule = find(rules, host, path, "GET", {}, {})
        return rule.identity[0] if rule else ""

    assert [found("x", "/v2"), found("x", "/v2/models"), found("x", "/v21"), found("a.example", "/v2")] == [
        "exact", "prefix", "all", "host",
    ]  # fmt: skip
