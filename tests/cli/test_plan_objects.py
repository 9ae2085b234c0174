"""A plan as files that a repository keeps, and flags that stand for settings."""

from typing import Any

import pytest
import yaml

from packager.cli.objects import objects
from packager.core.errors import UsageError
from packager.documents import ActionDocument, PlanDocument
from tests.support.command import dray


def document(*actions: tuple[str, dict[str, Any]]) -> PlanDocument:
    made = tuple(ActionDocument(verb=verb, resource="x", body=body, changes={}) for verb, body in actions)
    return PlanDocument(target="aks", name="iris", actions=made, findings=(), confirm=(), changes_anything=True)


def test_objects_stand_in_their_order_without_secrets_and_what_goes() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "iris"},
        "stringData": {"api-keys": "env:KEYS"},
    }
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "iris"}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "iris"}}

    text = objects(document(("create", account), ("create", secret), ("keep", service), ("delete", {"after": "x"})))

    assert list(yaml.safe_load_all(text)) == [account, service]
    assert "secret/iris with api-keys (env:KEYS)" in text


def test_plan_of_no_objects_is_no_yaml() -> None:
    with pytest.raises(UsageError, match="no set of objects"):
        objects(document(("create", {"Image": "x"})))


@pytest.mark.parametrize("flag", [["--strategy", "canary"], ["--force-conflicts"]])
def test_flag_of_another_target_is_refused(flag: list[str]) -> None:
    done = dray("deploy", "x", "-t", "local", *flag)

    assert done.status == 2
    assert f"leave {flag[0]} out" in done.err
