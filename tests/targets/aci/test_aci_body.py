"""The body of a container group: what is sent follows Azure's published schema, whatever is set."""

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packager.core.image import ImageRef
from packager.project import resolve_settings
from targets.aci.body import SECRETS, Wanted, as_planned, container_group, exact, registry_server
from targets.aci.settings import AciSettings, Gpu
from tests.support.contracts import errors_in, group_validator

DIGEST = "sha256:" + "a" * 64
IMAGE = ImageRef("demo.azurecr.io", "team/churn", "1", DIGEST)
ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/pull"
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"
SECRET = "correct horse battery staple"

optional_reference = st.none() | st.sampled_from(["env:KEY", "file:/run/key"])
plain: dict[str, st.SearchStrategy[Any]] = {
    "cpu": st.sampled_from([0.5, 1, 2.25, 4]),
    "memory_gb": st.sampled_from([0.5, 1.5, 16]),
    "gpu": st.none() | st.fixed_dictionaries({"count": st.sampled_from([1, 2, 4]), "sku": st.just("V100")}),
    "port": st.integers(1, 65535),
    "identity": st.lists(st.sampled_from(["system", ID]), unique=True).map(tuple),
    "env": st.dictionaries(
        st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True).map("X_".__add__), st.text(max_size=8)
    ),
    "secure_env": st.dictionaries(st.just("TOKEN"), st.just("env:TOKEN")),
    "restart_policy": st.sampled_from(["Always", "OnFailure", "Never"]),
    "log_analytics": st.none() | st.just({"workspace": "0" * 36, "key": "env:WORKSPACE"}),
    "tags": st.dictionaries(st.sampled_from(["team", "cost center"]), st.text(max_size=20)),
    "zones": st.sampled_from([(), ("1",)]),
    "priority": st.sampled_from([None, "Regular", "Spot"]),
    "api_keys": optional_reference,
    "startup_s": st.none() | st.floats(1, 100),
    "threads": st.none() | st.integers(1, 8),
}
variants = st.one_of(
    st.just({}),
    st.just({"ip": "private", "subnet_ids": (SUBNET,)}),
    st.just({"dns_label": "churn-1", "dns_reuse": "TenantReuse"}),
    st.just({"tls_cert": "file:/c", "tls_key": "file:/k"}),
    st.just({"registry_identity": ID}),
    st.just({"registry_username": "env:U", "registry_password": "env:P"}),
)
given_settings = st.builds(
    lambda a, b: AciSettings.model_validate({**a, **b}), st.fixed_dictionaries({}, optional=plain), variants
)


def wanted(given: AciSettings, **changed: Any) -> Wanted:
    label = None if given.ip == "private" else given.dns_label or "churn-abcdef"
    facts = {"image": IMAGE, "settings": given, "region": "westeurope", "label": label, "liveness_s": 30}
    return Wanted(**{**facts, "tags": {"dray-name": "churn", **given.tags}, **changed})


@given(given_settings, st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_body_follows_the_published_schema(given_: AciSettings, pull: bool) -> None:
    chosen = wanted(given_, pull=pull)

    sent = container_group(chosen, lambda reference: SECRET).serialize()

    assert errors_in(sent) == []
    assert errors_in(as_planned(chosen)) == []


def test_the_schema_finds_a_typo() -> None:
    body = as_planned(wanted(AciSettings()))
    body["properties"]["containers"][0]["properties"]["livenesProbe"] = {}

    assert group_validator()
    assert errors_in(body)


@given(given_settings)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_plan_holds_references_and_no_secret(given_: AciSettings) -> None:
    chosen = wanted(given_, pull=True)
    sent = json.dumps(container_group(chosen, lambda reference: SECRET).serialize())
    planned = json.dumps(as_planned(chosen))

    hidden = (SECRET, base64.b64encode(SECRET.encode()).decode())
    assert not any(secret in planned for secret in hidden)
    assert all(reference in planned for reference in given_.references().values())
    assert not any(f'"{reference}"' in sent for reference in given_.references().values())


def test_keys_and_certificate_are_files_of_a_secret_volume() -> None:
    given = AciSettings(api_keys="env:KEYS", tls_cert="file:/c", tls_key="file:/k")

    body = as_planned(wanted(given))

    [volume] = body["properties"]["volumes"]
    assert volume["secret"] == {"api-keys": "env:KEYS", "tls-cert": "file:/c", "tls-key": "file:/k"}
    container = body["properties"]["containers"][0]["properties"]
    assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": SECRETS, "readOnly": True}]
    variables = {each["name"]: each["value"] for each in container["environmentVariables"]}
    assert variables["DRAY_API_KEYS_FILE"] == f"{SECRETS}/api-keys"
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": 8080, "scheme": "https"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"registry_identity": ID}, [{"server": "demo.azurecr.io", "identity": ID}]),
        (
            {},
            [
                {
                    "server": "demo.azurecr.io",
                    "username": "credential-user:demo.azurecr.io",
                    "password": "credential:demo.azurecr.io",
                }
            ],
        ),
        (
            {"registry_username": "env:U", "registry_password": "env:P"},
            [{"server": "demo.azurecr.io", "username": "env:U", "password": "env:P"}],
        ),
    ],
)
def test_pull_credentials_are_an_identity_a_pair_or_this_machines(given: dict[str, Any], expected: Any) -> None:
    body = as_planned(wanted(AciSettings.model_validate(given), pull=True))

    assert body["properties"]["imageRegistryCredentials"] == expected


def test_an_image_is_named_by_its_digest() -> None:
    assert exact(IMAGE) == f"demo.azurecr.io/team/churn@{DIGEST}"
    assert exact(ImageRef.parse("team/churn:1")) == "docker.io/team/churn:1"
    assert registry_server(ImageRef.parse("team/churn:1")) == "index.docker.io"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tls_cert": "file:/c"}, "tls_cert and tls_key go together"),
        ({"registry_username": "env:U"}, "go together"),
        ({"ip": "private"}, "subnet_ids"),
        ({"subnet_ids": (SUBNET,)}, "subnet_ids"),
        ({"env": {"DRAY_PORT": "1"}}, "DRAY_PORT"),
        ({"env": {"A": "1"}, "secure_env": {"A": "env:A"}}, "A is in env and in secure_env"),
        ({"secure_env": {"A": "hunter2"}}, "secure_env"),
        ({"api_keys": "hunter2"}, "api_keys"),
        ({"tags": {"dray-name": "x"}}, "dray-"),
        ({"dns_label": "Churn"}, "dns_label"),
        ({"memory_gib": 2}, "memory_gib"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AciSettings.model_validate(given)


def test_what_a_command_line_says_is_taken_as_it_is_meant() -> None:
    given = resolve_settings(
        AciSettings,
        {},
        ["env.A=1", "env.B=true", "tags.cost=7", "zones=1", f"identity={ID}", "gpu.sku=V100", "gpu.count=2"],
    )

    assert isinstance(given, AciSettings)
    assert dict(given.env) == {"A": "1", "B": "true"}
    assert (given.tags["cost"], given.zones, given.identity, given.gpu) == (
        "7",
        ("1",),
        (ID,),
        Gpu(count=2, sku="V100"),
    )
