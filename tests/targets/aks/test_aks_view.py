"""Where clients reach a deployment."""

import pytest

from targets.aks import AksSettings
from targets.aks.view import endpoint_of
from targets.kit.kubernetes.access import Reach
from tests.support.kubernetes_wanted import wanted

SERVICE = {"kind": "Service", "metadata": {"name": "iris"}, "spec": {"clusterIP": "127.78.0.9"}}


@pytest.mark.parametrize("route", ["gateway", "ingress"])
@pytest.mark.parametrize(
    ("reach", "endpoint"),
    [
        ("outside", "http://iris.example.com"),
        ("cluster", "http://iris.example.com"),
        # The name may be the one under which another cluster serves already.
        ("rehearsal", "http://127.78.0.9"),
    ],
)
def test_name_of_clients_is_the_endpoint_but_of_a_rehearsal(route: str, reach: Reach, endpoint: str) -> None:
    asked = wanted(AksSettings.model_validate({"route": route, "host": "iris.example.com"}))

    assert endpoint_of(asked, {("Service", asked.label): SERVICE}, reach) == endpoint
