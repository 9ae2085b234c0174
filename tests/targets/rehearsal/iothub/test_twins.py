"""Twins and the content of deployments."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.rehearsal.iothub.errors import HubError
from targets.rehearsal.iothub.manifests import check_content, properties_of
from targets.rehearsal.iothub.twins import Section, Twin, difference, merged_with
from tests.support.absent import absent
from tests.support.hub_server import content, module_spec

CONTRACTS = Path(__file__).parents[5] / "shared" / "contracts" / "iotedge" / "azure-iot-cli-extension"
NAMES = st.text("abc", min_size=1, max_size=2)
LEAVES = st.one_of(st.booleans(), st.integers(-9, 9), st.text("xy", max_size=2))
DOCUMENTS: Any = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=3), lambda inner: st.dictionaries(NAMES, inner | LEAVES, max_size=3)
)


@given(DOCUMENTS, DOCUMENTS)
def test_the_difference_of_two_documents_makes_the_second_of_the_first(old: Any, new: Any) -> None:
    made = merged_with(old, difference(old, new))
    assert json.dumps(made, sort_keys=True) == json.dumps(new, sort_keys=True)


def test_a_patch_merges_and_null_removes_and_what_changed_is_marked() -> None:
    section = Section(numbered=True)
    section.merge({"a": {"b": 1, "c": 2}, "d": "x"})
    section.merge({"a": {"b": None, "e": [1]}})
    shown = section.shown()
    assert (shown["a"], shown["d"], shown["$version"]) == ({"c": 2, "e": [1]}, "x", 3)
    metadata = shown["$metadata"]
    assert [metadata["a"][name]["$lastUpdatedVersion"] for name in ("c", "e")] == [2, 3]
    assert "b" not in metadata["a"]
    assert (metadata["a"]["$lastUpdatedVersion"], metadata["d"]["$lastUpdatedVersion"]) == (3, 2)


@pytest.mark.parametrize(
    "patch",
    [
        {"a.b": 1},
        {"a b": 1},
        {"$a": {}},
        {"": 1},
        {"a": "x" * 4097},
        {"a": 1 << 60},
        {"a": [None]},
        {"a": {str(number): "x" * 4000 for number in range(10)}},
        {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {}}}}}}}}}}},
    ],
)
def test_what_a_twin_cannot_hold_is_refused_and_changes_nothing(patch: dict[str, Any]) -> None:
    twin = Twin("d")
    with pytest.raises(HubError) as refusal:
        twin.patch({"properties": {"desired": {"x": 1, **patch}}})
    assert (refusal.value.status, twin.desired.properties, twin.version) == (400, {}, 1)


def test_microsofts_examples_are_taken_and_its_malformed_ones_are_not() -> None:
    if not CONTRACTS.is_dir():
        absent(f"{CONTRACTS} is not here")
    taken = {}
    for path in sorted(CONTRACTS.glob("test_*.json")):
        document = json.loads(path.read_text())
        document = document.get("content", document)
        modules = document.get("modulesContent") or document.get("moduleContent")
        with suppress(HubError):
            taken[path.stem.removeprefix("test_edge_deployment")] = check_content(modules, layered_allowed=True)
    assert taken == {"": False, "_ea_v11_eh_v12": False, "_layered": True, "_v1": False, "_v11": False}


def changed(**agent: Any) -> dict[str, Any]:
    made = content({"echo": module_spec()})["modulesContent"]
    made["$edgeAgent"]["properties.desired"] |= agent
    return made


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        (changed(schemaVersion="9"), "schemaVersion is '9'"),
        (changed(runtime={"type": "docker"}), "runtime lacks 'settings'"),
        (changed(strange={}), "unknown field 'strange'"),
        (changed(modules={"a b": module_spec()}), "cannot be a name"),
        (changed(modules={"m": module_spec(restartPolicy="sometimes")}), "modules.m.restartPolicy is 'sometimes'"),
        (changed(modules={"m": module_spec(settings={"createOptions": {}})}), "must be a string"),
        (changed(modules={"m": module_spec(settings={"createOptions": "{"})}), "no JSON object"),
        (changed(modules={"m": module_spec(settings={"createOptions": '"' + "x" * 5000 + '"'})}), "longer than 4096"),
        (changed(modules={"m": module_spec(env={"A": "b"})}), "env.A must be an object"),
        (changed(modules={"m": module_spec(" ")}), "name of an image"),
        ({"$edgeAgent": changed()["$edgeAgent"]}, "lacks $edgeHub"),
        ({"$edgeHub": {}}, "lacks 'properties.desired'"),
        ({**changed(), "m": {"properties.reported": {}}}, "properties.reported"),
        (content({}, routes={"r": "FROM nowhere"})["modulesContent"], "route 'r'"),
    ],
)
def test_a_deployment_that_no_device_would_take_is_refused_with_its_place(modules: dict[str, Any], words: str) -> None:
    with pytest.raises(HubError) as refusal:
        check_content(modules, layered_allowed=False)
    assert words in refusal.value.message
    assert refusal.value.status == 400


def test_layers_lie_on_top_of_each_other() -> None:
    base = properties_of({"properties.desired": {"modules": {"a": 1}, "x": {"y": 1}}})
    layered = properties_of({"properties.desired.modules.b": 2, "properties.desired.x.z": 3}, base)
    assert layered == {"modules": {"a": 1, "b": 2}, "x": {"y": 1, "z": 3}}
