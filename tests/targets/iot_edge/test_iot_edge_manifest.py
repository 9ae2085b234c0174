"""Manifests that the schemas of IoT Edge take, whatever the settings, and in which others' parts stay as they were."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from runtime.edge.twin import Wishes, read_wishes
from targets.iot_edge import IotEdgeSettings
from targets.iot_edge.manifest import device_manifest, layer, part_of, without
from targets.iot_edge.module import Wanted, create_options, from_pieces, routes_of
from targets.iot_edge.names import configuration_name, module_name
from targets.iot_edge.record import Record, Served, as_labels, of_labels
from tests.support.iotedge_contracts import EXAMPLES, LAYERED, errors_in, example, layer_errors

IMAGE = f"registry.example/team/churn@sha256:{'a' * 64}"
HERE = 'BrokeredEndpoint("/modules/churn/inputs/inference")'
DEPLOYMENT = "edge-deployment-2.0"
REGISTRY = {"registry_username": "env:USER_", "registry_password": "env:PASSWORD_"}

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(
    lambda name: not name.startswith(("DRAY_", "IOTEDGE_"))
)
some_settings = st.fixed_dictionaries(
    {},
    optional={
        "memory_mib": st.integers(32, 4096),
        "cpus": st.floats(0.1, 8),
        "startup_order": st.integers(0, 4_294_967_295),
        "restart_policy": st.sampled_from(["always", "on-unhealthy", "on-failure", "never"]),
        "env": st.dictionaries(names, st.text(max_size=300), max_size=3),
        "folder": st.just("/srv/dray"),
        "mounts": st.just({"/srv/data": "/data"}),
        "sources": st.lists(
            st.sampled_from(["sensor/out", "/messages/*", "/messages/modules/a/* WHERE x > 1"]), max_size=3
        ),
        "upstream": st.booleans(),
        "routes": st.just({"alerts": 'FROM /messages/* INTO BrokeredEndpoint("/modules/a/inputs/b")'}),
        "http_port": st.integers(1, 65535),
        "twin": st.dictionaries(st.sampled_from(["max_batch", "max_delay_us"]), st.integers(1, 64)),
        "log_mib": st.integers(1, 100),
    },
).map(lambda given: IotEdgeSettings.model_validate({**given, **REGISTRY}))


def wanted(chosen: IotEdgeSettings | None = None, name: str = "churn") -> Wanted:
    chosen = chosen or IotEdgeSettings()
    served = Served(model="churn", version="2", package="sha256:1", image=IMAGE, settings=chosen.model_dump_json())
    return Wanted(name, served, chosen)


def present(path: str) -> dict[str, Any]:
    return {name: json.loads(json.dumps(each["properties.desired"])) for name, each in example(path).items()}


def manifest(before: dict[str, Any], what: Wanted, **options: Any) -> dict[str, Any]:
    return device_manifest(
        before, what, lambda reference: f"secret of {reference}", **{"hold": None, "gone": (), **options}
    )


@settings(max_examples=60, deadline=None)
@given(chosen=some_settings)
def test_manifest_of_a_new_device_follows_the_schemas(chosen: IotEdgeSettings) -> None:
    made = manifest({"$edgeAgent": {}, "$edgeHub": {}}, wanted(chosen), hold="sha256:1")

    assert errors_in(DEPLOYMENT, {"modulesContent": made}) == set()
    assert errors_in("edgeagent-deployment-1.1", {"$edgeAgent": made["$edgeAgent"]}) == set()
    assert made["churn"]["properties.desired"]["dray"]["hold"] == "sha256:1"
    pieces = made["$edgeAgent"]["properties.desired"]["modules"]["churn"]["settings"]
    assert all(len(piece) <= 512 for name, piece in pieces.items() if name != "image")
    assert from_pieces(pieces) == create_options(wanted(chosen))


@settings(max_examples=40, deadline=None)
@given(chosen=some_settings)
def test_layer_follows_its_own_rule(chosen: IotEdgeSettings) -> None:
    assert layer_errors(layer(wanted(chosen), str)) == []


def test_rule_of_layers_takes_a_real_one_which_the_schema_refuses() -> None:
    assert layer_errors(example(LAYERED)) == []
    assert errors_in(DEPLOYMENT, {"modulesContent": example(LAYERED)})
    assert layer_errors({"$edgeHub": {"properties.desired.routes.a": ""}})


@pytest.mark.parametrize("path", EXAMPLES)
def test_module_comes_and_goes_and_what_others_have_stays_byte_for_byte(path: str) -> None:
    before = present(path)
    what = wanted(IotEdgeSettings(**REGISTRY))

    made = manifest(before, what)
    inside = {name: each["properties.desired"] for name, each in made.items()}
    gone = without(inside, what, gone=tuple(routes_of(what)), credentials=("dray-registry-example",))

    assert "churn" in inside["$edgeAgent"]["modules"]
    assert errors_in(DEPLOYMENT, {"modulesContent": made}) <= errors_in(DEPLOYMENT, {"modulesContent": example(path)})
    for name in ("$edgeAgent", "$edgeHub"):
        after = gone[name]["properties.desired"]
        if name == "$edgeAgent" and "registryCredentials" not in before[name]["runtime"]["settings"]:
            after["runtime"]["settings"].pop("registryCredentials")
        assert json.dumps(after) == json.dumps(before[name])


def test_update_takes_the_routes_of_the_release_before_away() -> None:
    old = wanted(IotEdgeSettings(sources=("a/b", "c/d"), routes={"x": "FROM /messages/* INTO $upstream"}))
    new = wanted(IotEdgeSettings(sources=("e/f",)))
    first = {name: each["properties.desired"] for name, each in manifest({}, old).items()}

    routes = manifest(first, new, gone=tuple(routes_of(old)))["$edgeHub"]["properties.desired"]["routes"]

    assert routes == {
        "dray-churn-from-1": f"FROM /messages/modules/e/outputs/f INTO {HERE}",
        "dray-churn-upstream": "FROM /messages/modules/churn/outputs/* INTO $upstream",
    }


def test_what_was_set_while_it_ran_stays_but_not_another_package() -> None:
    running = {"dray": {"hold": True, "package": {"url": "u"}, "max_batch": 4, "sample_rate": 0.5}, "theirs": 1}

    made = manifest({"churn": running}, wanted(IotEdgeSettings(twin={"max_batch": 8})))

    assert json.dumps(made["churn"]["properties.desired"], sort_keys=True) == (
        '{"dray": {"max_batch": 8, "sample_rate": 0.5}, "theirs": 1}'
    )


def test_container_may_serve_and_write_to_its_folder_and_nothing_else() -> None:
    options = create_options(wanted(IotEdgeSettings(memory_mib=256, http_port=80, http_host="0.0.0.0")))
    host = options["HostConfig"]

    assert options["User"] == "65532:65532"
    assert host["ReadonlyRootfs"] is True
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert host["Mounts"] == [{"Type": "volume", "Source": "dray-churn", "Target": "/var/lib/dray"}]
    assert host["Memory"] == host["MemorySwap"] == 256 << 20
    assert host["PortBindings"] == {"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "80"}]}
    assert list(host["Tmpfs"]) == ["/tmp"]


def test_plan_shows_references_and_never_a_secret() -> None:
    shown = json.dumps(part_of(wanted(IotEdgeSettings(**REGISTRY))))

    assert "env:PASSWORD_" in shown
    assert "secret of" not in shown


def test_credentials_stand_by_the_registry_that_they_are_for() -> None:
    made = manifest({}, wanted(IotEdgeSettings(**REGISTRY)))

    assert made["$edgeAgent"]["properties.desired"]["runtime"]["settings"]["registryCredentials"] == {
        "dray-registry-example": {
            "username": "secret of env:USER_", "password": "secret of env:PASSWORD_", "address": "registry.example",
        }
    }  # fmt: skip


@given(name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True))
def test_names_are_what_a_hub_takes(name: str) -> None:
    module = module_name(name)

    assert len(module) <= 64
    assert all(each.isascii() and (each.isalnum() or each in "-_") for each in module)
    assert configuration_name(name, 3).islower() or not any(map(str.isalpha, name))
    assert module_name("a.b") != module_name("a-b")
    assert module_name("edgeHub") != "edgeHub"


def test_record_survives_labels_however_long_it_is() -> None:
    served = Served(model="m", version="1", package="p", image="i", settings="x" * 1000)
    record = Record(name="churn", live=served, previous=served, serial=4)

    labels = as_labels(record, {"team": "blue"})

    assert of_labels(labels, "a configuration") == record
    assert all(len(value) <= 255 for value in labels.values())
    assert of_labels({"team": "blue"}, "a configuration") is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"device": "a", "target_condition": "*"}, "exclude each other"),
        ({"workers": 2}, "one module of a device"),
        ({"twin": {"max_batch": 0}}, "twin.max_batch: 0 is not a whole number from 1 to 65536"),
        ({"twin": {"max_delay_us": 1.5}}, "whole number"),
        ({"twin": {"min_confidence": 2}}, "a number from 0 to 1"),
        ({"edge_hub_image": "an image"}, "should match"),
        ({"metrics": {"m": "q"}}, "target_condition"),
        ({"sources": ["sensor"]}, "neither MODULE/OUTPUT"),
        ({"routes": {"x": "FROM here"}}, "is not FROM"),
        ({"env": {"DRAY_PORT": "1"}}, "setting of its own"),
        ({"registry_username": "env:A"}, "go together"),
        ({"registry_password": "hunter2"}, "pattern"),
        ({"api_keys_file": "/keys"}, "http_port"),
        ({"device": "a/b"}, "pattern"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        IotEdgeSettings.model_validate(given)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(("max_batch", "max_delay_us", "min_confidence", "sample_rate")),
    value=st.one_of(st.integers(-2, 10_000_002), st.sampled_from((0, 1, 65536, 65537, 10_000_000, 0.5, 1.0, 1.01))),
)
def test_module_takes_what_settings_let_through(name: str, value: float) -> None:
    _, problems = read_wishes({name: value}, Wishes())
    try:
        IotEdgeSettings.model_validate({"twin": {name: value}})
    except ValidationError:
        assert problems
    else:
        assert not problems
