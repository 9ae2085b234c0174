"""Updates under steady load: whatever the strategy and however it ends, no request fails."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from packager.core.artifact import ModelPackage
from packager.core.errors import SmokeTestFailed
from packager.core.smoke import SmokeReport
from packager.smoke import run_smoke
from targets.aks import AksSettings
from tests.contract_suites.target_suite import NAME, carry, put
from tests.support.aks_cloud import AksCloud
from tests.support.packages import logistic_model, make_package
from tests.support.traffic import steady_requests

STRATEGIES = {
    "rolling": AksSettings(threads=1, replicas=2),
    "blue-green": AksSettings(threads=1, strategy="blue-green", drain_s=0.5),
    "canary": AksSettings(threads=1, strategy="canary", route="gateway", steps=(10, 50), step_s=0.5, drain_s=0.5),
}


@pytest.fixture
def packages(tmp_path: Path, state: Path) -> tuple[ModelPackage, ModelPackage]:
    return make_package(tmp_path / "a"), make_package(tmp_path / "b", logistic_model(seed=7), version="2")


def settled(endpoint: str | None) -> str:
    """The endpoint, once its front is up."""
    assert endpoint is not None
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if httpx.get(f"{endpoint}/readyz", trust_env=False).status_code == 200:
                return endpoint
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{endpoint} does not answer")


def until_old_pods_are_gone(cloud: AksCloud, left: int) -> None:
    until = time.monotonic() + 60
    with cloud.cluster() as cluster:
        while len(cluster.list("Pod", {"app.kubernetes.io/instance": NAME})) > left:
            assert time.monotonic() < until
            time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_update_under_load_fails_no_request(
    runtime_cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage], strategy: str
) -> None:
    target, settings = runtime_cloud.target(), STRATEGIES[strategy]
    first = put(target, settings, packages[0])

    with steady_requests(settled(first.deployment.endpoint), packages[0], pause_s=0.01) as seen:
        time.sleep(0.5)
        put(target, settings, packages[1])
        until_old_pods_are_gone(runtime_cloud, settings.replicas or 1)
        time.sleep(0.5)

    assert seen.failures == []
    assert min(seen.answers["1"], seen.answers["2"]) > 10


@pytest.mark.slow
def test_canary_that_answers_wrongly_goes_back_and_fails_no_request(
    runtime_cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    target, settings = runtime_cloud.target(), STRATEGIES["canary"]
    first = put(target, settings, packages[0])
    asked: list[int] = []

    def smoke(client: Any, package: ModelPackage) -> SmokeReport:
        """At ten percent the answers are held to another model's: to it, these are wrong."""
        asked.append(1)
        return run_smoke(client, package if len(asked) == 1 else packages[0], timeout_s=20)

    with steady_requests(settled(first.deployment.endpoint), packages[0], pause_s=0.01) as seen:
        time.sleep(0.5)
        with pytest.raises(SmokeTestFailed):
            carry(target, settings, packages[1], smoke=smoke)
        shared = seen.answers["2"]
        time.sleep(0.5)
        last = seen.answers["2"]

    assert len(asked) == 2
    assert seen.failures == []
    assert 0 < shared < seen.answers["1"]
    assert last == shared
    assert target.inspect(NAME, settings) == first.deployment
